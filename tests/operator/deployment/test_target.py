"""Which model is meant, and what is said while there is none."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts.resources.deployment import DeployedModel
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel, target_of
from tests.operator.deployment.world import M1, M2, World, a_spec

FOLLOWS = {"trainingRunRef": {"name": "nightly"}}


def a_run(**status: Any) -> dict[str, Any]:
    return {"kind": "TrainingRun", "metadata": {"name": "nightly"}, "status": status}


def published(digest: str) -> dict[str, Any]:
    return a_run(model={"uri": f"s3://runs/{digest[:3]}", "digest": f"sha256:{digest}"})


def ended(why: str) -> dict[str, Any]:
    conditions = [
        {"type": "Finished", "status": "True"},
        {"type": "Succeeded", "status": "False", "reason": "GateFailed", "message": why},
    ]
    return a_run(conditions=conditions)


DATA_ALONE = a_run(
    conditions=[{"type": "Finished", "status": "True"}, {"type": "Succeeded", "status": "True"}]
)


@pytest.mark.parametrize(
    ("model", "run", "expected"),
    [
        pytest.param(
            {"uri": "s3://m", "digest": f"sha256:{M1}"},
            None,
            TargetModel(M1, "s3://m", "spec.model.uri"),
            id="a-fixed-model",
        ),
        pytest.param(
            FOLLOWS,
            published(M1),
            TargetModel(M1, "s3://runs/111", "TrainingRun/nightly"),
            id="what-its-run-published",
        ),
        pytest.param(FOLLOWS, None, "WaitingForRun", id="a-run-that-does-not-exist"),
        pytest.param(FOLLOWS, a_run(), "WaitingForModel", id="a-run-that-goes-on"),
        pytest.param(
            FOLLOWS, {"metadata": {"name": "nightly"}}, "WaitingForModel", id="a-run-without-a-status"
        ),
        pytest.param(FOLLOWS, ended("below its gate"), "RunFailed", id="a-run-that-failed"),
        pytest.param(FOLLOWS, DATA_ALONE, "RunMakesNoModel", id="a-run-that-makes-data-alone"),
    ],
)
def test_the_model(model: dict[str, Any], run: dict[str, Any] | None, expected: TargetModel | str) -> None:
    found = target_of(DeployedModel.model_validate(model), run)
    assert (found.finding.reason if isinstance(found, AwaitedModel) else found) == expected


def following(run: dict[str, Any] | None = None) -> World:
    world = World(spec=a_spec(model=FOLLOWS, rollout={"everyone": True}), followed=run)
    world.look()
    return world


def test_a_missing_run_is_waited_for() -> None:
    world = following()
    assert world.condition("Ready") == ("False", "WaitingForRun")
    assert world.condition("RolloutHealthy") == ("Unknown", "WaitingForRun")
    assert world.condition("Reconciling") == ("True", "WaitingForRun")
    assert world.condition("Stalled")[0] == "False"
    assert world.condition("CapacityAvailable") == ("Unknown", "NoModel")
    assert "nightly does not exist" in world.message("Ready")
    assert world.pods() == []
    world.followed = published(M1)
    world.run(60)
    assert world.stable == M1


def test_a_run_that_makes_no_model_is_said() -> None:
    world = following(DATA_ALONE)
    assert world.condition("Stalled") == ("True", "RunMakesNoModel")
    assert "nightly makes data alone" in world.message("Stalled")


def test_a_failed_run_is_said() -> None:
    world = following(ended("humaneval/pass@1 is 0.01, must be 0.15"))
    assert world.condition("Stalled") == ("True", "RunFailed")
    assert "must be 0.15" in world.message("Ready")


def test_a_run_that_was_tidied_away_takes_nothing_with_it() -> None:
    world = following(published(M1))
    world.run(60)
    world.followed = None
    world.run(60)
    assert (world.stable, world.ready(M1)) == (M1, 2)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("RolloutHealthy")[0] == "True"


def test_a_run_that_is_tidied_away_in_the_middle_of_a_rollout_does_not_stop_it() -> None:
    world = following(published(M1))
    world.run(60)
    world.followed = published(M2)
    world.look()
    world.followed = None
    world.run(60)
    assert (world.status["candidate"]["digest"], world.stage) == (M2, "Ramp")


def test_naming_another_run_that_has_nothing_yet_drops_the_candidate_of_the_first() -> None:
    world = following(published(M1))
    world.run(60)
    world.followed = published(M2)
    world.run(60)
    world.change(model={"trainingRunRef": {"name": "other"}})
    world.followed = None
    world.look()
    assert "candidate" not in world.status
    assert (world.stable, world.routing.candidate, world.routing.weight) == (M1, None, 0)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("RolloutHealthy") == ("Unknown", "WaitingForRun")
