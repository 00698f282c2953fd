"""What pods say of themselves: refusals, crashes, images that cannot be pulled."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from daybreak_contracts import names
from daybreak_operator.core.deployment.rollout.blockers import (
    CRASHES,
    containers_cannot_start,
    crash_of,
    refusal_of,
)
from tests.operator.deployment.world import M1, M2, Traffic, World, model, observed_pod, serving_world

WRONG = "fetch: s3://m: is the model abc, but def was asked for; point uri and digest at the same export"


def ended(code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message}}


def a_pod(*, init: dict[str, Any] | None = None, engine: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {
        "initContainerStatuses": [{"name": "fetch", **init}] if init else [],
        "containerStatuses": [{"name": "engine", **engine}] if engine else [],
    }
    return {"metadata": {"name": "pod"}, "status": status}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param({"metadata": {"name": "new"}}, None, id="a-pod-that-has-no-status-yet"),
        pytest.param(a_pod(init={"state": {"running": {}}}), None, id="it-still-fetches"),
        pytest.param(a_pod(init={"state": ended(0)}), None, id="it-fetched"),
        pytest.param(a_pod(init={"state": ended(75, "away")}), None, id="storage-is-away-for-a-moment"),
        pytest.param(a_pod(init={"state": ended(2, f"log\n{WRONG}\n")}), WRONG, id="other-bytes"),
        pytest.param(
            a_pod(init={"state": {"waiting": {}}, "lastState": ended(2, WRONG)}),
            WRONG,
            id="other-bytes-a-while-ago",
        ),
        pytest.param(
            a_pod(engine={"lastState": ended(2, "engine: the golden completion differs")}),
            "engine: the golden completion differs",
            id="it-answers-otherwise-than-it-should",
        ),
        pytest.param(
            a_pod(init={"state": ended(2)}),
            "container fetch left with 2 and said nothing",
            id="without-a-word",
        ),
    ],
)
def test_a_refusal(pod: dict[str, Any], expected: str | None) -> None:
    assert refusal_of([observed_pod(pod)]) == expected


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        pytest.param({"restartCount": CRASHES - 1, "lastState": ended(139)}, None, id="it-may-still-come"),
        pytest.param({"restartCount": CRASHES, "ready": True}, None, id="it-answers-in-the-end"),
        pytest.param({"restartCount": CRASHES, "lastState": ended(139)}, "it left with 139", id="it-dies"),
        pytest.param(
            {"restartCount": 9, "lastState": ended(1, "Traceback\nMemoryError: 3 GB")},
            "MemoryError",
            id="with-a-word",
        ),
    ],
)
def test_a_crash(engine: dict[str, Any], words: str | None) -> None:
    said = crash_of([observed_pod(a_pod(engine=engine))])
    assert (said is None) == (words is None)
    assert words is None or words in (said or "")


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        pytest.param({"reason": "PodInitializing"}, None, id="it-starts"),
        pytest.param({"reason": "CrashLoopBackOff"}, None, id="it-crashed"),
        pytest.param({"reason": "ImagePullBackOff"}, "ImagePullFailed", id="no-such-image"),
        pytest.param({"reason": "InvalidImageName"}, "ImagePullFailed", id="no-image-name"),
        pytest.param(
            {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'},
            "ContainerCannotStart",
            id="no-such-secret",
        ),
    ],
)
def test_what_keeps_a_container_from_starting(waiting: dict[str, Any], reason: str | None) -> None:
    found = containers_cannot_start(
        [observed_pod(a_pod(engine={"image": "registry/serve:1", "state": {"waiting": waiting}}))]
    )
    assert (found.reason if found else None) == reason


def refusing(code: int) -> dict[str, Any]:
    return {"initContainerStatuses": [{"name": "fetch", "state": ended(code, WRONG)}]}


def test_a_model_of_other_bytes_is_rejected_with_its_sentence_and_its_machines_are_given_back() -> None:
    world = serving_world()
    world.broken[names.short(M2)] = refusing(2)
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.run(30)
    assert (world.stage, world.status["rejected"]) == ("RolledBack", [M2])
    assert world.status["candidate"]["verdict"] == WRONG
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Stalled")[0] == "False"
    world.run(60)
    assert world.pods(M2) == []
    assert world.events.count(("Warning", "RolledBack")) == 1


def test_a_first_model_of_other_bytes_stalls() -> None:
    world = World()
    world.broken[names.short(M1)] = refusing(2)
    world.switch(everyone=True)
    world.run(90)
    assert world.condition("Stalled") == ("True", "ModelRefused")
    assert world.condition("Ready") == ("False", "ModelRefused")
    assert world.message("Ready") == WRONG
    assert world.pods() == []
    del world.broken[names.short(M1)]
    world.change(model={**model(M1), "uri": "s3://models/whole"})
    world.run(60)
    assert world.stable == M1


def test_an_image_that_cannot_be_pulled_stalls_until_it_can() -> None:
    world = World()
    waiting = {"name": "fetch", "image": "no/such", "state": {"waiting": {"reason": "ErrImagePull"}}}
    world.broken[names.short(M1)] = {"initContainerStatuses": [waiting]}
    world.switch(everyone=True)
    world.run(30)
    assert world.condition("Stalled") == ("True", "ImagePullFailed")
    assert "no/such" in world.message("Stalled")
    assert world.condition("Reconciling") == ("False", "Stalled")
    del world.broken[names.short(M1)]
    for pod in world.pods():
        pod["status"] = {}
    world.run(60)
    assert world.condition("Stalled")[0] == "False"
    assert world.stable == M1


def test_a_missing_secret_stalls_and_asks_for_no_machine() -> None:
    world = World(missing=("Secret team/s3 does not exist: create it",))
    world.switch(everyone=True)
    world.run(30)
    assert world.condition("Stalled") == ("True", "Missing")
    assert world.pods() == []
    world.missing = ()
    world.run(60)
    assert (world.stable, world.condition("Stalled")[0]) == (M1, "False")


def test_names_that_are_taken_stall() -> None:
    world = World(taken=("Service completions-gateway belongs to Helm: rename the ModelDeployment",))
    world.look()
    assert world.condition("Stalled") == ("True", "NameTaken")


def test_an_engine_that_always_dies_is_rolled_back() -> None:
    world = serving_world()
    dying = {"name": "engine", "restartCount": CRASHES, "lastState": ended(139)}
    world.broken[names.short(M2)] = {"containerStatuses": [dying]}
    world.change(model=model(M2))
    world.run(30)
    assert world.stage == "RolledBack"
    assert "139" in world.message("RolloutHealthy")


def test_a_stable_model_whose_bytes_changed_serves_on_and_says_so() -> None:
    world = serving_world()
    world.traffic = {M1: Traffic()}
    world.broken[names.short(M1)] = refusing(2)
    lost = world.pods(M1)[0]
    world.reclaimed.add(lost["metadata"]["name"])
    answering = world.pods(M1)[1]
    before = dict(answering["status"])
    world.look()
    answering["status"] = before
    world.look()
    assert world.stable == M1
    assert world.condition("Stalled") == ("True", "ModelRefused")


class TestQueuedEngines:
    """A deployment that names a queue of Kueue: each serving pod waits for room behind a scheduling gate."""

    LABELS: ClassVar[dict[str, str]] = {
        "kueue.x-k8s.io/queue-name": "serving",
        "kueue.x-k8s.io/priority-class": "users",
    }

    def gated(self) -> World:
        world = serving_world(labels=self.LABELS, machines={"a": 1, "b": 1})
        world.change(replicas=3)
        world.run(30)
        told = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
        for pod in world.pods():
            if "nodeName" not in pod["spec"]:
                pod["status"] = {"phase": "Pending", "conditions": [told]}
        return world

    def test_take_the_labels_of_their_deployment_and_gateways_do_not(self) -> None:
        world = serving_world(labels=self.LABELS)
        for (kind, _), child in world.children.items():
            labels = child["metadata"]["labels"]
            is_engines = kind == "Deployment" and labels[names.LABEL_ROLE] == names.ROLE_ENGINE
            assert (self.LABELS.items() <= labels.items()) == is_engines or kind == "Pod"

    @pytest.mark.slow
    def test_are_told_and_no_place_is_blamed(self) -> None:
        world = self.gated()
        world.run(7200)
        assert world.condition("CapacityAvailable") == ("False", "Queued")
        assert "queue serving holds 1 serving pods" in world.message("CapacityAvailable")
        assert world.condition("Ready") == ("True", "Serving")
        assert all(zone["state"] == "Open" for zone in world.status["zones"])
        assert len(world.pods()) == 3

    def test_that_were_let_in_are_told_no_more(self) -> None:
        world = self.gated()
        world.machines = {"a": 2, "b": 2}
        world.run(120)
        assert world.condition("CapacityAvailable") == ("True", "Enough")
