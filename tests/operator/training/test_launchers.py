"""What makes the training pods: who is chosen, what is remembered of it, and what an Indexed Job gives its pods."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.observed.pods import is_first
from daybreak_train.pod.environment import PodPlacement, pod_from
from tests.operator.training.world import World

ALL_THERE: tuple[str, ...] = ()
NO_OPERATOR, NO_KUBEFLOW = ("PyTorchJob",), ("PyTorchJob", "TrainJob")


def world_of(launcher: str = "Auto", nodes: int = 2, absent: tuple[str, ...] = (), **more: Any) -> World:
    training = {"launcher": launcher, "nodes": nodes, "gpusPerNode": 4}
    world = World({"model": {"size": "1b"}, "training": training, **more})
    world.absent_kinds = absent
    return world


class TestChoice:
    @pytest.mark.parametrize(
        ("asked", "absent", "chosen"),
        [
            pytest.param("Auto", ALL_THERE, "PyTorchJob", id="Kubeflow's where the cluster knows it"),
            pytest.param("Auto", NO_OPERATOR, "TrainJob", id="Trainer's where it knows that alone"),
            pytest.param("Auto", NO_KUBEFLOW, "Job", id="a Job where it knows neither"),
            pytest.param("TrainJob", ALL_THERE, "TrainJob", id="the second by its name"),
            pytest.param("Job", ALL_THERE, "Job", id="what is named wins"),
            pytest.param("PyTorchJob", ALL_THERE, "PyTorchJob", id="both ways"),
        ],
    )
    def test_is_remembered_from_the_start(self, asked: str, absent: tuple[str, ...], chosen: str) -> None:
        world = world_of(asked, absent=absent)
        world.look()
        assert world.status["launcher"] == chosen
        world.absent_kinds = ALL_THERE
        world.make_data()
        assert world.status["launcher"] == world.training_job["kind"] == chosen
        assert world.condition("Stalled")[0] == "False"

    def test_of_a_kind_that_came_before_the_start_is_made_by_it(self) -> None:
        world = world_of(absent=NO_OPERATOR)
        world.missing = ("Secret keys is not in namespace ml: create it",)
        world.settle(2)
        assert "launcher" not in world.status
        world.missing, world.absent_kinds = (), ALL_THERE
        world.look()
        assert world.status["launcher"] == "PyTorchJob"

    @pytest.mark.parametrize("launcher", ["PyTorchJob", "TrainJob", "Job"])
    def test_is_read_from_the_job_where_the_status_was_lost(self, launcher: str) -> None:
        world = world_of(launcher)
        world.make_data()
        del world.run["status"]
        world.run["spec"]["training"]["launcher"] = "Auto"
        world.absent_kinds = NO_KUBEFLOW if launcher == "PyTorchJob" else ALL_THERE
        world.settle(2)
        assert world.status["launcher"] == world.training_job["kind"] == launcher
        assert world.training_job["metadata"]["name"] == "first-light-train-1"

    def test_that_is_absent_names_both_remedies(self) -> None:
        world = world_of("PyTorchJob", absent=NO_OPERATOR)
        world.look()
        assert world.condition("Stalled") == ("True", "KindMissing")
        assert "install the training operator 1.9" in world.message("Stalled")
        assert "training.launcher to Job" in world.message("Stalled")
        assert world.children == {}
        world.run["spec"]["training"]["launcher"] = "Job"
        world.look()
        assert world.condition("Stalled")[0] == "False"
        assert world.status["launcher"] == "Job"

    def test_says_nothing_of_a_run_that_makes_data_alone(self) -> None:
        world = world_of()
        del world.run["spec"]["model"]
        world.settle(2)
        assert "startTime" in world.status
        assert "launcher" not in world.status


class TestIndexedJob:
    def test_makes_a_pod_a_node_and_none_a_second_time(self) -> None:
        world = world_of("Job", nodes=3)
        world.make_data()
        spec = world.training_job["spec"]
        assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
        assert spec["backoffLimitPerIndex"] == 0
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert "suspend" not in spec, "that is a queue's"

    @pytest.mark.parametrize("rank", [0, 2])
    def test_tells_its_pods_what_the_trainer_reads(self, rank: int) -> None:
        world = world_of("Job", nodes=3)
        world.make_data()
        template = world.training_job["spec"]["template"]
        environment = {item["name"]: item for item in template["spec"]["containers"][0]["env"]}
        told = environment.pop("PET_NODE_RANK")["valueFrom"]["fieldRef"]["fieldPath"]
        assert told == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
        words = {name: item.get("value", "") for name, item in environment.items()}
        assert pod_from({**words, "PET_NODE_RANK": str(rank)}) == PodPlacement(
            node_rank=rank,
            num_nodes=3,
            processes=4,
            master_addr="first-light-train-1-0.first-light-train",
            master_port=29500,
        )

    def test_has_a_service_that_names_its_pods_before_they_are_ready(self) -> None:
        world = world_of("Job")
        world.make_data()
        service = world.the("Service")
        template = world.training_job["spec"]["template"]
        assert template["spec"]["subdomain"] == service["metadata"]["name"] == "first-light-train"
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        labels = template["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        (owner,) = service["metadata"]["ownerReferences"]
        assert owner["uid"] == world.run["metadata"]["uid"], "it goes with the run"

    def test_gets_its_service_back(self) -> None:
        world = world_of("Job")
        world.make_data()
        world.remove(("Service", "first-light-train"))
        world.look()
        assert world.the("Service")

    def test_has_the_pods_of_a_pytorch_job(self) -> None:
        """All but the rendezvous: the same image, volumes, security, place, patch."""
        template = {"spec": {"containers": [{"name": "pytorch", "env": [{"name": "X", "value": "y"}]}]}}
        made = []
        for launcher in ("PyTorchJob", "Job"):
            world = world_of(launcher)
            world.run["spec"]["training"]["podTemplate"] = template
            world.make_data()
            spec = world.training_job["spec"]
            pod = spec["template"] if launcher == "Job" else spec["pytorchReplicaSpecs"]["Master"]["template"]
            (own,) = pod["spec"]["containers"]
            own["env"] = [item for item in own["env"] if not item["name"].startswith("PET_")]
            pod["spec"].pop("subdomain", None)
            made.append(pod)
        assert made[0] == made[1]

    def test_needs_no_service_where_kubeflow_names_the_pods(self) -> None:
        world = world_of("PyTorchJob")
        world.make_data()
        assert not world.of_kind("Service")


class TestTrainJob:
    def made(self, **training: Any) -> tuple[World, dict[str, Any], dict[str, Any]]:
        world = world_of("TrainJob", nodes=3)
        world.run["spec"]["training"] |= training
        world.make_data()
        return world, world.the("TrainJob"), world.the("TrainingRuntime")

    def test_names_a_runtime_of_its_own(self) -> None:
        world, job, runtime = self.made()
        assert job["spec"]["runtimeRef"] == {
            "apiGroup": "trainer.kubeflow.org",
            "kind": "TrainingRuntime",
            "name": runtime["metadata"]["name"],
        }
        assert job["spec"]["trainer"] == {"numNodes": 3, "numProcPerNode": 4}
        (owner,) = runtime["metadata"]["ownerReferences"]
        assert owner["uid"] == world.run["metadata"]["uid"]
        kinds = [kind for kind, _ in world.made if kind in ("TrainJob", "TrainingRuntime")]
        assert kinds == ["TrainingRuntime", "TrainJob"], "Trainer refuses a job whose runtime is not there"

    def test_lets_trainer_find_what_trains(self) -> None:
        patch = {"spec": {"containers": [{"name": "pytorch", "env": [{"name": "X", "value": "y"}]}]}}
        _, _, runtime = self.made(podTemplate=patch)
        assert runtime["spec"]["mlPolicy"] == {"numNodes": 3, "torch": {}}
        (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        assert (replicated["name"], replicated["replicas"]) == ("node", 1)
        label = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
        assert replicated["template"]["metadata"]["labels"] == label
        (container,) = replicated["template"]["spec"]["template"]["spec"]["containers"]
        assert container["name"] == "node"
        assert {"name": "X", "value": "y"} in container["env"], "a podTemplate says pytorch, as everywhere"
        assert not [item for item in container["env"] if item["name"].startswith("PET_")], "Trainer sets them"
        assert replicated["template"]["spec"]["backoffLimitPerIndex"] == 0

    def test_has_its_own_attempts_pods_in_the_runtime(self) -> None:
        world, _, _ = self.made()
        world.pods_up()
        world.look()
        world.pod_fails(world.rank(1), 1)
        world.settle(3)
        (replicated,) = world.the("TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"]
        labels = replicated["template"]["spec"]["template"]["metadata"]["labels"]
        assert labels["daybreak.dev/attempt"] == "2"
        assert world.the("TrainJob")["metadata"]["name"] == "first-light-train-2"

    def test_has_a_runtime_that_no_other_attempt_had(self) -> None:
        """Trainer's cache may still hold what stood under a name a moment ago."""
        world, job, runtime = self.made()
        world.pods_up()
        world.look()
        world.pod_fails(world.rank(1), 1)
        world.settle(3)
        assert world.the("TrainingRuntime")["metadata"]["name"] != runtime["metadata"]["name"]
        assert world.the("TrainJob")["spec"]["runtimeRef"] != job["spec"]["runtimeRef"]

    def test_waits_for_its_runtime_to_be_there(self) -> None:
        world, _, _ = self.made()
        runtime = world.made.index(("TrainingRuntime", "first-light-train-1"))
        job = world.made.index(("TrainJob", "first-light-train-1"))
        assert runtime < job
        world.remove(("TrainJob", "first-light-train-1"))
        world.remove(("TrainingRuntime", "first-light-train-1"))
        world.look()
        assert not world.training_jobs
        world.look()
        assert world.the("TrainJob")

    @pytest.mark.parametrize(
        ("run", "attempt", "nodes", "name"),
        [
            pytest.param("first-light", 1, 2, "first-light-train-1", id="as every job"),
            pytest.param("r" * 40, 9, 10, "r" * 40 + "-train-9", id="as long as it may be"),
            pytest.param("r" * 40, 10, 10, "r" * 32 + "-ee1c01-train-10", id="a tenth attempt"),
            pytest.param("r" * 40, 1, 11, "r" * 32 + "-ee1c01-train-1", id="an eleventh node"),
            pytest.param("r" * 31 + "-" + "r" * 8, 1, 11, "r" * 31 + "-8b018b-train-1", id="no two dashes"),
        ],
    )
    def test_has_a_name_of_which_jobset_can_make_pods(
        self, run: str, attempt: int, nodes: int, name: str
    ) -> None:
        assert names.train_job(run, attempt, nodes) == name
        assert len(f"{name}-node-0-{nodes - 1}-abcde") <= 63


