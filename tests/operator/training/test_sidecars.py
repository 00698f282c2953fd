"""A container that others put into our pods (a mesh, a log shipper) runs on when the work is done: nobody waits."""

from __future__ import annotations

from typing import Any

from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.stages.pipeline_stage import RESULT_GRACE_S
from tests.operator.training.world import World

JOB = ("Job", "first-light-data-1")


def work_ends(world: World, code: int, message: str = "") -> None:
    """End the container that works in every pod of a Job; the sidecar goes on."""
    ended = {"exitCode": code, "finishedAt": timestamp(world.now), "message": message, "reason": "Error"}
    for pod in world.of_kind("Pod"):
        pod["status"] = {
            "phase": "Running",
            "containerStatuses": [
                {"name": "pipeline", "state": {"terminated": ended}},
                {"name": "istio-proxy", "ready": True, "state": {"running": {}}},
            ],
        }


def begun() -> World:
    """A run whose data stage works."""
    world = World()
    world.settle(2)
    world.pods_up()
    return world


def finished_data() -> World:
    world = begun()
    for step in ("documents", "xray", "tokenizer", "shards"):
        world.hand_over(step)
    return world


def is_there(world: World) -> bool:
    found: dict[str, Any] | None = world.children.get(JOB)
    return found is not None and not found["metadata"].get("deletionTimestamp")


class TestASidecar:
    def test_does_not_keep_the_job_of_a_finished_stage(self) -> None:
        world = finished_data()
        work_ends(world, 0)
        world.look()
        assert is_there(world), "its logs may still be on their way"
        world.wait(RESULT_GRACE_S + 1)
        world.look()
        assert not is_there(world)
        assert world.training_job["kind"] == "PyTorchJob"

    def test_does_not_hide_that_the_work_failed(self) -> None:
        world = begun()
        work_ends(world, 2, "spec.data: no such repository")
        world.wait(RESULT_GRACE_S + 1)
        world.look()
        assert world.condition("Succeeded") == ("False", "StepFailed")
        assert "no such repository" in world.message("Succeeded")

    def test_does_not_hide_that_the_work_was_killed(self) -> None:
        world = begun()
        work_ends(world, 137)
        world.wait(RESULT_GRACE_S + 1)
        world.look()
        assert world.status["restarts"] == 1


def test_work_that_goes_on_keeps_its_job() -> None:
    world = finished_data()
    world.look()
    world.wait(3600)
    world.look()
    assert is_there(world)
