"""Runs that train by a Job, played on the real Job controller: no Kubeflow has any part in them.

KWOK plays nodes and pods; the data's results and the training's are reported as a step does it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from daybreak_contracts import names
from tests.cluster import trainer as trainer_kinds
from tests.cluster.reach import Reach, open_kind, wait_for
from tests.operator.live.gang_plays import GangPlays
from tests.operator.live.stage import Stage, staged

pytestmark = [pytest.mark.slow, pytest.mark.needs("programs")]


@pytest.fixture
def stage(full_cluster: Reach) -> Iterator[Stage]:
    with staged(full_cluster) as made:
        yield made


def test_a_gang_begins_anew_as_a_whole_and_comes_to_its_end(stage: Stage) -> None:
    stage.begin()
    pods = stage.are_up(1)
    assert stage.status["launcher"] == "Job"
    service = stage.cluster.get("service", names.training_service(stage.name), stage.namespace)
    assert service is not None
    hosts = {pod["spec"]["hostname"] for pod in stage.pods(1).values()}
    assert hosts == {f"{stage.name}-train-1-0", f"{stage.name}-train-1-1"}, "what PET_MASTER_ADDR names"
    before = stage.pods(1)["0"]["metadata"]["uid"]

    stage.cluster.finish_pod(stage.namespace, pods["1"], 75)
    pods = stage.are_up(2)
    assert stage.restarts() == (1, 1), "a trainer that leaves with 75 by itself is counted"
    assert stage.job(1) is None
    assert stage.pods(2)["0"]["metadata"]["uid"] != before

    stage.cluster.kubectl("delete", "pod", pods["1"], "-n", stage.namespace, "--wait=false")
    pods = stage.are_up(3)
    assert stage.restarts() == (2, 1), "a pod that somebody deletes is a free restart"

    stage.finish(3, pods)
    stage.is_said("Trained", "True", "Completed")
    job = wait_for("the job's end", lambda: (stage.job(3) or {}).get("status", {}).get("completionTime"))
    assert job


def test_an_evicted_pod_is_a_free_restart_in_the_next_place(stage: Stage) -> None:
    stage.begin(placement={"zones": ["live-a", "live-b"]})
    pods = stage.are_up(1)
    assert stage.status["zone"] == "live-a"
    stage.disrupt(pods["1"])
    wait_for("the second attempt", lambda: stage.job(2))
    assert stage.restarts() == (1, 0)
    assert stage.status["zone"] == "live-b"
    assert (stage.job(2) or {})["metadata"]["labels"][names.LABEL_ZONE] == "live-b"


class TestGangOfAJob(GangPlays):
    """By the Job controller."""


def test_a_queue_takes_the_machines_back_and_gives_them_again(stage: Stage) -> None:
    """As Kueue does it: by ``suspend`` of the job. The same attempt goes on, with the same Job."""
    stage.begin()
    stage.are_up(1)
    uid = (stage.job(1) or {})["metadata"]["uid"]

    def hold(held: bool) -> None:
        patch = json.dumps({"spec": {"suspend": held}})
        name = names.stage_child(stage.name, "train", 1)
        stage.cluster.kubectl("patch", "job", name, "-n", stage.namespace, "--type=merge", "-p", patch)

    hold(True)
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    wait_for("no pods", lambda: not stage.pods(1))
    hold(False)
    stage.are_up(1)
    assert stage.restarts() == (0, 0)
    assert (stage.job(1) or {})["metadata"]["uid"] == uid


def test_a_deleted_run_leaves_nothing(stage: Stage) -> None:
    stage.begin()
    stage.are_up(1)
    stage.cluster.kubectl("delete", "trainingrun", stage.name, "-n", stage.namespace, "--wait=false")

    def gone() -> bool:
        kinds = "trainingruns,jobs,pods,services,configmaps,roles,rolebindings"
        left = stage.cluster.kubectl("get", kinds, "-n", stage.namespace, "-o", "name").split()
        return all(name == "configmap/kube-root-ca.crt" for name in left)

    wait_for("nothing left", gone)


@pytest.fixture
def trainer(full_cluster: Reach) -> Iterator[None]:
    """The kinds of Kubeflow Trainer, without its controllers."""
    made = trainer_kinds.definitions()
    full_cluster.apply({"apiVersion": "v1", "kind": "List", "items": made})
    served = ("trainjobs", "trainingruntimes")

    def are_served() -> bool:
        known = full_cluster.kubectl("api-resources", "-o", "name")
        return all(f"{plural}.{trainer_kinds.GROUP}" in known for plural in served)

    wait_for("the kinds", are_served)
    yield
    full_cluster.kubectl("delete", "crd", *(item["metadata"]["name"] for item in made))


@pytest.mark.usefixtures("trainer")
def test_a_train_job_and_its_runtime_are_taken_as_they_are(full_cluster: Reach, stage: Stage) -> None:
    stage.launcher = "TrainJob"
    stage.begin()
    name = names.stage_child(stage.name, "train", 1)
    job = wait_for("a TrainJob", lambda: full_cluster.get("trainjob", name, stage.namespace))
    runtime = full_cluster.get("trainingruntime", job["spec"]["runtimeRef"]["name"], stage.namespace) or {}
    assert job["spec"]["trainer"] == {"numNodes": 2, "numProcPerNode": 1}
    (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["template"]["spec"]["completions"] == 2
    assert stage.status["launcher"] == "TrainJob"
    failed = {"conditions": [{"type": "Failed", "status": "True", "message": "its JobSet failed"}]}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": failed}))
    full_cluster.kubectl("patch", "trainjob", name, "-n", stage.namespace, *patch)
    again = names.stage_child(stage.name, "train", 2)
    wait_for("the second attempt", lambda: full_cluster.get("trainjob", again, stage.namespace))
    assert full_cluster.get("trainjob", name, stage.namespace) is None
    assert stage.restarts() == (1, 1)


WORKLOADS = open_kind("kueue.x-k8s.io", "v1beta2", "Workload")
"""Kueue's kind alone: its controller is played here, the API server that is asked is a real one."""


