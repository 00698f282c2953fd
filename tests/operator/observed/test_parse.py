"""What is read of Kubernetes objects, and that whatever an API server may hold stops no decision."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import (
    ObservedCondition,
    ObservedConfigMap,
    ObservedDeployment,
    ObservedJob,
    ObservedObject,
    ObservedWarning,
)
from daybreak_operator.core.observed.parse import parse_object, parse_warning
from daybreak_operator.core.observed.pods import (
    MORE_MEMORY,
    ObservedPod,
    Termination,
    WaitingState,
    container_failures,
)
from daybreak_operator.core.plan import Ref

NOON = "2026-01-01T12:00:00Z"
METADATA: dict[str, Any] = {
    "name": "first",
    "namespace": "ml",
    "uid": "u-1",
    "labels": {names.LABEL_ATTEMPT: "3", "odd": 1},
    "creationTimestamp": NOON,
    "ownerReferences": [{"uid": "u-0"}, {"uid": "u-9"}],
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = (
    "metadata", "spec", "status", "data", "labels", "ownerReferences", "conditions", "containerStatuses",
    "initContainerStatuses", "state", "lastState", "waiting", "terminated", "runPolicy", "involvedObject",
    "exitCode", "restartCount", "replicas", "readyReplicas", "lastTransitionTime", "creationTimestamp", "type",
)  # fmt: skip
SHAPED = st.recursive(
    SCALARS | st.just(NOON),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=24,
)


def an_object(kind: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": METADATA, **parts}


def a_pod(**status: Any) -> ObservedPod:
    found = parse_object(an_object("Pod", status=status))
    assert isinstance(found, ObservedPod)
    return found


class TestMetadata:
    def test_says_who_an_object_is_and_whose(self) -> None:
        found = parse_object(an_object("Role"))
        assert type(found) is ObservedObject
        assert (found.kind, found.name, found.uid, found.attempt) == ("Role", "first", "u-1", 3)
        assert found.metadata.created == datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert found.metadata.owner_uids == {"u-0", "u-9"}
        assert found.ref == Ref("v1", "Role", "ml", "first", "u-1")
        assert (found.label("odd"), found.label("absent")) == ("", "")

    @pytest.mark.parametrize(
        ("more", "leaving"),
        [
            pytest.param({}, False, id="it stays"),
            pytest.param({"deletionTimestamp": NOON}, True, id="it goes"),
        ],
    )
    def test_says_whether_an_object_is_being_deleted(self, more: dict[str, str], leaving: bool) -> None:
        assert parse_object({"kind": "Pod", "metadata": {**METADATA, **more}}).is_leaving is leaving

    @pytest.mark.parametrize("text", ["", "one", "-1", "1.5"])
    def test_an_attempt_that_is_no_number_is_none(self, text: str) -> None:
        assert parse_object({"kind": "Pod", "metadata": {"labels": {names.LABEL_ATTEMPT: text}}}).attempt == 0


class TestJobs:
    @pytest.mark.parametrize("kind", ["Job", "PyTorchJob"])
    @pytest.mark.parametrize("held", ["Complete", "Succeeded", "Failed"])
    def test_have_ended_whatever_came_of_it(self, kind: str, held: str) -> None:
        condition = {"type": held, "status": "True", "lastTransitionTime": NOON}
        job = parse_object(
            an_object(kind, status={"conditions": [{"type": "Running", "status": "True"}, condition]})
        )
        assert isinstance(job, ObservedJob)
        assert (job.has_ended, job.ended) == (True, datetime(2026, 1, 1, 12, tzinfo=UTC))

    def test_run_while_no_end_is_true(self) -> None:
        job = parse_object(an_object("Job", status={"conditions": [{"type": "Failed", "status": "False"}]}))
        assert isinstance(job, ObservedJob)
        assert (job.has_ended, job.ended, job.is_queued) == (False, None, False)

    def test_are_queued_while_their_policy_suspends_them(self) -> None:
        job = parse_object(an_object("PyTorchJob", spec={"runPolicy": {"suspend": True}}))
        assert isinstance(job, ObservedJob)
        assert job.is_queued


class TestPods:
    def test_a_waiting_container_says_for_what(self) -> None:
        image, config = {"reason": "ErrImagePull", "message": "404"}, {"reason": "CreateContainerConfigError"}
        pod = a_pod(
            containerStatuses=[{"name": "a", "state": {"waiting": image}}],
            initContainerStatuses=[{"name": "b", "state": {"waiting": config}}],
        )
        assert [(one.name, one.is_init) for one in pod.containers] == [("b", True), ("a", False)]
        assert [(one.waiting.for_image, one.waiting.for_config) for one in pod.containers if one.waiting] == [
            (False, True),
            (True, False),
        ]
        assert pod.containers[1].waiting == WaitingState("ErrImagePull", "404")

    def test_a_container_says_how_it_ended_now_and_before(self) -> None:
        state = {"terminated": {"exitCode": 2, "message": "a\nb\n", "reason": "Error", "finishedAt": NOON}}
        last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        (container,) = a_pod(containerStatuses=[{"name": "a", "state": state, "lastState": last}]).containers
        assert container.ends == (Termination(2, "Error", "a\nb\n", NOON), Termination(137, "OOMKilled"))
        assert [one.last_line for one in container.ends] == ["b", ""]

    def test_failures_come_in_the_order_in_which_they_happened(self) -> None:
        late = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T12:00:09Z", "message": "lost rank 0"}}
        early = {"terminated": {"exitCode": 137, "finishedAt": NOON, "reason": "OOMKilled"}}
        well = {"terminated": {"exitCode": 0, "finishedAt": NOON}}
        states = [
            {"name": name, "state": state} for name, state in zip("abc", (late, early, well), strict=True)
        ]
        pod = a_pod(containerStatuses=states)
        killed = f"OOMKilled: it took more memory than its limit or its node has; {MORE_MEMORY}"
        assert [failure.sentence for failure in container_failures([pod])] == [
            f"container b of pod first exited with code 137: {killed}",
            "container a of pod first exited with code 1: lost rank 0",
        ]
        assert pod.finished == "2026-01-01T12:00:09Z"

    @pytest.mark.parametrize(
        ("status", "up"),
        [
            pytest.param({"phase": "Running"}, False, id="it runs and is not ready"),
            pytest.param(
                {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
                True,
                id="it is ready",
            ),
            pytest.param({"phase": "Succeeded"}, True, id="it has done its work"),
            pytest.param(
                {"phase": "Failed", "conditions": [{"type": "Ready", "status": "True"}]},
                False,
                id="it failed",
            ),
        ],
    )
    def test_are_up(self, status: dict[str, Any], up: bool) -> None:
        assert a_pod(**status).is_up is up

    def test_the_scheduler_says_why_none_takes_a_pod(self) -> None:
        held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        assert a_pod(conditions=[held]).why_unscheduled == "0/3 nodes"
        assert a_pod(conditions=[{**held, "status": "True"}]).why_unscheduled == ""

    def test_are_disrupted_when_the_cluster_says_so(self) -> None:
        assert a_pod(conditions=[{"type": "DisruptionTarget", "status": "True"}]).is_disrupted
        assert not a_pod(conditions=[{"type": "DisruptionTarget", "status": "False"}]).is_disrupted


class TestOthers:
    @pytest.mark.parametrize(("spec", "asked"), [({}, 1), ({"replicas": 0}, 0), ({"replicas": 4}, 4)])
    def test_a_deployment_asks_for_one_replica_unless_it_says_otherwise(
        self, spec: dict[str, int], asked: int
    ) -> None:
        failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
        found = parse_object(
            an_object("Deployment", spec=spec, status={"readyReplicas": 2, "conditions": [failure]})
        )
        assert isinstance(found, ObservedDeployment)
        assert (found.replicas, found.ready_replicas) == (asked, 2)
        assert found.conditions == (ObservedCondition("ReplicaFailure", "True", "", "exceeded quota"),)

    def test_a_config_map_keeps_its_texts(self) -> None:
        found = parse_object(an_object("ConfigMap", data={"a": "b", "c": 3}))
        assert isinstance(found, ObservedConfigMap)
        assert found.data == {"a": "b"}

    def test_a_warning_is_about_an_object(self) -> None:
        told = {"involvedObject": {"uid": "u-1"}, "message": "exceeded quota"}
        assert parse_warning(told) == ObservedWarning("u-1", "exceeded quota")


KINDS = st.sampled_from(["Pod", "Job", "PyTorchJob", "Deployment", "ConfigMap", "Role", ""])


@pytest.mark.slow
@given(KINDS, st.dictionaries(st.sampled_from(FIELDS), SHAPED, max_size=5))
def test_whatever_is_stored_can_be_read(kind: str, parts: dict[str, Any]) -> None:
    found = parse_object({**parts, "kind": kind})
    assert (found.kind, found.ref.name) == (kind, found.name)
    assert found.attempt >= 0
    if isinstance(found, ObservedPod):
        assert [failure.exit_code for failure in container_failures([found]) if failure.exit_code == 0] == []
        assert isinstance(found.is_up, bool)
    if isinstance(found, ObservedJob):
        assert found.has_ended or found.ended is None
    parse_warning(parts)


@given(JSON)
def test_whatever_stands_in_the_place_of_metadata_can_be_read(metadata: Any) -> None:
    assert parse_object({"kind": "Pod", "metadata": metadata}).kind == "Pod"