REFUSED = (
    'Error creating: pods "first-light-train-1-worker-0" is forbidden: violates PodSecurity "restricted:latest": '
    'allowPrivilegeEscalation != false (container "{}" must set securityContext.allowPrivilegeEscalation=false)'
)


@pytest.mark.parametrize(
    ("container", "remedy"),
    [
        ("init-pytorch", "training.launcher to Job"),
        ("helper", "take it out of podTemplate, or let the namespace allow it"),
    ],
)
def test_pods_that_pod_security_refuses_are_told_and_not_tried_elsewhere(container: str, remedy: str) -> None:
    world = world_of("PyTorchJob", runPolicy={"podsReadyTimeoutSeconds": 600})
    world.make_data()
    about = {"uid": world.training_job["metadata"]["uid"]}
    world.warnings = ({"involvedObject": about, "message": REFUSED.format(container)},)
    world.wait(5000)
    world.look()
    assert world.condition("Stalled") == ("True", "PodsRefused")
    assert remedy in world.message("Stalled")
    assert world.status["restarts"] == 0, "another place would refuse them too"


DENIED = 'Error creating: admission webhook "validate.example" denied the request: images must come from a registry'


@pytest.mark.parametrize("launcher", ["PyTorchJob", "TrainJob", "Job"])
def test_pods_that_a_webhook_refuses_are_told_until_they_are_there(launcher: str) -> None:
    """An event stays for an hour; what it tells of may be over."""
    world = world_of(launcher)
    world.make_data()
    about = {"uid": world.training_job["metadata"]["uid"]}
    world.warnings = ({"involvedObject": about, "message": DENIED},)
    world.look()
    assert world.condition("Stalled") == ("True", "PodsRefused")
    assert "images must come from a registry" in world.message("Stalled")
    world.pods_up()
    world.settle(2)
    assert world.condition("Stalled") == ("False", "NotStalled")
    assert world.condition("CapacityAvailable") == ("True", "PodsReady")


@pytest.mark.parametrize(
    ("labels", "name", "first"),
    [
        ({"training.kubeflow.org/replica-type": "master"}, "x", True),
        ({"training.kubeflow.org/replica-type": "Worker"}, "x-master-0", False),
        ({"batch.kubernetes.io/job-completion-index": "0"}, "x-0-abcde", True),
        ({"batch.kubernetes.io/job-completion-index": "10"}, "x-10-abcde", False),
        ({}, "x-master-0", True),
        ({}, "x-0-abcde", False),
    ],
)
def test_rank_0_is_known_by_what_each_controller_says(labels: dict[str, str], name: str, first: bool) -> None:
    assert is_first(labels, name) is first
