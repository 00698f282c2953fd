"""Argo CD's verdict on what the operator really writes: the scripts over the status of played runs and rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.operator.deployment.world import M2, model, serving_world
from tests.operator.deployment.world import World as Models
from tests.operator.training.world import World as Runs
from tests.packaging.test_health import health, script_of


def of_run(world: Runs) -> str:
    return health(script_of("TrainingRun"), world.run)[0]


def of_deployment(world: Models) -> str:
    return health(script_of("ModelDeployment"), world.deployment())[0]


class TestARun:
    def test_is_progressing_until_it_has_succeeded(self) -> None:
        world = Runs()
        seen = [of_run(world)]
        steps: list[Callable[[], Any]] = [
            world.look,
            world.make_data,
            world.settle,
            world.train,
            world.make_model,
        ]
        for step in steps:
            step()
            seen.append(of_run(world))
        world.settle()
        assert (set(seen[:-1]), of_run(world)) == ({"Progressing"}, "Healthy")

    def test_is_degraded_below_its_gate_for_ever(self) -> None:
        gates = {"suites": [{"name": "HumanEval"}], "gates": [{"metric": "humaneval/pass@1", "min": "0.99"}]}
        world = Runs({"evaluation": gates})
        world.make_data()
        world.settle()
        world.train()
        world.make_model()
        world.settle()
        assert world.condition("Succeeded") == ("False", "GateFailed")
        assert of_run(world) == "Degraded"

    def test_is_suspended_and_goes_on(self) -> None:
        world = Runs({"suspend": True})
        world.settle()
        assert of_run(world) == "Suspended"
        world.change(suspend=False)
        assert of_run(world) == "Progressing", "of an older spec"
        world.settle()
        assert of_run(world) == "Progressing"

    def test_is_degraded_while_a_person_has_to_act(self) -> None:
        world = Runs()
        world.missing = ("Secret storage is not in namespace ml: create it",)
        world.settle()
        assert of_run(world) == "Degraded"
        world.missing = ()
        world.settle()
        assert of_run(world) == "Progressing"


class TestADeployment:
    def test_is_progressing_until_everyone_is_served(self) -> None:
        world = Models()
        assert of_deployment(world) == "Progressing"
        world.switch(everyone=True)
        world.look()
        assert of_deployment(world) == "Progressing"
        world.run(60)
        assert of_deployment(world) == "Healthy"

    @pytest.mark.slow
    @pytest.mark.parametrize("seconds", [5, 60, 300])
    def test_stays_healthy_through_a_rollout(self, seconds: int) -> None:
        world = serving_world()
        assert of_deployment(world) == "Healthy"
        world.change(model=model(M2), rollout={"staff": True, "everyone": True})
        assert of_deployment(world) == "Progressing", "of an older spec"
        world.run(seconds)
        assert of_deployment(world) == "Healthy"

    def test_is_degraded_while_nothing_serves_and_a_person_has_to_act(self) -> None:
        world = Models()
        world.missing = ("Secret keys is not in namespace team: create it",)
        world.look()
        assert world.condition("Stalled")[0] == "True"
        assert of_deployment(world) == "Degraded"
