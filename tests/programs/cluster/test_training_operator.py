"""The real training operator on nodes that KWOK plays: a job runs, ends as its pods do, and a bad one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import KubectlError, Reach, wait_for
from tests.cluster.training_operator import pytorch_job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes(training_cluster: Reach) -> None:
    training_cluster.add_nodes(NodeSpec(f"trainer-{number}") for number in (1, 2))


def condition(cluster: Reach, namespace: str, name: str, kind: str) -> dict[str, Any] | None:
    job = cluster.get("pytorchjob", name, namespace) or {}
    found = (item for item in job.get("status", {}).get("conditions", []) if item["type"] == kind)
    return next((item for item in found if item["status"] == "True"), None)


@pytest.mark.usefixtures("nodes")
def test_a_job_of_two_pods_runs_and_succeeds(training_cluster: Reach) -> None:
    namespace = training_cluster.namespace()
    training_cluster.apply(pytorch_job("pair", namespace, workers=1, gpus=8))
    wait_for("Running", lambda: condition(training_cluster, namespace, "pair", "Running"))
    pods = training_cluster.kubectl("get", "pods", "-n", namespace, "-o", "name").split()
    assert pods == ["pod/pair-master-0", "pod/pair-worker-0"]
    for pod in pods:
        training_cluster.finish_pod(namespace, pod.removeprefix("pod/"), 0)
    wait_for("Succeeded", lambda: condition(training_cluster, namespace, "pair", "Succeeded"))


@pytest.mark.usefixtures("nodes")
def test_a_pod_that_fails_ends_a_job_that_never_restarts(training_cluster: Reach) -> None:
    namespace = training_cluster.namespace()
    training_cluster.apply(pytorch_job("unlucky", namespace, workers=1))
    wait_for("Running", lambda: condition(training_cluster, namespace, "unlucky", "Running"))
    training_cluster.finish_pod(namespace, "unlucky-worker-0", 137)
    wait_for("Failed", lambda: condition(training_cluster, namespace, "unlucky", "Failed"))


def test_a_job_without_its_container_is_refused_by_the_webhook(training_cluster: Reach) -> None:
    job = pytorch_job("nameless", "default", workers=0)
    job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["name"] = "other"
    with pytest.raises(KubectlError, match=r"validator\.pytorchjob.*denied"):
        training_cluster.would_take(job)
