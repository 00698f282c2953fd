"""An installation's new image: deployments take it up one after the other, and none waits for one that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_operator.core.deployment.observed.peers import PeerDeployment, peer_of
from daybreak_operator.settings import Images, Settings
from tests.operator.deployment.world import M1, M2, Traffic, World, a_spec, model

OLD, NEW = "registry/serve@sha256:1", "registry/serve@sha256:2"
SWITCHES = {"everyone": True, "ramp": [100], "soakSeconds": 60, "guardrails": {"minRequests": 100}}


def settings(image: str) -> Settings:
    return Settings(images=Images(serve=image))


def serving(*namespaces: str, **rollout: Any) -> list[World]:
    """Deployments of as many namespaces, each with its model on the old image."""
    worlds = []
    for namespace in namespaces:
        world = World(spec=a_spec(rollout={**SWITCHES, **rollout}), settings=settings(OLD))
        world.namespace, world.alone = namespace, len(namespaces) == 1
        world.run(120)
        worlds.append(world)
    return worlds


def images(world: World) -> tuple[str, str]:
    """Image of the stable model and of the candidate."""
    return world.status["stable"]["image"], world.status["candidate"]["image"]


def go_on(worlds: list[World], seconds: int) -> list[int]:
    """Let time pass for all of them; return how many upgraded at each moment."""
    at_once = []
    for _ in range(0, seconds, 5):
        for world in worlds:
            others = [peer_of(other.deployment()) for other in worlds if other is not world]
            world.peers = tuple(peer for peer in others if peer is not None)
            world.look()
            world.tick(5)
        at_once.append(sum(images(world) == (OLD, NEW) for world in worlds))
    return at_once


def upgrade(worlds: list[World]) -> None:
    for world in worlds:
        world.settings = settings(NEW)


def traffic(worlds: list[World], **bad: int) -> None:
    """Requests for both revisions, as soon as they are known."""
    for world in worlds:
        candidate = world.status["candidate"]
        key = f"{candidate['digest']}:{candidate['revision']}" if candidate.get("revision") else M1
        world.traffic = {M1: Traffic(requests=10), key: Traffic(requests=10, **bad)}


@pytest.mark.slow
def test_deployments_take_it_up_one_after_the_other_in_the_order_of_their_names() -> None:
    worlds = serving("c", "a", "b")
    upgrade(worlds)
    done: list[str] = []
    most = 0
    for _ in range(100):
        most = max(most, *go_on(worlds, 10))
        traffic(worlds)
        done += [w.namespace for w in worlds if images(w) == (NEW, NEW) and w.namespace not in done]
    assert most == 1
    assert done == ["a", "b", "c"]


@pytest.mark.slow
def test_who_waits_says_for_whom_and_serves() -> None:
    worlds = serving("a", "b")
    upgrade(worlds)
    go_on(worlds, 60)
    first, second = worlds
    assert images(first) == (OLD, NEW)
    assert images(second) == (OLD, OLD)
    assert second.condition("RolloutHealthy") == ("Unknown", "WaitsForItsTurn")
    assert second.message("RolloutHealthy") == (
        f"the installation's image is {NEW} now; ModelDeployment a/completions takes it up first"
    )
    assert second.condition("Ready") == ("True", "Serving")
    assert second.plan().requeue_after_s == 15


def test_one_alone_waits_for_nobody() -> None:
    (world,) = serving("a")
    upgrade([world])
    world.look()
    assert images(world) == (OLD, NEW)


def pause(world: World) -> None:
    world.switch(onBreach="Hold")


def starve(world: World) -> None:
    world.machines = {"a": 1, "b": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hinders", "stage", "bad"),
    [
        pytest.param(lambda world: None, "RolledBack", {"errors": 5}, id="was taken back"),
        pytest.param(pause, "Paused", {"errors": 5}, id="is held"),
        pytest.param(starve, "Starved", {}, id="finds no machine"),
        pytest.param(lambda world: world.switch(everyone=False), "Shadow", {}, id="is for nobody"),
    ],
)
def test_nobody_waits_for_one_that_stands_still(hinders: Any, stage: str, bad: dict[str, int]) -> None:
    worlds = serving("a", "b")
    first, second = worlds
    hinders(first)
    upgrade(worlds)
    for _ in range(120):
        go_on(worlds, 10)
        traffic([first], **bad)
        traffic([second])
    assert first.status["candidate"]["stage"] == stage
    assert images(second) == (NEW, NEW)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"runtime": {"image": "mine"}}, id="an image of its own"),
        pytest.param({"runtime": {"maxConcurrency": 16}}, id="another concurrency"),
        pytest.param({"model": model(M2)}, id="another model"),
    ],
)
def test_what_the_spec_asks_for_waits_for_nobody(change: dict[str, Any]) -> None:
    _, world = serving("a", "b")
    world.settings = settings(NEW)
    world.peers = (PeerDeployment("a/completions", upgrades=True),)
    world.change(**change)
    world.look()
    assert world.status["candidate"] != world.status["stable"]
    assert world.condition("RolloutHealthy")[1] != "WaitsForItsTurn"


def test_another_image_while_it_is_at_it_goes_on_at_once() -> None:
    worlds = serving("a", "b")
    upgrade(worlds)
    go_on(worlds, 60)
    newer = "registry/serve@sha256:3"
    worlds[0].settings = settings(newer)
    worlds[0].look()
    assert images(worlds[0]) == (OLD, newer)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": None, "spec": [], "status": "x"},
        {"metadata": {}, "status": {"stable": {"digest": "a"}, "candidate": {"digest": "b"}}},
        {
            "metadata": {},
            "spec": {"rollout": {"everyone": True}},
            "status": {
                "asleepSince": "2026-01-01T00:00:00Z",
                "stable": {"digest": "a"},
                "candidate": {"digest": "a", "revision": "b", "stage": "Pending"},
            },
        },
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_whatever_is_stored_of_another_can_be_read(body: dict[str, Any]) -> None:
    assert peer_of(body) is None
