"""The data and model stages, by Kubernetes Jobs and by Kubeflow: what their ends mean and how they begin anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.training.decide import decide
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Settings
from tests.operator.training.world import UID, World

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")
ELSEWHERE = KUBEFLOW.model_copy(update={"kubeflow_namespace": "kubeflow"})
FIRST = f"{UID}-data-1"
SECOND = f"{UID}-data-2"


def by_jobs(**spec: Any) -> World:
    world = World(spec)
    world.look()
    world.make_pods()
    return world


def by_kubeflow(**spec: Any) -> World:
    world = World(spec, KUBEFLOW)
    world.settle(2)
    return world


def subjects(world: World) -> list[str]:
    return [subject["namespace"] for subject in world.the("RoleBinding")["subjects"]]


def its_pod(world: World) -> dict[str, Any]:
    """A pod of the Kubeflow run, with the labels that it was submitted with and Kubeflow's own."""
    request = decide(World(settings=KUBEFLOW).observe(), world.now).submit[0]
    labels = {**request.pods[0].platform["podMetadata"]["labels"], names.LABEL_KUBEFLOW_RUN: FIRST}
    metadata = {"name": "kubeflows-pod", "namespace": "kubeflow", "uid": "kubeflows-pod", "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {}}
    world.children["Pod", "kubeflows-pod"] = pod
    return pod


def end_without_result(world: World) -> None:
    world.job_ends("Job", "Complete")
    world.wait(30)


def fail_silently(world: World) -> None:
    world.pod_fails("first-light-data-1-x", 1, "Traceback\nKeyError: 3")
    world.job_ends("Job", "Failed")
    world.wait(30)


def be_evicted(world: World) -> None:
    world.pod_fails("first-light-data-1-x", 137)
    world.disrupt("first-light-data-1-x")
    world.job_ends("Job", "Failed")
    world.wait(30)


@pytest.mark.parametrize(
    ("happens", "restarts", "said"),
    [
        pytest.param(lambda w: w.hand_error("xray", 75), (1, 1), "it broke", id="a 75 is tried again"),
        pytest.param(lambda w: w.hand_error("xray", 1), (1, 1), "it broke", id="a bug is tried again"),
        pytest.param(end_without_result, (1, 1), "reported a result", id="a job without all results"),
        pytest.param(fail_silently, (1, 1), "KeyError: 3", id="a job that failed without a word"),
        pytest.param(be_evicted, (1, 0), "was disrupted", id="an evicted pod costs nothing"),
        pytest.param(lambda w: w.patch("documents", "{"), (1, 1), "cannot be read", id="a torn result"),
    ],
)
def test_a_job_that_did_not_do_its_work_is_made_anew(
    happens: Callable[[World], None], restarts: tuple[int, int], said: str
) -> None:
    world = by_jobs()
    happens(world)
    world.look()
    assert (world.status["restarts"], world.status["countedRestarts"]) == restarts
    assert said in world.message("Reconciling")
    assert world.states() == "PPPPPPP"
    world.wait(61)
    world.settle(2)
    alive = [job["metadata"]["name"] for job in world.of_kind("Job") if not job.get("status")]
    assert alive == ["first-light-data-2"]
    assert world.step("documents")["attempt"] == 2


def test_the_users_fault_ends_the_run_with_the_steps_sentence() -> None:
    world = by_jobs()
    world.hand_over("documents")
    world.hand_error("tokenizer", 2, "sampleBytes is more than there is")
    world.look()
    assert world.condition("Succeeded") == ("False", "StepFailed")
    assert world.message("Finished") == "step tokenizer: sampleBytes is more than there is"
    assert world.states() == "SPFPPPP"
    assert world.condition("DataReady") == ("False", "Failed")


def test_exit_code_2_without_a_result_ends_the_run_too() -> None:
    world = by_jobs()
    world.pod_fails("first-light-data-1-x", 2, "may not patch it (forbidden)")
    world.job_ends("Job", "Failed")
    world.wait(30)
    world.look()
    assert world.condition("Succeeded") == ("False", "StepFailed")
    assert "may not patch it" in world.message("Succeeded")


def test_a_result_that_is_on_its_way_is_waited_for() -> None:
    world = by_jobs()
    world.job_ends("Job", "Complete")
    world.wait(5)
    world.look()
    assert world.status["restarts"] == 0
    for step in ("documents", "xray", "tokenizer", "shards"):
        world.hand_over(step)
    world.look()
    assert world.condition("DataReady") == ("True", "Completed")


def test_one_budget_serves_all_stages() -> None:
    world = World({"runPolicy": {"backoffLimit": 1}})
    world.look()
    world.hand_error("documents", 75)
    world.look()
    world.wait(700)
    world.make_data()
    world.pods_up()
    world.look()
    world.pod_fails("first-light-train-1-worker-0", 1)
    world.look()
    assert world.condition("Succeeded") == ("False", "BackoffLimitExceeded")


def test_a_job_deleted_by_hand_is_made_again_under_its_name() -> None:
    world = by_jobs()
    world.hand_over("documents")
    world.look()
    world.remove(("Job", "first-light-data-1"))
    world.look()
    assert world.the("Job")["metadata"]["name"] == "first-light-data-1"
    assert world.status["restarts"] == 0


def test_what_lies_about_an_attempt_is_put_right() -> None:
    world = by_jobs()
    for key in [("ConfigMap", "first-light-data-1"), ("Role", "first-light-results")]:
        del world.children[key]
    world.look()
    assert {("ConfigMap", "first-light-data-1"), ("Role", "first-light-results")} <= set(world.children)


def test_results_that_were_deleted_are_not_needed_any_more() -> None:
    world = World()
    world.make_data()
    world.remove(("ConfigMap", "first-light-data-1"))
    world.train()
    arguments = json.loads(
        world.children[("ConfigMap", "first-light-train-1-arguments")]["data"]["args.json"]
    )
    assert (arguments["shards"], arguments["tokenizer"]) == ("s3://o/shards", "s3://o/tokenizer")
    parameters = world.children[("ConfigMap", "first-light-model-1-arguments")]["data"]["parameters.json"]
    assert json.loads(parameters)["trained_digest"] == "sha256:train"


def test_a_step_that_failed_begins_no_further_one() -> None:
    world = by_jobs()
    world.settle(2)
    world.hand_error("documents", 2)
    world.settle(2)
    assert world.states() == "FPPPPPP"
    assert not [event for event in world.events if event.message.startswith("Step xray")]


def test_steps_are_shown_as_they_go() -> None:
    world = by_jobs()
    world.hand_over("documents", cached=True)
    world.report("tokenizer", 1, 4, "counting pairs")
    world.wait(31)
    world.look()
    assert world.states() == "KPRPPPP"
    assert world.status["step"] == "tokenizer"
    assert world.step("tokenizer")["message"] == "counting pairs"


class TestKubeflow:
    def test_a_run_is_submitted_once_with_its_parameters(self) -> None:
        world = World(settings=KUBEFLOW)
        plan = world.look()
        (submit,) = plan.submit
        assert (submit.run_id, submit.pipeline) == (FIRST, names.DATA_PIPELINE)
        assert submit.parameters["results_configmap"] == "ml/first-light-data-1"
        assert submit.parameters["output"] == "s3://models/first-light"
        assert submit.display_name == "ml/first-light-data-1"
        assert plan.finalizer
        assert plan.status_first
        world.settle(3)
        assert world.submitted == [FIRST]
        assert not world.of_kind("Job")

    def test_the_annotation_chooses_the_back_end(self) -> None:
        world = World(settings=KUBEFLOW, annotations={names.ANNOTATION_BACKEND: "Job"})
        world.look()
        assert world.of_kind("Job")
        assert world.submitted == []

    def test_a_run_keeps_the_back_end_that_it_began_with(self) -> None:
        world = by_kubeflow()
        world.settings = Settings()
        world.look()
        assert not world.of_kind("Job")

    @pytest.mark.parametrize(
        ("run", "said"),
        [
            pytest.param(PipelineRun("Failed", "exit 1"), "no step said why: exit 1", id="failed"),
            pytest.param(PipelineRun("Succeeded"), "not all steps reported", id="succeeded without results"),
            pytest.param(PipelineRun("Lost"), "workflow of its Kubeflow run is gone", id="lost its workflow"),
            pytest.param(PipelineRun("Absent"), "was deleted", id="deleted by hand"),
        ],
    )
    def test_a_run_that_can_no_longer_answer_is_made_anew_under_another_id(
        self, run: PipelineRun, said: str
    ) -> None:
        world = by_kubeflow()
        world.pipelines[FIRST] = run
        world.look()
        assert (world.status["restarts"], world.status["countedRestarts"]) == (1, 1)
        assert said in world.message("Reconciling")
        world.settle(2)
        assert world.submitted == [FIRST, SECOND]

    def test_a_result_that_is_on_its_way_is_waited_for(self) -> None:
        world = by_kubeflow()
        world.pipelines[FIRST] = PipelineRun("Succeeded", ended=world.now.timestamp())
        world.look()
        assert world.status["restarts"] == 0
        world.wait(21)
        world.look()
        assert world.status["restarts"] == 1

    def test_a_run_that_is_being_cancelled_is_waited_for(self) -> None:
        world = by_kubeflow()
        world.pipelines[FIRST] = PipelineRun("Canceling")
        world.settle(2)
        assert (world.status["restarts"], world.submitted) == (0, [FIRST])

    def test_a_back_end_that_is_down_proves_nothing(self) -> None:
        world = by_kubeflow()
        world.backend_error = "connection refused"
        world.pipelines[FIRST] = PipelineRun("Failed")
        plan = world.settle(3)
        assert world.condition("Reconciling") == ("True", "BackendUnavailable")
        assert "connection refused" in world.message("Reconciling")
        assert (world.condition("Stalled")[0], world.status["restarts"]) == ("False", 0)
        assert plan.finalizer
        world.backend_error = None
        world.pipelines[FIRST] = PipelineRun("Running")
        world.look()
        assert world.condition("Reconciling") == ("True", "Running")

    def test_results_are_believed_while_the_back_end_is_down(self) -> None:
        world = by_kubeflow()
        world.backend_error = "connection refused"
        for step in ("documents", "xray", "tokenizer", "shards"):
            world.hand_over(step)
        world.look()
        assert world.condition("DataReady") == ("True", "Completed")
        assert world.of_kind("PyTorchJob")

    def test_nothing_is_submitted_blindly(self) -> None:
        world = World(settings=KUBEFLOW)
        world.backend_error = "connection refused"
        world.settle(2)
        assert world.submitted == []
        assert world.condition("Reconciling") == ("True", "BackendUnavailable")

    def test_a_run_whose_step_broke_is_stopped_before_the_next_begins(self) -> None:
        world = by_kubeflow()
        world.hand_error("documents", 75)
        world.look()
        assert world.look().terminate == ()
        world.wait(61)
        plan = world.look()
        assert plan.terminate == (FIRST,)
        assert plan.finalizer
        world.settle(3)
        assert world.submitted == [FIRST]
        world.pipelines[FIRST] = PipelineRun("Failed")
        world.look()
        assert world.submitted == [FIRST, SECOND]

    def test_without_profiles_the_results_are_opened_to_the_account_where_kubeflow_runs_pods(self) -> None:
        world = World(settings=ELSEWHERE)
        submit = world.settle(1).submit[0]
        assert (world.the("RoleBinding")["metadata"]["namespace"], subjects(world)) == ("ml", ["kubeflow"])
        assert submit.namespace == ""
        world.make_data()
        assert subjects(world) == ["ml"], "training runs beside its TrainingRun"
        world.train()
        assert subjects(world) == ["kubeflow"]

    def test_with_profiles_pods_and_experiment_are_those_of_the_runs_namespace(self) -> None:
        world = World(settings=KUBEFLOW)
        assert world.settle(1).submit[0].namespace == "ml"
        assert subjects(world) == ["ml"]

    def test_a_run_by_jobs_has_its_pods_beside_it_whatever_kubeflow_does(self) -> None:
        world = World(settings=ELSEWHERE, annotations={names.ANNOTATION_BACKEND: "Job"})
        world.look()
        assert subjects(world) == ["ml"]

    def test_an_image_that_kubeflows_node_cannot_pull_is_told(self) -> None:
        world = by_kubeflow()
        its_pod(world)["status"] = {
            "phase": "Pending",
            "containerStatuses": [
                {"image": "x/data:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
            ],
        }
        world.look()
        assert world.condition("Stalled") == ("True", "ImageCannotBePulled")
        assert "x/data:1" in world.message("Stalled")

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("ErrImagePull", "ImageCannotBePulled"),
            ("ImagePullBackOff", "ImageCannotBePulled"),
            ("CreateContainerConfigError", "ContainerCannotBeMade"),
        ],
    )
    def test_a_driver_of_kubeflows_that_cannot_start_is_told(self, reason: str, told: str) -> None:
        """It carries none of our labels: the back end's own question brings it."""
        world = by_kubeflow()
        waiting = {"reason": reason, "message": 'secret "mlpipeline-minio-artifact" not found'}
        status = {
            "phase": "Pending",
            "containerStatuses": [{"image": "k/driver", "state": {"waiting": waiting}}],
        }
        pod = parse_object({"kind": "Pod", "metadata": {"name": "root-driver"}, "status": status})
        assert isinstance(pod, ObservedPod)
        world.pipelines[FIRST] = PipelineRun("Running", pods=(pod,))
        world.look()
        assert world.condition("Stalled") == ("True", told)
        assert "root-driver" in world.message("Stalled")
        assert "mlpipeline-minio-artifact" in world.message("Stalled")
        world.pipelines[FIRST] = PipelineRun("Running")
        world.look()
        assert world.condition("Stalled")[0] == "False"

    def test_a_pod_of_kubeflows_that_died_says_why_its_run_failed(self) -> None:
        world = by_kubeflow()
        ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T12:00:00Z"}
        its_pod(world)["status"] = {"containerStatuses": [{"state": {"terminated": ended}}]}
        world.pipelines[FIRST] = PipelineRun("Failed")
        world.look()
        assert "no step said why: pod kubeflows-pod exited with code 137: OOMKilled" in world.message(
            "Reconciling"
        )

    def test_a_pod_of_kubeflows_that_was_taken_away_costs_nothing(self) -> None:
        world = by_kubeflow()
        its_pod(world)
        world.disrupt("kubeflows-pod")
        world.pipelines[FIRST] = PipelineRun("Failed")
        world.look()
        assert (world.status["restarts"], world.status["countedRestarts"]) == (1, 0)

    def test_pods_of_kubeflow_end_with_their_run_and_are_not_taken_from_under_it(self) -> None:
        world = by_kubeflow()
        its_pod(world)["status"] = {"phase": "Running"}
        world.change(suspend=True)
        plan = world.look()
        assert (plan.terminate, plan.delete) == ((FIRST,), ())

    def test_no_finalizer_while_nothing_runs_there(self) -> None:
        world = by_kubeflow()
        world.make_data()
        assert world.run["metadata"]["finalizers"] == []


