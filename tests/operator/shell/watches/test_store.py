"""The cache: the newest version wins in whatever order it comes, and a change concerns whom it should."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import DeployedModel
from daybreak_operator.core.deployment.rollout.target import target_of
from daybreak_operator.shell.watches.keys import ObjectKey, Priority
from daybreak_operator.shell.watches.store import ListResult, Store, has_notice

RUN = ObjectKey(names.KIND_RUN, "here", "run")
FOLLOWING = DeployedModel.model_validate({"trainingRunRef": {"name": "run"}})
FOLLOWER = ObjectKey(names.KIND_DEPLOYMENT, "here", "follower")


def run(version: int = 1, uid: str = "u", name: str = "run") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "here", "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "metadata": metadata, "spec": {}}


def follower(version: int = 1, of: str | None = "run") -> dict[str, Any]:
    body = run(version, "f", "follower")
    model = {"trainingRunRef": {"name": of}} if of else {"uri": "s3://x"}
    return {**body, "kind": names.KIND_DEPLOYMENT, "spec": {"model": model}}


def pod(version: int = 1, uid: str = "p", owner: str = "u", node: str = "n1") -> dict[str, Any]:
    metadata = {"name": "pod", "namespace": "here", "uid": uid, "resourceVersion": str(version)}
    metadata |= {"labels": {names.LABEL_OWNER_UID: owner}, "managedFields": [{"manager": "kubelet"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}}


def node(*taints: str, **conditions: str) -> dict[str, Any]:
    told = [{"type": name, "status": status} for name, status in conditions.items()]
    spec = {"taints": [{"key": key} for key in taints]}
    return {"metadata": {"name": "n1"}, "spec": spec, "status": {"conditions": told}}


def event(version: int = 1, reason: str = "FailedScaleUp") -> dict[str, Any]:
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": "here", "name": "pod", "uid": "p"}
    metadata = {"uid": f"e{version}", "resourceVersion": str(version)}
    return {"metadata": metadata, "involvedObject": about, "reason": reason, "message": str(version)}


def with_output(name: str, version: int = 1, uri: str = "s3://b/x", *, over: bool = False) -> dict[str, Any]:
    told = {"type": "Finished", "status": str(over), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    body = run(version, f"uid-{name}", name)
    return {**body, "spec": {"output": {"uri": uri}}, "status": {"conditions": [told]}}


def made_on(day: int, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "creationTimestamp": f"2026-01-0{day}T00:00:00Z"}}


class TestNamesakes:
    """Pods of a run that was deleted outlive it by their time to save."""

    def put(
        self, store: Store, owner: str, name: str, called: str = "run", version: int = 1
    ) -> dict[str, Any]:
        body = pod(version, f"uid-{name}", owner)
        body["metadata"]["name"] = name
        body["metadata"]["labels"] |= {names.LABEL_OWNER_KIND: names.KIND_RUN, names.LABEL_OWNER: called}
        store.put_child(body)
        return body

    def found(self, store: Store, uid: str) -> list[str]:
        return [body["metadata"]["name"] for body in store.pods_of_namesakes(RUN, uid)]

    def test_that_are_gone_are_known_by_their_pods_until_these_are_gone(self) -> None:
        store = Store()
        store.put(run(1, "old"))
        first, second = self.put(store, "old", "b"), self.put(store, "old", "a")
        self.put(store, "other", "c", called="other")
        assert self.found(store, "old") == []
        store.drop(run(2, "old"))
        store.put(run(3, "new"))
        self.put(store, "new", "own")
        assert self.found(store, "new") == ["a", "b"]
        store.drop_child(first)
        assert self.found(store, "new") == ["a"]
        store.drop_child(second)
        assert self.found(store, "new") == []
        assert self.found(store, "none") == ["own"]


class TestOutputs:
    def called(self, store: Store, name: str = "a") -> list[str]:
        found = store.neighbours_of(ObjectKey(names.KIND_RUN, "here", name))
        return [one.called for one in found if one.called != f"here/{name}"]

    def test_runs_of_one_output_know_each_other_until_they_are_over_moved_or_gone(self) -> None:
        store = Store()
        for name in "abcd":
            store.put(with_output(name))
        assert self.called(store) == ["here/b", "here/c", "here/d"]
        store.put(with_output("b", 2, over=True))
        store.put(with_output("c", 2, "s3://b/y"))
        assert self.called(store) == ["here/d"]
        store.drop(with_output("d"))
        assert self.called(store) == self.called(store, "b") == self.called(store, "none") == []
        store.put(with_output("c", 3))
        assert self.called(store) == ["here/c"]

    def test_the_oldest_comes_first_however_they_came_and_a_namesake_is_younger(self) -> None:
        store = Store()
        for name, day in (("c", 3), ("b", 1), ("d", 2), ("e", 2)):
            store.put(made_on(day, with_output(name)))
        assert self.called(store, "e") == ["here/b", "here/d", "here/c"]
        store.put(made_on(4, {**with_output("b", 2), "metadata": {**run(2, "other", "b")["metadata"]}}))
        assert self.called(store, "e") == ["here/d", "here/c", "here/b"]

    def test_deployments_and_runs_without_an_output_have_none(self) -> None:
        store = Store()
        store.put(follower())
        store.put(run())
        assert self.called(store, "run") == self.called(store, "follower") == []


class TestOwn:
    def test_what_is_new_wakes_it_and_what_is_not_wakes_nobody(self) -> None:
        store = Store()
        assert store.put(run(1)) == {RUN}
        assert store.put(run(1)) == set()
        assert store.put(run(2)) == {RUN}
        assert store.put(run(1)) == set()

    @pytest.mark.parametrize(
        ("metadata", "status", "expected"),
        [
            pytest.param({"generation": 1}, {}, Priority.NEW, id="nothing-was-ever-said-of-it"),
            pytest.param(
                {"generation": 2}, {"observedGeneration": 1}, Priority.CHANGED, id="a-new-generation"
            ),
            pytest.param({"generation": 2}, {"phase": "x"}, Priority.CHANGED, id="a-status-of-others"),
            pytest.param({"generation": 2}, {"observedGeneration": 2}, Priority.EVENT, id="an-answered-one"),
            pytest.param(
                {"generation": 2, "deletionTimestamp": "t"},
                {"observedGeneration": 2},
                Priority.CHANGED,
                id="one-that-is-being-deleted",
            ),
        ],
    )
    def test_whoever_waits_for_an_answer_is_told_from_the_rest(
        self, metadata: dict[str, Any], status: dict[str, Any], expected: Priority
    ) -> None:
        store, body = Store(), run(1)
        store.put({**body, "metadata": {**body["metadata"], **metadata}, "status": status})
        assert store.priority(RUN) is expected
        echo = Priority.LATER if expected is Priority.EVENT else expected
        assert store.priority(RUN, is_echo=True) is echo, "our own writing wakes nobody before those who wait"

    def test_one_that_is_gone_is_only_cleaned_up_after(self) -> None:
        assert Store().priority(RUN) is Priority.EVENT

    def test_a_namesake_made_anew_is_news_with_any_version(self) -> None:
        store = Store()
        store.put(run(9))
        assert store.put(run(3, uid="other")) == {RUN}
        assert store.drop(run(9)) == set()
        assert store.get(RUN) is not None

    def test_a_run_concerns_who_follows_it(self) -> None:
        store = Store()
        store.put(follower())
        assert store.put(run()) == {RUN, FOLLOWER}
        followed = store.followed_by(store.get(FOLLOWER) or {})
        assert followed is not None
        assert followed["metadata"]["uid"] == "u"
        assert store.put(run(2)) == {RUN}
        assert store.put(run(1, uid="made anew")) == {RUN, FOLLOWER}
        store.put(follower(2, of=None))
        assert store.put(run(2)) == {RUN}
        assert store.followed_by(store.get(FOLLOWER) or {}) is None
        store.put(follower(3))
        assert store.drop(run(2)) == {RUN, FOLLOWER}
        store.drop(follower(3))
        assert store.put(run(1)) == {RUN}

    @pytest.mark.parametrize(
        ("status", "are_told"),
        [
            pytest.param({"progressPercent": 7}, False, id="its-progress"),
            pytest.param(
                {"conditions": [{"type": "Ready", "status": "True"}]}, False, id="another-condition"
            ),
            pytest.param({"model": {"uri": "s3://x", "digest": "1"}}, True, id="its-model"),
            pytest.param({"conditions": [{"type": "Finished", "status": "True"}]}, True, id="its-end"),
            pytest.param({"conditions": "none", "model": [1]}, True, id="what-nobody-can-read"),
        ],
    )
    def test_who_follows_a_run_is_woken_by_what_it_reads_of_it(
        self, status: dict[str, Any], are_told: bool
    ) -> None:
        store = Store()
        store.put(follower())
        store.put(run(1))
        assert store.put({**run(2), "status": status}) == ({RUN, FOLLOWER} if are_told else {RUN})
        before, after = target_of(FOLLOWING, run(1)), target_of(FOLLOWING, {**run(2), "status": status})
        assert are_told or before == after

    def test_a_fresh_list_drops_what_is_not_in_it_in_its_namespace(self) -> None:
        store = Store()
        store.put(run())
        store.put(follower())
        assert store.replace(names.KIND_RUN, ListResult([], "9", "elsewhere")) == set()
        assert store.replace(names.KIND_RUN, ListResult([], "9", "here")) == {RUN, FOLLOWER}
        assert store.known() == [FOLLOWER]


class TestChildren:
    def test_a_child_concerns_its_owner(self) -> None:
        store = Store()
        store.put(run())
        assert store.put_child(pod(1)) == {RUN}
        assert store.put_child(pod(1)) == set()
        (kept,) = store.children_of("u").values()
        assert "managedFields" not in kept["metadata"]
        assert store.drop_child(pod(1, uid="namesake")) == set()
        assert store.drop_child(pod(1)) == {RUN}
        assert dict(store.children_of("u")) == {}

    def test_a_child_that_changes_hands_concerns_both(self) -> None:
        store = Store()
        store.put(run())
        store.put(run(1, "v", "second"))
        store.put_child(pod(1))
        assert store.put_child(pod(2, owner="v")) == {RUN, ObjectKey(names.KIND_RUN, "here", "second")}
        assert dict(store.children_of("u")) == {}

    def test_a_child_of_nobody_we_know_concerns_nobody(self) -> None:
        assert Store().put_child(pod()) == set()

    def test_a_fresh_list_of_a_kind_leaves_other_kinds_alone(self) -> None:
        store = Store()
        store.put(run())
        store.put_child(pod())
        assert store.replace_children("v1", "ConfigMap", ListResult([], "9")) == set()
        assert store.replace_children("v1", "Pod", ListResult([], "9", "elsewhere")) == set()
        assert store.replace_children("v1", "Pod", ListResult([], "9")) == {RUN}

    def test_a_list_says_nothing_of_what_is_newer(self) -> None:
        store = Store()
        store.put(run(7))
        store.put_child(pod(7))
        assert store.replace(names.KIND_RUN, ListResult([], "6")) == set()
        assert store.replace_children("v1", "Pod", ListResult([], "6")) == set()
        assert len(store.children_of("u")) == 1
        assert store.replace_children("v1", "Pod", ListResult([], "")) == {RUN}

    @given(st.permutations([1, 2, 3, 4, 5]))
    def test_the_newest_is_kept_in_any_order(self, order: list[int]) -> None:
        store = Store()
        store.put(run())
        for version in order:
            store.put_child(pod(version))
        (kept,) = store.children_of("u").values()
        assert kept["metadata"]["resourceVersion"] == "5"


class TestNodes:
    @pytest.mark.parametrize(
        ("found", "told"),
        [
            pytest.param(node(), False, id="nothing-said"),
            pytest.param(node("nvidia.com/gpu"), False, id="a-taint-that-is-no-notice"),
            pytest.param(node("cloud.google.com/impending-node-termination"), True, id="a-taint-of-gke"),
            pytest.param(node("karpenter.sh/disrupted"), True, id="a-taint-of-karpenter"),
            pytest.param(node(PreemptScheduled="True"), True, id="a-condition-of-aks"),
            pytest.param(node(PreemptScheduled="False"), False, id="a-condition-that-is-false"),
        ],
    )
    def test_a_notice_is_seen(self, found: dict[str, Any], told: bool) -> None:
        assert has_notice(found) is told

    def test_a_notice_concerns_whose_pods_are_there(self) -> None:
        store = Store()
        store.put(run())
        store.put_child(pod())
        assert store.put_node(node()) == set()
        assert store.put_node(node("karpenter.sh/disrupted")) == {RUN}
        assert store.put_node(node("karpenter.sh/disrupted")) == set()
        assert store.is_noticed("n1")
        assert store.replace_nodes([]) == set()
        assert store.is_noticed("n1"), "it is gone, and its pod doesn't know yet"
        store.drop_child(pod())
        assert store.replace_nodes([]) == set()
        assert not store.is_noticed("n1")

    def test_a_node_that_went_without_a_word_takes_its_pods_along_until_its_namesake_comes(self) -> None:
        store = Store()
        store.put(run())
        store.put_child(pod())
        assert store.drop_node(node()) == {RUN}
        assert store.is_noticed("n1")
        assert store.put_node(node()) == {RUN}
        assert not store.is_noticed("n1")


class TestEvents:
    def test_the_newest_of_each_reason_is_kept_and_concerns_the_owner(self) -> None:
        store = Store()
        store.put(run())
        store.put_child(pod())
        assert store.put_event(event(2)) == {RUN}
        assert store.put_event(event(1)) == set()
        store.put_event(event(3, "NotTriggerScaleUp"))
        assert {name: one["message"] for name, one in store.told_of(pod()).items()} == {
            "FailedScaleUp": "2",
            "NotTriggerScaleUp": "3",
        }
        store.drop_event(event(2))
        assert set(store.told_of(pod())) == {"NotTriggerScaleUp"}


def test_pods_are_found_with_their_owners_until_either_is_gone() -> None:
    store = Store()
    store.put_child(pod())
    assert list(store.pods()) == []
    store.put(run())
    assert [(key, body["metadata"]["name"]) for key, body in store.pods()] == [(RUN, "pod")]
    store.drop_child(pod())
    assert list(store.pods()) == []


def test_what_is_read_is_the_newest_however_often_it_was_read_before() -> None:
    store = Store()
    for number in range(200):
        store.put(run(1, f"u{number}", f"run-{number}"))
    for version in (1, 2):
        store.put(run(version))
        for number in range(200):
            assert store.get(ObjectKey(names.KIND_RUN, "here", f"run-{number}")) is not None
        found = store.get(RUN)
        assert found is not None
        assert found["metadata"]["resourceVersion"] == str(version)
