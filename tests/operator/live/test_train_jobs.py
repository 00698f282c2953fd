"""Runs that train by a TrainJob, played on the real Kubeflow Trainer and the real JobSet; only where they were built.

As with the launcher Job (`test_launchers.py`): KWOK plays nodes and pods.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daybreak_contracts import names
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.gang_plays import GangPlays
from tests.operator.live.stage import Stage, staged

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(trainer_cluster: Reach) -> Iterator[Stage]:
    with staged(trainer_cluster, "TrainJob") as made:
        yield made


def told(stage: Stage, attempt: int, rank: str) -> dict[str, str]:
    """Return the environment of a pod as far as it is plain text."""
    (container,) = stage.pods(attempt)[rank]["spec"]["containers"]
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def arguments_of(stage: Stage, attempt: int, rank: str) -> str:
    """Return the ConfigMap that a pod reads its arguments from."""
    volumes = {item["name"]: item for item in stage.pods(attempt)[rank]["spec"]["volumes"]}
    return str(volumes["settings"]["configMap"]["name"])


def test_a_gang_begins_anew_as_a_whole_and_comes_to_its_end(stage: Stage) -> None:
    stage.begin()
    pods = stage.are_up(1)
    assert stage.status["launcher"] == "TrainJob"
    first = stage.pods(1)["0"]["spec"]
    assert told(stage, 1, "1")["PET_MASTER_ADDR"] == f"{first['hostname']}.{first['subdomain']}"
    assert told(stage, 1, "1")["PET_NNODES"] == "2"
    service = stage.cluster.get("service", first["subdomain"], stage.namespace) or {}
    assert service["spec"]["publishNotReadyAddresses"] is True

    stage.cluster.finish_pod(stage.namespace, pods["1"], 75)
    pods = stage.are_up(2)
    assert stage.restarts() == (1, 1), "a trainer that leaves with 75 by itself is counted"
    assert stage.job(1) is None
    assert arguments_of(stage, 2, "0") == names.arguments_name(stage.name, "train", 2)

    stage.cluster.kubectl("delete", "pod", pods["1"], "-n", stage.namespace, "--wait=false")
    pods = stage.are_up(3)
    assert stage.restarts() == (2, 1), "a pod that somebody deletes is a free restart"

    stage.finish(3, pods)
    stage.is_said("Trained", "True", "Completed")

    def is_complete() -> bool:
        conditions = (stage.job(3) or {}).get("status", {}).get("conditions", [])
        return ("Complete", "True") in [(item["type"], item["status"]) for item in conditions]

    wait_for("the job's end", is_complete)


def test_an_evicted_pod_is_a_free_restart_in_the_next_place(stage: Stage) -> None:
    stage.begin(placement={"zones": ["live-a", "live-b"]})
    pods = stage.are_up(1)
    stage.disrupt(pods["1"])
    wait_for("the second attempt", lambda: stage.job(2))
    assert stage.restarts() == (1, 0)
    assert stage.status["zone"] == "live-b"
    wait_for("its pods", lambda: len(stage.pods(2)) == 2)
    labels = {pod["metadata"]["labels"][names.LABEL_ZONE] for pod in stage.pods(2).values()}
    assert labels == {"live-b"}


class TestGangOfATrainJob(GangPlays):
    """By Trainer and JobSet."""


def test_a_quota_that_refuses_the_pods_is_told(stage: Stage) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "1"}}}
    stage.cluster.apply({**quota, "metadata": {"name": "few", "namespace": stage.namespace}})
    stage.begin()
    stage.is_said("Stalled", "True", "QuotaExceeded")
    stage.cluster.kubectl("delete", "resourcequota", "few", "-n", stage.namespace)
    stage.are_up(1)


def test_a_gang_of_two_trains_under_restricted_pod_security(stage: Stage) -> None:
    stage.restrict()
    stage.begin()
    stage.are_up(1)
    assert stage.condition("Stalled") == ("False", "NotStalled")


def test_a_deleted_run_leaves_nothing(stage: Stage) -> None:
    stage.begin()
    stage.are_up(1)
    stage.cluster.kubectl("delete", "trainingrun", stage.name, "-n", stage.namespace, "--wait=false")

    def gone() -> bool:
        kinds = (
            "trainingruns,trainjobs,trainingruntimes,jobsets,jobs,pods,services,configmaps,roles,rolebindings"
        )
        left = stage.cluster.kubectl("get", kinds, "-n", stage.namespace, "-o", "name").split()
        return all(name == "configmap/kube-root-ca.crt" for name in left)

    wait_for("nothing left", gone)
