"""How a run is held, ends and goes: suspension, deadline, gates, time to live, deletion, specs that are wrong."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from daybreak_contracts import names
from daybreak_operator.core.training.decide import decide
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Images, Settings
from tests.operator.training.world import SPEC, UID, World

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")
FIRST = f"{UID}-data-1"


def training(**spec: Any) -> World:
    world = World(spec)
    world.make_data()
    world.pods_up()
    world.look()
    return world


def evaluated(*, passed: float = 0.2, **spec: Any) -> World:
    world = World(spec)
    world.make_data()
    world.train()
    score = {"metric": "humaneval/pass@1", "value": passed, "low": 0.1, "high": 0.3, "num_tasks": 164}
    world.make_model(scores=[score])
    return world


class TestSuspension:
    def test_of_a_new_run_begins_nothing(self) -> None:
        world = World({"suspend": True})
        plan = world.settle(2)
        assert world.condition("Suspended") == ("True", "Suspended")
        assert world.children == {}
        assert "startTime" not in world.status
        assert plan.requeue_after_s is None

    def test_stops_training_and_goes_on_under_the_next_name_free_of_charge(self) -> None:
        world = training()
        world.change(suspend=True)
        world.settle(2)
        assert not world.of_kind("PyTorchJob")
        assert world.condition("Suspended")[0] == "True"
        assert world.condition("Succeeded")[0] == "Unknown"
        assert world.condition("Reconciling")[0] == "False"
        assert world.states() == "SSSSPPP"
        world.wait(5000)
        assert world.look().requeue_after_s is None
        world.change(suspend=False)
        world.settle(2)
        assert world.the("PyTorchJob")["metadata"]["name"] == "first-light-train-2"
        assert (world.status["restarts"], world.status["countedRestarts"], world.status["attempt"]) == (
            0,
            0,
            2,
        )
        world.pods_up()
        world.look()
        assert world.condition("CapacityAvailable")[0] == "True"
        assert world.status["restarts"] == 0
        assert [event.reason for event in world.events if event.reason in ("Suspended", "Resumed")] == [
            "Suspended",
            "Resumed",
        ]

    def test_stops_a_job(self) -> None:
        world = World()
        world.look()
        world.change(suspend=True)
        world.look()
        assert not world.of_kind("Job")
        world.change(suspend=False)
        world.look()
        assert world.the("Job")["metadata"]["name"] == "first-light-data-2"

    def test_stops_a_pipeline_and_submits_another_when_it_has_ended(self) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.change(suspend=True)
        plan = world.look()
        assert plan.terminate == (FIRST,)
        assert plan.finalizer
        world.change(suspend=False)
        world.settle(3)
        assert world.submitted == [FIRST]
        world.pipelines[FIRST] = PipelineRun("Failed")
        world.settle(2)
        assert world.submitted == [FIRST, f"{UID}-data-2"]
        assert world.status["restarts"] == 0

    def test_while_the_back_end_is_down_is_made_up_for(self) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.backend_error = "down"
        world.change(suspend=True)
        assert world.settle(2).finalizer
        world.backend_error = None
        assert world.look().terminate == (FIRST,)
        assert world.step("documents")["attempt"] == 2

    def test_back_and_forth_uses_one_name_each_time_something_began(self) -> None:
        world = training()
        for _ in range(3):
            world.change(suspend=True)
            world.look()
            world.change(suspend=False)
            world.settle(2)
        assert world.status["attempt"] == 4
        assert len(world.of_kind("PyTorchJob")) == 1


class TestDeadline:
    def test_ends_the_run_and_what_runs(self) -> None:
        world = training(runPolicy={"activeDeadlineSeconds": 3600})
        world.wait(3600)
        plan = world.look()
        assert world.condition("Succeeded") == ("False", "DeadlineExceeded")
        assert "3600 s" in world.message("Succeeded")
        assert [ref.kind for ref in plan.delete] == ["PyTorchJob"]
        assert world.of_kind("Pod") == []

    def test_is_when_the_run_is_looked_at_again(self) -> None:
        world = training(runPolicy={"activeDeadlineSeconds": 3600})
        world.wait(3595)
        assert world.look().requeue_after_s == 5.0

    def test_stops_a_pipeline(self) -> None:
        world = World({"runPolicy": {"activeDeadlineSeconds": 60}}, KUBEFLOW)
        world.settle(2)
        world.wait(60)
        plan = world.look()
        assert (plan.terminate, plan.finalizer) == ((FIRST,), True)
        world.pipelines[FIRST] = PipelineRun("Failed")
        assert not world.look().finalizer

    def test_may_be_lengthened_while_the_run_goes_on(self) -> None:
        world = training(runPolicy={"activeDeadlineSeconds": 3600})
        world.change(runPolicy={"activeDeadlineSeconds": 7200})
        world.wait(3600)
        world.look()
        assert world.condition("Succeeded")[0] == "Unknown"


class TestGates:
    GATE: tuple[dict[str, Any], ...] = ({"metric": "humaneval/pass@1", "min": "0.15"},)

    @pytest.mark.parametrize(
        ("passed", "succeeded"),
        [pytest.param(0.15, True, id="at the floor"), pytest.param(0.149999, False, id="below the floor")],
    )
    def test_decide_whether_the_model_is_published(self, passed: float, succeeded: bool) -> None:
        world = evaluated(passed=passed, evaluation={"gates": list(self.GATE)})
        assert ("model" in world.status) == succeeded
        expected = ("True", "Completed") if succeeded else ("False", "GateFailed")
        assert world.condition("Succeeded") == expected
        assert world.condition("Evaluated") == ("True", "Completed")

    def test_tell_the_score_and_the_bound(self) -> None:
        world = evaluated(passed=0.1, evaluation={"gates": list(self.GATE)})
        assert world.message("Succeeded") == "humaneval/pass@1 is 0.1, below the gate's minimum of 0.15"

    def test_count_as_they_are_at_the_end(self) -> None:
        world = World()
        world.make_data()
        world.train()
        world.change(evaluation={"gates": [{"metric": "humaneval/pass@1", "min": "0.5"}]})
        world.make_model()
        assert world.condition("Succeeded") == ("False", "GateFailed")

    def test_on_a_score_that_nobody_reports_wait_for_a_better_gate(self) -> None:
        world = World()
        world.make_data()
        world.train()
        world.change(evaluation={"gates": [{"metric": "humaneval/pass@9", "min": "0.5"}]})
        world.make_model()
        assert world.condition("Stalled") == ("True", "UnknownMetric")
        assert "known are humaneval/pass@1" in world.message("Stalled")
        assert world.condition("Succeeded")[0] == "Unknown"
        world.remove(("ConfigMap", "first-light-model-1"))
        world.change(evaluation={"gates": list(self.GATE)})
        world.look()
        assert world.condition("Succeeded") == ("True", "Completed")

    def test_on_one_of_many_languages_survive_in_the_status(self) -> None:
        """The status has room for 64 numbers; the score that a gate is on is among them, wherever it was reported."""
        names = [f"our-bench/language-{number}/pass@1" for number in range(80)]
        world = World({"evaluation": {"gates": [{"metric": names[-1], "min": "0.5"}]}})
        world.make_data()
        world.train()
        scores = [{"metric": name, "value": 0.6, "low": 0.5, "high": 0.7, "num_tasks": 20} for name in names]
        world.make_model(scores=scores)
        assert world.condition("Succeeded") == ("True", "Completed")
        kept = [metric["name"] for metric in world.status["metrics"]]
        assert len(kept) == 64 and names[-1] in kept


class TestFinished:
    def test_nothing_is_ever_made_again(self) -> None:
        world = evaluated()
        before = world.status
        world.children.clear()
        world.wait(100_000)
        plan = world.look()
        assert (plan.submit, plan.delete, plan.status) == ((), (), before)
        assert [child["metadata"]["name"] for child in plan.apply] == ["first-light-finished"]
        assert plan.requeue_after_s is None
        assert plan.events == ()

    def test_a_later_edit_is_observed_and_changes_nothing_else(self) -> None:
        world = evaluated()
        before = dict(world.status)
        world.change(evaluation={"gates": [{"metric": "humaneval/pass@1", "min": "0.9"}]}, seed=-1)
        world.look()
        assert world.status == {**before, "observedGeneration": 2}

    def test_it_deletes_itself_when_its_time_is_over(self) -> None:
        world = evaluated(runPolicy={"ttlSecondsAfterFinished": 60})
        assert world.look().requeue_after_s == 60
        world.wait(59)
        assert not world.look().delete_self
        world.wait(1)
        assert world.look().delete_self
        assert world.gone

    def test_what_still_runs_is_removed_after_a_while(self) -> None:
        world = World()
        world.make_data()
        world.train()
        world.make_pods()
        world.make_model()
        assert world.of_kind("Job")
        world.wait(61)
        world.look()
        assert [job["metadata"]["name"] for job in world.of_kind("Job")] == ["first-light-data-1"]

    def test_orphaned_pods_are_removed(self) -> None:
        world = training()
        pods = dict(world.children)
        world.hand_error("train", 2)
        world.look()
        world.children = {key: item for key, item in pods.items() if key[0] == "Pod"}
        world.wait(61)
        world.look()
        assert not world.of_kind("Pod")


class TestDeletion:
    @pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
    def test_in_any_phase_leaves_nothing_behind(self, settings: Settings) -> None:
        world = World(settings=settings)
        for phase in (lambda: None, world.look, world.look, world.make_data, world.train, world.make_model):
            phase()
            copied = World(settings=settings)
            copied.__dict__.update(
                {**world.__dict__, "run": {**world.run, "metadata": {**world.run["metadata"]}}}
            )
            copied.children, copied.pipelines = dict(world.children), dict(world.pipelines)
            copied.delete_run()
            for _ in range(3):
                if copied.gone:
                    break
                copied.look()
                copied.pipelines = {
                    key: PipelineRun("Failed") if run.state == "Canceling" else run
                    for key, run in copied.pipelines.items()
                }
            assert copied.gone
            assert not any(run.state in ("Pending", "Running") for run in copied.pipelines.values())

    def test_waits_until_a_pipeline_has_stopped(self) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.delete_run()
        plan = world.look()
        assert (plan.terminate, plan.finalizer, plan.apply) == ((FIRST,), True, ())
        assert world.look().terminate == ()
        world.pipelines[FIRST] = PipelineRun("Failed")
        assert not world.look().finalizer
        assert world.gone

    def test_does_not_wait_for_ever_for_a_back_end_that_is_gone(self) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.delete_run()
        world.backend_error = "no such host"
        world.wait(599)
        assert world.look().finalizer
        world.wait(2)
        plan = world.look()
        assert [event.reason for event in plan.events] == ["PipelineLeftRunning"]
        assert world.condition("Reconciling") == ("True", "PipelineLeftRunning")  # an event follows a status
        assert world.gone

    def test_gives_up_without_asking_once_more_for_a_pipeline_that_cannot_be_stopped(self) -> None:
        """Kubeflow answers 500 to every termination of a run whose workflow is gone."""
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.delete_run()
        world.wait(599)
        assert decide(world.observe(), world.now).terminate == (FIRST,)
        world.wait(2)
        plan = decide(world.observe(), world.now)
        assert (plan.terminate, plan.finalizer) == ((), False)

    @pytest.mark.parametrize("state", ["Lost", "Failed", "Absent"])
    def test_waits_for_no_pipeline_that_nothing_works_at(self, state: Any) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.delete_run()
        world.look()
        world.pipeline(state)
        world.look()
        assert world.gone

    def test_says_what_it_waits_for_now(self) -> None:
        world = World(settings=KUBEFLOW)
        world.settle(2)
        world.backend_error = "no such host"
        world.look()
        world.delete_run()
        world.look()
        assert world.condition("Reconciling") == ("True", "BackendUnavailable")
        world.backend_error = None
        world.look()
        assert world.condition("Reconciling") == ("True", "Deleting")
        assert FIRST in world.message("Reconciling")


class TestPodTemplate:
    WRONG: ClassVar[dict[str, Any]] = {"spec": {"nodeSelector": {"pool": "gone"}}}
    RIGHT: ClassVar[dict[str, Any]] = {"spec": {"nodeSelector": {"pool": "there"}}}

    def template(self, which: dict[str, Any]) -> dict[str, Any]:
        return {**SPEC["training"], "podTemplate": which}

    def chosen(self, world: World, kind: str) -> list[Any]:
        found = []
        for job in world.of_kind(kind):
            spec = job["spec"]
            template = (
                spec["pytorchReplicaSpecs"]["Master"]["template"]
                if kind == "PyTorchJob"
                else spec["template"]
            )
            found.append(template["spec"].get("nodeSelector"))
        return found

    def test_that_was_refused_is_corrected_in_the_run(self) -> None:
        world = World({"training": self.template({"spec": {"toleration": []}})})
        world.look()
        world.remove(("Job", "first-light-data-1"))
        world.refused = (
            "Job first-light-data-1 was refused: .spec.toleration: field not declared in schema",
        )
        world.look()
        assert world.condition("Stalled") == ("True", "ChildRefused")
        world.refused = ()
        world.change(training=self.template(self.RIGHT))
        world.remove(("Job", "first-light-data-1"))
        world.settle(2)
        assert world.condition("Stalled")[0] == "False"
        assert self.chosen(world, "Job") == [{"pool": "there"}]

    def test_with_which_no_pod_starts_is_replaced_free_of_charge(self) -> None:
        world = World({"training": self.template(self.WRONG)})
        world.settle(2)
        world.make_pods()
        world.look()
        world.change(training=self.template(self.RIGHT))
        for _ in range(20):
            world.look()
            world.wait(30)
        assert self.chosen(world, "Job") == [{"pool": "there"}]
        assert world.status["countedRestarts"] == 0

    def test_of_training_pods_that_are_not_up_too(self) -> None:
        world = World({"training": self.template(self.WRONG)})
        world.make_data()
        world.make_pods()
        world.look()
        world.change(training=self.template(self.RIGHT))
        for _ in range(20):
            world.look()
            world.wait(30)
        assert self.chosen(world, "PyTorchJob") == [{"pool": "there"}]
        assert world.status["countedRestarts"] == 0

    def test_of_pods_that_run_is_left_alone_until_the_next_attempt(self) -> None:
        world = training(training=self.template(self.WRONG))
        world.change(training=self.template(self.RIGHT))
        world.settle(3)
        assert self.chosen(world, "PyTorchJob") == [{"pool": "gone"}]
        assert world.status["restarts"] == 0
        world.pod_fails("first-light-train-1-worker-0", 1)
        for _ in range(20):
            world.look()
            world.wait(30)
        assert self.chosen(world, "PyTorchJob") == [{"pool": "there"}]


class TestSpec:
    def test_that_is_wrong_stalls_with_every_problem(self) -> None:
        world = World({"seed": -1, "model": {"size": "9b"}, "colour": "red"})
        plan = world.look()
        assert world.condition("Stalled") == ("True", "InvalidSpec")
        message = world.message("Stalled")
        assert all(path in message for path in ("spec.seed", "spec.model.size", "spec.colour"))
        assert world.condition("Succeeded")[0] == "Unknown"
        assert (plan.apply, world.status["observedGeneration"]) == ((), 1)
        world.run["spec"] = dict(SPEC)
        world.look()
        assert world.condition("Stalled")[0] == "False"
        assert world.of_kind("Job")

    def test_with_more_processes_than_samples_is_held_before_anything_is_placed(self) -> None:
        world = World({"model": {"size": "10m"}, "training": {"gpusPerNode": 8, "contextLength": 2048}})
        plan = world.look()
        assert world.condition("Stalled") == ("True", "TooManyProcesses")
        assert "8 processes" in world.message("Stalled")
        assert plan.apply == ()
        world.run["spec"]["training"]["gpusPerNode"] = 1
        world.look()
        assert world.of_kind("Job")

    def test_the_one_at_the_start_counts(self) -> None:
        world = training()
        world.change(training={"nodes": 5}, tracking={"wandb": {"project": "other"}})
        world.pod_fails("first-light-train-1-worker-0", 1)
        world.settle(3)
        replicas = world.the("PyTorchJob")["spec"]["pytorchReplicaSpecs"]
        assert replicas["Worker"]["replicas"] == 1

    def test_a_snapshot_that_was_deleted_is_made_again_from_the_same_spec(self) -> None:
        world = training()
        snapshot = ("ConfigMap", names.snapshot_name("first-light"))
        kept = world.children.pop(snapshot)
        world.look()
        assert world.children[snapshot]["data"] == kept["data"]

    def test_a_snapshot_that_was_lost_with_its_spec_stalls(self) -> None:
        world = training()
        del world.children[("ConfigMap", names.snapshot_name("first-light"))]
        world.change(seed=3)
        world.look()
        assert world.condition("Stalled") == ("True", "SnapshotLost")
        assert world.of_kind("PyTorchJob")

    def unreadable(self) -> World:
        """A run under way whose spec and snapshot both say what no release takes any more."""
        world = training()
        del world.children[("ConfigMap", names.snapshot_name("first-light"))]
        world.change(seed=-1)
        world.look()
        assert world.condition("Stalled") == ("True", "InvalidSpec")
        return world

    def test_that_becomes_wrong_stops_nothing(self) -> None:
        world = self.unreadable()
        plan = world.look()
        assert (plan.apply, plan.delete) == ((), ())
        assert "spec.seed" in world.message("Stalled")
        assert world.condition("DataReady") == ("True", "Completed")
        world.change(seed=0)
        world.look()
        assert world.condition("Stalled")[0] == "False"
        assert world.status["restarts"] == 0
        assert world.of_kind("PyTorchJob")

    def test_that_no_release_takes_any_more_is_suspended_all_the_same(self) -> None:
        world = self.unreadable()
        world.change(suspend=True)
        world.settle(2)
        assert world.condition("Suspended") == ("True", "Suspended")
        assert world.condition("Stalled") == ("True", "InvalidSpec")
        assert not world.of_kind("PyTorchJob")
        world.change(suspend=False)
        world.look()
        assert world.condition("Suspended") == ("False", "NotSuspended")
        world.change(seed=0)
        world.settle(3)
        assert world.of_kind("PyTorchJob")
        assert world.status["countedRestarts"] == 0

    def test_that_no_release_takes_any_more_ends_by_its_deadline(self) -> None:
        world = self.unreadable()
        world.change(runPolicy={"activeDeadlineSeconds": 3600})
        world.look()
        assert world.condition("Finished")[0] == "False"
        world.wait(3600)
        world.settle(2)
        assert world.condition("Finished") == ("True", "DeadlineExceeded")
        assert world.condition("Succeeded") == ("False", "DeadlineExceeded")
        assert not world.of_kind("PyTorchJob")

    def test_of_an_older_release_does_not_stop_a_run_that_began_by_one_that_holds(self) -> None:
        """Its frozen parts can't be changed, so it goes on by its snapshot, and says what the next run must."""
        world = training()
        world.change(seed=-1, colour="red")
        world.look()
        assert world.condition("Stalled") == ("False", "SpecOutdated")
        assert "spec.seed" in world.message("Stalled")
        assert [event.reason for event in world.events].count("SpecOutdated") == 1
        world.change(suspend=True)
        world.settle(2)
        assert world.condition("Suspended") == ("True", "Suspended")
        assert not world.of_kind("PyTorchJob")
        world.change(suspend=False)
        world.settle(2)
        world.pods_up()
        world.train()
        world.make_model()
        world.settle(2)
        assert world.condition("Succeeded")[0] == "True"

    def test_a_release_that_knows_more_fields_reads_the_snapshot_of_the_one_before(self) -> None:
        world = training()
        snapshot = world.children[("ConfigMap", names.snapshot_name("first-light"))]
        kept = json.loads(snapshot["data"]["run.json"])
        del kept["spec"]["training"]["checkpoint"], kept["spec"]["seed"]
        snapshot["data"]["run.json"] = json.dumps(kept)
        world.look()
        assert world.condition("Stalled")[0] == "False"

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"spec": {}, "images": {}, "digest": "x"}'])
    def test_a_snapshot_that_cannot_be_read_is_written_anew(self, text: str) -> None:
        world = training()
        snapshot = world.children[("ConfigMap", names.snapshot_name("first-light"))]
        kept, snapshot["data"] = snapshot["data"], {"run.json": text}
        world.look()
        assert world.condition("Stalled")[0] == "False"
        assert snapshot["data"] == kept

    def test_an_upgrade_changes_no_run_halfway(self) -> None:
        world = World(settings=Settings(images=Images(pipelines="r/pipelines:1")))
        world.look()
        world.settings = Settings(images=Images(pipelines="r/pipelines:2"))
        world.hand_error("documents", 75)
        world.settle(2)
        world.wait(61)
        world.settle(2)
        (job,) = world.of_kind("Job")
        assert job["metadata"]["name"] == "first-light-data-2"
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "r/pipelines:1"

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param({"steps": "all"}, id="a field of another shape"),
            pytest.param({"restarts": -4, "observedGeneration": "x"}, id="fields out of bounds"),
            pytest.param(
                {"phase": "Running", "conditions": [{"type": "Old"}]}, id="an older version's fields"
            ),
            pytest.param({"steps": [{"name": "ingest", "state": "Running"}]}, id="a step that is no more"),
        ],
    )
    def test_an_odd_status_stops_nothing(self, status: dict[str, Any]) -> None:
        world = World()
        world.run["status"] = status
        world.look()
        assert world.condition("Succeeded")[0] == "Unknown"
        assert world.of_kind("Job")

    def test_a_lost_status_is_found_again_in_the_children(self) -> None:
        world = training()
        world.pod_fails("first-light-train-1-worker-0", 1)
        world.settle(3)
        world.run["status"] = {}
        for _ in range(4):
            world.look()
        assert world.status["attempt"] == 2
        assert len(world.of_kind("PyTorchJob")) == 1


def test_a_pipeline_that_is_about_to_end_is_let_end() -> None:
    world = World(settings=KUBEFLOW)
    world.make_data()
    world.train()
    world.make_model()
    assert world.condition("Succeeded")[0] == "True"
    plan = world.look()
    assert (plan.terminate, plan.finalizer) == ((), True)
    world.wait(61)
    assert world.look().terminate == (f"{UID}-model-1",)
    world.pipelines[f"{UID}-model-1"] = PipelineRun("Succeeded")
    assert not world.look().finalizer
