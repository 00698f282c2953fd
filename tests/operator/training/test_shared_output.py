"""Two runs with one output: who trains, who waits, who steps back, and what each says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.observed.neighbours import neighbour_of, place_of
from tests.operator.training.world import World

OTHER = {
    "namespace": "other",
    "uid": "9f4cbb2e-0000-4000-8000-000000000002",
    "creationTimestamp": "2026-01-01T11:00:00Z",
}
THIS = {"creationTimestamp": "2026-01-01T10:00:00Z"}


def two(**spec: Any) -> tuple[World, World]:
    """An older run, and a younger one that may differ."""
    return World(**THIS), World(spec, **OTHER)


def see(*worlds: World) -> None:
    """Let each know the others as the shell does."""
    for world in worlds:
        others = [other.run for other in worlds if other is not world and place_of(other.run)]
        same = [other for other in others if place_of(other) == place_of(world.run)]
        world.neighbours = tuple(sorted(map(neighbour_of, same)))


def turn(*worlds: World) -> None:
    for world in worlds:
        see(*worlds)
        world.look()


def make_data(*worlds: World) -> None:
    for world in worlds:
        world.make_data()
    see(*worlds)


def test_who_shares_an_output_says_so_and_goes_on() -> None:
    older, younger = two(seed=7)
    turn(older, younger)
    turn(older, younger)
    assert older.condition("OutputShared") == ("True", "OthersWorkThere")
    assert older.message("OutputShared").startswith("other/first-light work below the same output.uri")
    assert younger.message("OutputShared").startswith("ml/first-light work below")
    assert not [event for event in older.events if event.reason == "OthersWorkThere"]


@pytest.mark.parametrize(
    "differs",
    [
        pytest.param({"seed": 7}, id="seed"),
        pytest.param({"model": {"size": "10m"}}, id="model"),
        pytest.param({"training": {"nodes": 2, "gpusPerNode": 1, "tokens": 10_000_000}}, id="length"),
        pytest.param({"output": {"uri": "s3://models/other"}}, id="output"),
    ],
)
def test_another_training_beside_it_does_not_wait(differs: dict[str, Any]) -> None:
    older, younger = two(**differs)
    make_data(older, younger)
    turn(older, younger)
    assert older.states() == younger.states() == "SSSSRPP"


def test_of_one_training_the_older_run_trains_and_the_other_takes_it_over() -> None:
    older, younger = two(training={"nodes": 1, "gpusPerNode": 1})
    older.settle(1)
    younger.settle(1)
    see(older, younger)
    older.make_data()
    see(older, younger)
    younger.make_data()
    turn(older, younger)
    assert (older.states(), younger.states()) == ("SSSSRPP", "SSSSPPP")
    assert younger.condition("Reconciling") == ("True", "SameTraining")
    assert younger.condition("OutputShared") == ("True", "SameTraining")
    assert "TrainingRun ml/first-light makes the same training" in younger.message("OutputShared")
    assert [event.type for event in younger.events if event.reason == "SameTraining"] == ["Warning"]
    assert younger.condition("Stalled")[0] == "False"
    older.train()
    older.make_model()
    assert older.condition("Finished")[0] == "True"
    turn(older, younger)
    assert younger.states() == "SSSSRPP"
    assert younger.condition("OutputShared") == ("False", "Alone")
    assert younger.status["restarts"] == 0


@pytest.mark.parametrize("how", ["suspended", "failed"])
def test_the_next_one_goes_on_where_the_first_cannot(how: str) -> None:
    older, younger = two()
    make_data(older)
    make_data(older, younger)
    turn(younger, older)
    assert younger.states() == "SSSSPPP"
    if how == "suspended":
        older.change(suspend=True)
    else:
        older.pods_up()
        older.hand_error("train", 2)
    turn(older, younger)
    assert younger.states() == "SSSSRPP"
    if how == "suspended":
        older.change(suspend=False)
        turn(older, younger)
        assert older.condition("Reconciling") == ("True", "SameTraining"), "not two at once"


def test_two_that_began_at_one_moment_are_parted() -> None:
    older, younger = two()
    for world in (older, younger):
        world.make_data()  # neither knew the other
    assert (older.states(), younger.states()) == ("SSSSRPP", "SSSSRPP")
    see(older, younger)
    older.look()
    younger.look()
    assert (older.states(), younger.states()) == ("SSSSRPP", "SSSSPPP")
    assert not younger.training_jobs
    assert (younger.status["restarts"], younger.status["countedRestarts"]) == (1, 0)
    younger.wait(300)
    turn(older, younger)
    assert younger.condition("Reconciling") == ("True", "SameTraining")


def run_with(uri: Any, namespace: str = "ml", status: Any = None, **pod: Any) -> dict[str, Any]:
    spec = {"output": {"uri": uri}, "training": {"podTemplate": {"spec": pod}}}
    return {"metadata": {"namespace": namespace, "name": "a"}, "spec": spec, "status": status}


CLAIM = [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake"}}]
OVER = {"conditions": [{"type": "Finished", "status": "True", "lastTransitionTime": "2026-01-01T10:00:00Z"}]}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(run_with("s3://b/x"), run_with("s3://b/x/", "other"), True, id="a slash at the end"),
        pytest.param(run_with("s3://b/x"), run_with("s3://b/x/y"), False, id="a folder below"),
        pytest.param(run_with("s3://b/x"), run_with("gs://b/x"), False, id="another store"),
        pytest.param(run_with("/lake/x"), run_with("file:///lake/x"), True, id="a path in two spellings"),
        pytest.param(run_with("/lake/x"), run_with("/lake/x", "other"), False, id="another namespace's path"),
        pytest.param(run_with("/lake/x"), run_with("/lake/x", volumes=CLAIM), False, id="another volume"),
        pytest.param(
            run_with("/x", volumes=CLAIM), run_with("/x", volumes=CLAIM), True, id="the same volume"
        ),
    ],
)
def test_when_two_outputs_are_one_place(one: Any, other: Any, same: bool) -> None:
    assert (place_of(one) == place_of(other)) is same


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(run_with("s3://b/x", status=OVER), id="over"),
        pytest.param({"metadata": {}, "spec": None}, id="no spec"),
        pytest.param({"metadata": {}, "spec": {"output": "s3://b/x"}}, id="no output"),
        pytest.param(run_with(7), id="no text"),
    ],
)
def test_what_has_no_place(run: Any) -> None:
    assert place_of(run) == ""


class TestRunAppliedAnew:
    """A large model's pod saves for minutes after its run was deleted; the next run of that name waits for it."""

    def pod(self, world: World, phase: str = "Running", given_s: float | None = 900) -> dict[str, Any]:
        labels = {names.LABEL_ROLE: names.ROLE_TRAINING, names.LABEL_OWNER: "first-light"}
        metadata: dict[str, Any] = {"name": "first-light-train-1-0", "namespace": "ml", "labels": labels}
        if given_s is not None:
            metadata["deletionTimestamp"] = timestamp(world.now + timedelta(seconds=given_s))
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase}}

    def test_trains_when_the_pods_of_the_one_before_have_ended(self) -> None:
        world = World()
        world.predecessors = (self.pod(world),)
        world.make_data()
        world.wait(800)
        world.look()
        assert not world.training_jobs
        assert world.condition("Reconciling") == ("True", "AttemptEnds")
        assert "first-light-train-1-0 of an earlier run of this name" in world.message("Reconciling")
        world.predecessors = (self.pod(world, "Succeeded"),)
        world.look()
        assert world.training_job

    @pytest.mark.parametrize(("given_s", "waits_s"), [(900.0, 900 + 120), (None, 120)])
    def test_waits_no_longer_than_they_may_take(self, given_s: float | None, waits_s: float) -> None:
        """On a node that nobody reaches they stay; without a deletion somebody orphaned them."""
        world = World()
        world.predecessors = (self.pod(world, given_s=given_s),)
        world.make_data()
        world.wait(waits_s - 1)
        world.look()
        assert not world.training_jobs
        world.wait(2)
        world.look()
        assert world.training_job