def test_a_queue_that_does_not_know_the_job_is_told_until_it_does(stage: Stage) -> None:
    queue = {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": "high"}
    stage.begin(labels=queue)
    stage.are_up(1)
    job = stage.job(1) or {}
    assert queue.items() <= job["metadata"]["labels"].items()
    wait_for("QueueIgnored", lambda: stage.condition("QueueIgnored") == ("True", "NoWorkload"), 120)
    assert "install Kueue" in stage.message("QueueIgnored")
    stage.cluster.apply(WORKLOADS)
    wait_for("the kind", lambda: "workloads" in stage.cluster.kubectl("api-resources", "-o", "name"))
    try:
        metadata = {
            "name": "job-of-the-run",
            "namespace": stage.namespace,
            "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]},
        }
        workload = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": metadata}
        stage.cluster.apply(workload)
        wait_for("a queue", lambda: stage.condition("QueueIgnored") == ("False", "QueueHeeds"), 120)
    finally:
        stage.cluster.kubectl("delete", "crd", WORKLOADS["metadata"]["name"])
    assert stage.restarts() == (0, 0)


def test_a_gang_of_two_trains_under_restricted_pod_security(stage: Stage) -> None:
    stage.restrict()
    stage.begin()
    stage.are_up(1)
    assert stage.condition("Stalled") == ("False", "NotStalled")


@pytest.mark.usefixtures("training_cluster")
def test_the_training_operators_own_container_is_refused_there_and_the_remedy_is_told(stage: Stage) -> None:
    stage.restrict()
    stage.launcher = "PyTorchJob"
    stage.begin()
    stage.is_said("Stalled", "True", "PodsRefused")
    assert "init-pytorch" in stage.message("Stalled")
    assert "training.launcher to Job" in stage.message("Stalled")
