"""Another image or concurrency is rolled out as a model is: beside the stable one, judged, and taken back."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.settings import Images, Settings
from tests.operator.deployment.world import M1, M2, Traffic, World, a_spec, model

OLD, NEW = "registry/serve@sha256:1", "registry/serve@sha256:2"
SWITCHES = {
    "staff": False,
    "everyone": True,
    "ramp": [10, 100],
    "soakSeconds": 60,
    "guardrails": {"minRequests": 100},
}


def settings(image: str) -> Settings:
    return Settings(images=Images(serve=image))


def serving() -> World:
    """A world whose stable model is on the old image."""
    world = World(spec=a_spec(rollout=dict(SWITCHES)), settings=settings(OLD))
    world.run(120)
    assert world.stable == M1
    return world


def images(world: World) -> dict[str, str]:
    """Image by revision of the engines' Deployments that have pods."""
    return {
        child["metadata"]["labels"][names.LABEL_REVISION]: child["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        for (kind, _), child in world.children.items()
        if kind == "Deployment"
        and names.LABEL_REVISION in child["metadata"]["labels"]
        and child["spec"]["replicas"]
    }


def upgrade(world: World) -> str:
    """The operator comes with another image; return the candidate's key."""
    world.settings = settings(NEW)
    world.look()
    candidate = world.status["candidate"]
    return f"{candidate['digest']}:{candidate['revision']}"


class TestAnUpgrade:
    def test_leaves_the_stable_pods_alone_and_makes_a_candidate(self) -> None:
        world = serving()
        key = upgrade(world)
        world.run(10)
        assert images(world) == {names.short(M1): OLD, names.short(key): NEW}
        assert (world.status["stable"]["digest"], world.status["stable"]["image"]) == (M1, OLD)
        assert (world.status["candidate"]["digest"], world.status["candidate"]["image"]) == (M1, NEW)
        assert f"on image {NEW}" in world.message("RolloutHealthy")
        assert world.condition("Ready")[0] == "True"

    @pytest.mark.slow
    def test_ramps_and_ends_with_the_new_image_alone(self) -> None:
        world = serving()
        key = upgrade(world)
        world.traffic = {M1: Traffic(requests=10), key: Traffic(requests=10)}
        weights = []
        for _ in range(80):
            world.run(10)
            weights.append(world.weight if world.status["candidate"]["stage"] == "Ramp" else None)
        assert 10 in weights
        assert world.routing.stable == key
        assert images(world) == {names.short(key): NEW}
        assert world.status["stable"]["revision"] == names.short(key)
        assert world.status["stable"]["digest"] == M1
        assert world.ready(key) == 2

    @pytest.mark.slow
    def test_that_fails_is_taken_back_and_not_tried_again(self) -> None:
        world = serving()
        key = upgrade(world)
        world.traffic = {M1: Traffic(requests=10), key: Traffic(requests=10, errors=5)}
        world.run(600)
        assert world.status["candidate"]["stage"] == "RolledBack"
        assert world.status["rejected"] == [key]
        assert world.routing.stable == M1
        assert images(world) == {names.short(M1): OLD}

    @pytest.mark.slow
    def test_back_to_the_old_image_drops_the_candidate(self) -> None:
        world = serving()
        upgrade(world)
        world.run(10)
        world.settings = settings(OLD)
        world.run(120)
        assert images(world) == {names.short(M1): OLD}
        assert world.routing.candidate is None

    @pytest.mark.slow
    def test_without_a_machine_is_starved_and_says_so(self) -> None:
        world = serving()
        world.machines = {"a": 1, "b": 1}
        upgrade(world)
        world.run(900)
        assert world.condition("RolloutHealthy") == ("False", "Starved")
        assert world.condition("Ready")[0] == "True"
        assert images(world)[names.short(M1)] == OLD

    def test_of_an_operator_that_remembered_no_image_goes_on_with_what_the_pods_have(self) -> None:
        world = serving()
        for part in ("stable", "candidate"):
            del world.status[part]["image"]
        upgrade(world)
        assert world.status["stable"]["image"] == OLD
        assert images(world)[names.short(M1)] == OLD
        assert world.status["candidate"]["image"] == NEW

    def test_that_finds_nothing_changed_changes_nothing(self) -> None:
        world = serving()
        before = dict(world.status)
        for part in ("stable", "candidate"):
            world.status[part] = {
                name: value for name, value in world.status[part].items() if name != "image"
            }
        world.run(30)
        assert world.status["stable"] == before["stable"]
        assert world.condition("RolloutHealthy") == ("True", "NoRollout")


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": {"image": "mine"}},
        {"runtime": {"maxConcurrency": 16}},
        {"runtime": {"kind": "TritonVLLM"}},
    ],
    ids=["an image of the spec's own", "another concurrency", "another backend"],
)
def test_what_the_spec_says_of_the_runtime_is_rolled_out(change: dict[str, Any]) -> None:
    world = serving()
    world.change(**change)
    world.run(10)
    assert len(images(world)) == 2
    assert world.status["candidate"]["revision"]
    assert world.routing.stable == M1


def test_a_new_model_takes_the_new_image_with_it_and_goes_by_its_digest() -> None:
    world = serving()
    world.settings = settings(NEW)
    world.change(model=model(M2))
    world.run(10)
    assert images(world) == {names.short(M1): OLD, names.short(M2): NEW}
    assert world.routing.candidate == M2


def test_the_engines_of_a_candidate_fetch_the_model_itself() -> None:
    world = serving()
    key = upgrade(world)
    world.run(10)
    pods = [
        child["spec"]["template"]
        for (kind, _), child in world.children.items()
        if kind == "Deployment" and child["metadata"]["labels"].get(names.LABEL_REVISION) == names.short(key)
    ]
    assert all(M1 in pod["spec"]["initContainers"][0]["args"] for pod in pods)
    assert {pod["metadata"]["annotations"][names.ANNOTATION_DIGEST] for pod in pods} == {M1}
    assert ("Service", f"completions-{names.short(key)}") in world.children


@pytest.mark.parametrize(
    ("revision", "digest"),
    [(M1, M1), (f"sha256:{M1}", f"sha256:{M1}"), (names.revision_key(M1, "x"), M1), ("local", "local")],
)
def test_a_revision_tells_its_model(revision: str, digest: str) -> None:
    assert names.model_of(revision) == digest


def test_a_change_of_shape_that_makes_no_progress_asks_for_a_person() -> None:
    world = serving()
    for (kind, _), child in world.children.items():
        if kind == "Deployment" and names.LABEL_REVISION in child["metadata"]["labels"]:
            late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
            child["status"] = {"conditions": [late], "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}
    stalled = next(one for one in world.plan().status["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "PodsNotReplaced")
    assert "1 of an earlier shape answer on" in stalled["message"]
