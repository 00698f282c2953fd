"""How soon a gang of trainers is begun anew after one of its pods fell: left with a code, was evicted, was deleted.

The control plane, the training operator and the operator are the real ones; KWOK plays nodes and pods, so what a pod
would take to start is not in here, and the data's results are reported as a step does it.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts import names, result_reporter
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.resources import PODS, PYTORCH_JOBS, RUNS
from tests.bench.operator.beside import cluster_of
from tests.bench.operator.burst import operator
from tests.bench.operator.diary import Body, Diary
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.operator.training.world import RESULTS, STAGE_OF

NUM_RUNS = 10
WITHIN_S = 300.0


def run_of(name: str, namespace: str) -> Body:
    """A run of two trainers."""
    custom = {"hiddenSize": 64, "layers": 2, "heads": 4, "keyValueHeads": 2, "intermediateSize": 128}
    spec = {
        "output": {"uri": f"s3://models/{name}"},
        "data": {"sources": [{"name": "code", "archives": {"uris": ["s3://code/a.tar.gz"]}}]},
        "tokenizer": {"train": {"vocabularySize": 1024}},
        "model": {"custom": custom},
        "training": {"tokens": 1_000_000, "contextLength": 256, "nodes": 2, "gpusPerNode": 1},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "metadata": metadata, "spec": spec}


def hand_over_data(cluster: Reach, run: str, namespace: str) -> None:
    """Tell the operator that the data is done, as its steps do."""
    name = names.stage_child(run, names.STAGE_DATA, 1)
    wait_for(f"the place for {run}'s results", lambda: cluster.get("configmap", name, namespace), WITHIN_S)
    data = {
        result_reporter.key_of(step): json.dumps(
            {
                "result": {
                    "uri": f"s3://o/{step}",
                    "digest": f"sha256:{step}",
                    "cached": False,
                    **RESULTS[step],
                }
            }
        )
        for step, stage in STAGE_OF.items()
        if stage == names.STAGE_DATA
    }
    patch = json.dumps({"data": data})
    cluster.kubectl("patch", "configmap", name, "-n", namespace, "--type=merge", "-p", patch)


def is_job(name: str) -> Callable[[Body], bool]:
    """It is the PyTorchJob of that name."""
    return lambda body: body["kind"] == "PyTorchJob" and body["metadata"]["name"] == name


def is_restarted(name: str) -> Callable[[Body], bool]:
    """It is the run, and its status tells of the second attempt."""
    return lambda body: (
        body["kind"] == names.KIND_RUN
        and body["metadata"]["name"] == name
        and (body.get("status") or {}).get("restarts", 0) >= 1
    )


def is_up(pod: Body) -> bool:
    """It answers."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Fall:
    """The ways in which a pod falls, by what is done to it; each returns when it was so."""

    def __init__(self, cluster: Reach, diary: Diary) -> None:
        self._cluster, self._diary = cluster, diary

    def leaves(self, pod: str) -> float:
        """Its container ends with 137; from when its phase says so."""
        self._cluster.finish_pod(self._diary.namespace, pod, 137)

        def failed(body: Body) -> bool:
            phase = (body.get("status") or {}).get("phase")
            return body["kind"] == "Pod" and body["metadata"]["name"] == pod and phase == "Failed"

        found: float = wait_for("a failed pod", lambda: self._diary.when(failed), WITHIN_S)
        return found

    def evicted(self, pod: str) -> float:
        """The cluster takes it, by the eviction API: DisruptionTarget, then it is deleted."""
        from kubernetes.client import CoreV1Api, V1Eviction, V1ObjectMeta

        with self._cluster.client() as client:
            at = time.monotonic()
            metadata = V1ObjectMeta(name=pod, namespace=self._diary.namespace)
            eviction = V1Eviction(metadata=metadata)
            CoreV1Api(client).create_namespaced_pod_eviction(pod, self._diary.namespace, eviction)
        return at

    def deleted(self, pod: str) -> float:
        """Somebody deletes it."""
        at = time.monotonic()
        self._cluster.kubectl("delete", "pod", pod, "-n", self._diary.namespace, "--wait=false")
        return at


@dataclass(frozen=True)
class Restart:
    """Seconds from a pod's fall."""

    decided: float
    begun: float
    up: float


def restarted(cluster: Reach, diary: Diary, run: str, fall: Callable[[str], float]) -> Restart:
    """Let a worker of the run fall; return when what followed."""
    first, second = (names.stage_child(run, names.STAGE_TRAIN, attempt) for attempt in (1, 2))
    pods = [f"{second}-{role}-0" for role in ("master", "worker")]
    at = fall(f"{first}-worker-0")

    def seen(is_it: Callable[[Body], bool], what: str) -> float:
        found: float = wait_for(f"{what} of {run}", lambda: diary.when(is_it), WITHIN_S)
        return found - at

    begun = seen(is_job(second), "the second attempt")
    up = max(
        seen(lambda b, pod=pod: b["metadata"]["name"] == pod and is_up(b), f"pod {pod}")  # type: ignore[misc]
        for pod in pods
    )
    return Restart(seen(is_restarted(run), "the decision"), begun, up)


def measured(cluster: Reach, log: Path) -> list[Restart]:
    """Bring runs to their training, then let a pod of each fall."""
    namespace, home = cluster.namespace(), cluster.namespace()
    cluster.add_nodes(NodeSpec(f"trainer-{number}") for number in range(4))
    cluster.kubectl("create", "serviceaccount", "daybreak-pipeline", "-n", namespace)
    diary = Diary(clients.connect({}, str(cluster.kubeconfig)), namespace)
    diary.follow(RUNS, PODS, PYTORCH_JOBS)
    runs = [f"run-{number}" for number in range(NUM_RUNS)]
    falls = Fall(cluster, diary)
    ways = (falls.leaves, falls.evicted, falls.deleted)
    with operator(cluster.kubeconfig, home, log):
        for run in runs:
            cluster.apply(run_of(run, namespace))
        for run in runs:
            hand_over_data(cluster, run, namespace)
        wait_for("all trainers", lambda: all(trains(cluster, run, namespace) for run in runs), WITHIN_S)
        return [restarted(cluster, diary, run, ways[number % len(ways)]) for number, run in enumerate(runs)]


def trains(cluster: Reach, run: str, namespace: str) -> bool:
    """Tell whether the operator has seen all pods of the run up."""
    found = cluster.get("trun", run, namespace) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["reason"]) == ("CapacityAvailable", "PodsReady") for one in conditions)


def measure() -> list[Row]:
    """Ten falls, one after the other."""
    parts = launcher.WITH_TRAINING_OPERATOR
    with tempfile.TemporaryDirectory() as folder, cluster_of(parts) as cluster:
        found = measured(cluster, Path(folder) / "log")
    begun, ways = [one.begun for one in found], "4 left with 137, 3 evicted, 3 deleted"
    return [
        Row(
            "pod falls to the restart in the status, the slowest of 10",
            max(one.decided for one in found),
            "s",
            "<= 10",
            note=ways,
        ),
        Row("pod falls to the next attempt's PyTorchJob, the slowest of 10", max(begun), "s", "<= 10"),
        Row("pod falls to the next attempt's PyTorchJob, P50", statistics.median(begun), "s", ""),
        Row(
            "pod falls to the whole gang up again, the slowest of 10",
            max(one.up for one in found),
            "s",
            "",
            note="pods are KWOK's: no image, no model",
        ),
    ]