class TestObstacles:
    def test_a_kind_that_is_missing_is_told_before_any_data_work(self) -> None:
        world = World({"training": {"launcher": "PyTorchJob"}})
        world.absent_kinds = ("PyTorchJob",)
        world.settle(3)
        assert world.condition("Stalled") == ("True", "KindMissing")
        assert "training operator" in world.message("Stalled")
        assert not world.of_kind("Job")
        world.absent_kinds = ()
        world.look()
        assert world.of_kind("Job")
        assert world.condition("Stalled")[0] == "False"

    def test_a_kind_that_went_while_data_is_made_stops_no_data_work(self) -> None:
        world = by_jobs()
        world.absent_kinds = ("PyTorchJob",)
        world.make_data()
        world.settle(2)
        assert world.states() == "SSSSPPP"
        assert world.condition("Stalled") == ("True", "KindMissing")

    def test_data_alone_needs_no_such_kind(self) -> None:
        world = World()
        del world.run["spec"]["model"]
        world.absent_kinds = ("PyTorchJob",)
        world.look()
        assert world.of_kind("Job")

    def test_a_missing_secret_holds_the_start_and_freezes_nothing(self) -> None:
        world = World()
        world.missing = ("Secret wandb of spec.tracking.wandb.secretRef is not in namespace ml: create it",)
        world.look()
        assert world.condition("Stalled") == ("True", "ReferenceMissing")
        assert "create it" in world.message("Stalled")
        assert "startTime" not in world.status
        assert world.children == {}
        world.missing = ()
        world.look()
        assert world.condition("Stalled") == ("False", "NotStalled")
        assert world.of_kind("Job")

    def test_an_object_of_another_is_left_alone(self) -> None:
        world = World()
        theirs = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "first-light-data-1", "namespace": "ml", "uid": "theirs"},
        }
        world.children[("Job", "first-light-data-1")] = theirs
        world.settle(2)
        assert world.condition("Stalled") == ("True", "NameTaken")
        assert "Job first-light-data-1" in world.message("Stalled")
        assert list(world.children.values()) == [theirs]
        del world.children[("Job", "first-light-data-1")]
        world.look()
        assert world.condition("Stalled")[0] == "False"
        assert world.the("Job")["metadata"]["labels"][names.LABEL_OWNER_UID] == UID

    def test_a_quota_is_told_with_its_remedy(self) -> None:
        world = by_jobs()
        job = world.the("Job")
        said = 'pods "x" is forbidden: exceeded quota: gpus, requested: 8, used: 0, limited: 4'
        for pod in world.of_kind("Pod"):
            world.remove(("Pod", pod["metadata"]["name"]))
        world.warnings = ({"involvedObject": {"uid": job["metadata"]["uid"]}, "message": said},)
        world.look()
        assert world.condition("Stalled") == ("True", "QuotaExceeded")
        assert "raise the quota" in world.message("Stalled")

    def test_a_refused_child_is_told(self) -> None:
        world = by_jobs()
        world.refused = ("Job first-light-data-1: spec.template.spec.volumes[3].name: Required value",)
        world.look()
        assert world.condition("Stalled") == ("True", "ChildRefused")
        assert "Required value" in world.message("Stalled")

    def test_a_container_that_cannot_be_made_is_told(self) -> None:
        world = by_jobs()
        waiting = {"reason": "CreateContainerConfigError", "message": 'secret "storage" not found'}
        world.pod("first-light-data-1-x")["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]
        world.look()
        assert world.condition("Stalled") == ("True", "ContainerCannotBeMade")
