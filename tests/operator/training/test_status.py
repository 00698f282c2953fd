"""What a run's status says while it goes on: coarse progress, bounded metrics, events once, nothing for nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from daybreak_contracts.metrics_snapshot import TrainerHealth, TrainerSnapshot
from daybreak_operator.core.training.decide import decide
from daybreak_operator.core.training.stages import results
from daybreak_operator.core.training.status import events
from tests.operator.training.world import World

CONDITIONS = [
    *("Succeeded", "Finished", "DataReady", "Trained", "Evaluated"),
    *("CapacityAvailable", "Suspended", "Reconciling", "Stalled"),
]


def training(**spec: Any) -> World:
    world = World(spec)
    world.make_data()
    world.pods_up()
    world.look()
    return world


def speak(world: World, step: int, **more: Any) -> None:
    world.progress = TrainerSnapshot(step=step, total_steps=1000, updated=world.now.timestamp(), **more)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(), id="a run"),
        pytest.param(World({"suspend": True}), id="a suspended run"),
        pytest.param(World({"seed": -1}), id="a run whose spec is wrong"),
    ],
)
def test_all_conditions_are_there_from_the_first_look(world: World) -> None:
    world.look()
    assert [item["type"] for item in world.status["conditions"]] == CONDITIONS
    assert all(item["reason"] and item["message"] for item in world.status["conditions"])


def test_a_decision_changes_nothing_that_it_is_given() -> None:
    world = training(training={"podTemplate": {"spec": {"tolerations": [{"key": "gpu"}]}}, "nodes": 2})
    observed = world.observe()
    before = copy.deepcopy(observed)
    first = decide(observed, world.now)
    assert observed == before
    assert decide(observed, world.now) == first


OF_THE_DATA = ("dataTokens", "samplesLeftOut", "epochs")


def of_the_trainer(world: World) -> list[dict[str, str]]:
    return [metric for metric in world.status["metrics"] if metric["name"] not in OF_THE_DATA]


class TestProgress:
    def test_a_quiet_minute_writes_nothing(self) -> None:
        world = training()
        world.settle(2)
        writes = world.writes
        for _ in range(12):
            world.wait(5)
            world.look()
        assert world.writes - writes <= 2

    def test_moves_by_whole_percents_at_once_and_else_twice_a_minute(self) -> None:
        world = training()
        speak(world, 1, loss=4.0)
        world.wait(31)
        world.look()
        assert {"name": "loss", "value": "4"} in world.status["metrics"]
        writes = world.writes
        for step in (2, 3, 4):
            world.wait(5)
            speak(world, step, loss=4.0 - step / 10)
            world.look()
        assert world.writes == writes
        world.wait(20)
        world.look()
        assert {"name": "loss", "value": "3.6"} in world.status["metrics"]
        percent = world.status["progressPercent"]
        speak(world, 500, loss=2.0)
        world.wait(1)
        world.look()
        assert world.status["progressPercent"] > percent

    def test_warns_when_the_data_is_repeated_too_often(self) -> None:
        world = training()
        (shards,) = [step for step in world.status["steps"] if step["name"] == "shards"]
        assert "epochs for 1m: beyond 16 epochs next to nothing is learnt" in shards["message"]
        (event,) = [event for event in world.events if event.reason == "DataRepeats"]
        assert event.type == "Warning"
        assert tuple(metric["name"] for metric in world.status["metrics"])[:3] == OF_THE_DATA

    def test_a_step_larger_than_the_data_does_not_stop_the_operator(self) -> None:
        """The plan refuses it: the run went on to no stage, and its trainer had no chance to say why."""
        world = training(training={"schedule": {"batchTokens": 2048 << 20}})
        assert world.condition("DataReady")[0] == "True"
        assert not [metric for metric in world.status["metrics"] if metric["name"] in OF_THE_DATA]

    def test_tells_the_trainers_own_metrics(self) -> None:
        world = training()
        speak(world, 500, loss=2.34567, tokens_per_second=123456.7, mfu=0.4321, seconds_left=3600.0)
        world.wait(31)
        world.look()
        assert of_the_trainer(world) == [
            {"name": "loss", "value": "2.346"},
            {"name": "tokensPerSecond", "value": "123500"},
            {"name": "mfu", "value": "0.4321"},
        ]
        assert 3600 <= world.status["estimatedSecondsLeft"] <= 3600 + 300
        assert world.status["step"] == "train"

    @pytest.mark.parametrize("loss", [float("nan"), float("inf"), 1e12])
    def test_leaves_out_what_a_status_cannot_hold(self, loss: float) -> None:
        world = training()
        speak(world, 5, loss=loss, tokens_per_second=10.0)
        world.wait(31)
        world.look()
        assert of_the_trainer(world) == [{"name": "tokensPerSecond", "value": "10"}]

    def test_knows_its_end_only_at_the_end(self) -> None:
        world = World()
        seen = []
        for part in (world.look, world.make_data, world.train, world.make_model):
            part()
            seen.append(world.status["progressPercent"])
        assert seen == sorted(seen)
        assert seen[-1] == 100
        assert all(percent < 100 for percent in seen[:-1])
        assert "estimatedSecondsLeft" not in world.status

    def test_a_time_limit_on_training_is_its_expected_length(self) -> None:
        world = World({"training": {"deadlineSeconds": 86_400}})
        world.look()
        assert world.status["estimatedSecondsLeft"] > 80_000


class TestEvents:
    def test_of_a_whole_run_come_once_each(self) -> None:
        world = World()
        world.make_data()
        world.train()
        world.make_model()
        world.settle(3)
        told = [event.reason for event in world.events]
        assert told.count("Started") == 1
        assert told.count("StepSucceeded") == 7
        assert told[-1] == "Completed"
        assert told.count("Completed") == 1

    def test_name_the_cause_of_a_restart(self) -> None:
        world = training()
        world.pod_fails("first-light-train-1-worker-0", 137, "OOM")
        world.look()
        (told,) = [event for event in world.events if event.reason == "Restarting"]
        assert told.type == "Warning"
        assert (
            told.message == "Restart 1 (counted): pod first-light-train-1-worker-0 exited with code 137: OOM"
        )

    def test_warn_of_what_is_in_the_way_once(self) -> None:
        world = World()
        world.missing = ("Secret keys is missing: create it",)
        world.settle(3)
        assert [(event.type, event.reason) for event in world.events] == [("Warning", "ReferenceMissing")]

    def test_are_not_longer_than_an_event_may_be(self) -> None:
        step = {"name": "train", "state": "Failed", "message": "x" * 5000}
        (told,) = events.events_of({}, {"steps": [step]})
        assert len(told.message) == events.MAX_NOTE


class TestReports:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param({"progress.json": "{"}, id="torn"),
            pytest.param({"progress.json": "[1]"}, id="a list"),
            pytest.param(
                {"progress.json": '{"done": "many", "total": 1e999, "updated": null}'}, id="odd values"
            ),
            pytest.param({"progress.json": '{"done": 3, "total": 0}'}, id="nobody knows the total"),
        ],
    )
    def test_of_progress_that_say_nothing_are_nothing(self, data: dict[str, str]) -> None:
        report = results.read(data, ("train",))
        assert (report.share, report.updated, report.results, report.errors) == (0.0, None, {}, {})

    @pytest.mark.parametrize(
        "text",
        [
            *("", "{", "null", "[]", "3", '{"result": null}', '{"error": {}}', '{"error": "x"}', "{}"),
            '{"error": {"exitCode": "two", "message": "m"}}',
            '{"result": {"uri": "", "digest": "d", "num_parameters": 1}}',
            '{"result": {"uri": "' + "u" * 1025 + '", "digest": "d", "num_parameters": 1}}',
        ],
    )
    def test_of_a_result_that_cannot_be_read_are_bugs_that_say_so(self, text: str) -> None:
        error = results.read({"export.json": text}, ("export",)).errors["export"]
        assert str(error).startswith("what step export reported cannot be read (")


FOUND = TrainerHealth(reason="SpikeSkipped", message="step 30: the loss spiked", spikes=1, steps_left_out=1)


class TestHealth:
    def test_a_finding_is_a_condition_an_event_and_numbers(self) -> None:
        world = training()
        speak(world, 31, health=FOUND)
        world.look()
        assert world.condition("TrainingHealthy") == ("False", "SpikeSkipped")
        assert "step 30" in world.message("TrainingHealthy")
        assert ("Warning", "SpikeSkipped") in [(event.type, event.reason) for event in world.events]
        assert {"name": "spikes", "value": "1"} in world.status["metrics"]

    def test_it_is_told_once_and_again_when_there_is_another(self) -> None:
        world = training()
        for step, message in ((31, "step 30"), (32, "step 30"), (41, "step 40")):
            speak(world, step, health=FOUND.model_copy(update={"message": message}))
            world.look()
        assert [event.message for event in world.events if event.reason == "SpikeSkipped"] == [
            "step 30",
            "step 40",
        ]

    def test_it_is_over_when_the_trainer_says_so(self) -> None:
        world = training()
        for reason in ("SpikeSkipped", ""):
            speak(world, 31, health=FOUND.model_copy(update={"reason": reason}))
            world.look()
        assert world.condition("TrainingHealthy") == ("True", "NothingFound")
        assert "since step 30" in world.message("TrainingHealthy")
