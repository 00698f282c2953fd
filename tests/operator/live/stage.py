"""One run in a namespace of its own, the operator that looks after it, and what a test asks of both.

KWOK plays nodes and pods; the data's results and the training's are reported as a step does it. Owns how a run is begun
and how its pods fall; which controllers make the pods is the cluster's affair.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from daybreak_contracts import names, result_reporter
from tests.bench.operator.gang import hand_over_data, run_of
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.hasty import TIMING, decisions
from tests.operator.shell.replica import Replica
from tests.operator.training.world import RESULTS

INDEX = "batch.kubernetes.io/job-completion-index"


class Stage:
    """One run in a namespace of its own, and the operator that looks after it."""

    def __init__(self, cluster: Reach, namespace: str, launcher: str = "Job") -> None:
        self.cluster, self.namespace, self.launcher = cluster, namespace, launcher
        self.name = f"tiny-{uuid.uuid4().hex[:6]}"

    def begin(self, labels: dict[str, str] | None = None, **training: Any) -> None:
        """Apply the run and report its data."""
        run = run_of(self.name, self.namespace)
        run["spec"]["training"] |= {"launcher": self.launcher, **training}
        run["metadata"]["labels"] = labels or {}
        self.cluster.apply(run)
        hand_over_data(self.cluster, self.name, self.namespace)

    @property
    def status(self) -> dict[str, Any]:
        found = self.cluster.get("trainingrun", self.name, self.namespace) or {}
        return dict(found.get("status") or {})

    def condition(self, kind: str) -> tuple[str, str]:
        held = [item for item in self.status.get("conditions") or () if item["type"] == kind]
        return (held[0]["status"], held[0]["reason"]) if held else ("", "")

    def message(self, kind: str) -> str:
        return next(item["message"] for item in self.status["conditions"] if item["type"] == kind)

    def restrict(self) -> None:
        """Let the namespace take only pods of restricted security."""
        word = "pod-security.kubernetes.io/enforce=restricted"
        self.cluster.kubectl("label", "namespace", self.namespace, word)

    def is_said(self, kind: str, *wanted: str) -> None:
        wait_for(f"{kind} {wanted}", lambda: self.condition(kind) == wanted)

    def job(self, attempt: int) -> dict[str, Any] | None:
        name = names.stage_child(self.name, "train", attempt)
        return self.cluster.get(self.launcher.lower(), name, self.namespace)

    def pods(self, attempt: int) -> dict[str, dict[str, Any]]:
        """The pods of an attempt by their rank, as their controller has made them."""
        chosen = f"{names.LABEL_OWNER}={self.name},{names.LABEL_STAGE}=train,{names.LABEL_ATTEMPT}={attempt}"
        text = self.cluster.kubectl("get", "pods", "-n", self.namespace, "-l", chosen, "-o", "json")
        return {pod["metadata"]["labels"][INDEX]: pod for pod in json.loads(text)["items"]}

    def are_up(self, attempt: int) -> dict[str, str]:
        """Wait until both pods of an attempt are up and the status says so; return their names by index."""

        def found() -> dict[str, str]:
            pods = self.pods(attempt)
            running = [pod for pod in pods.values() if pod["status"].get("phase") == "Running"]
            told = self.condition("CapacityAvailable") == ("True", "PodsReady")
            return (
                {index: pod["metadata"]["name"] for index, pod in pods.items()}
                if len(running) == 2 and told and self.status.get("attempt") == attempt
                else {}
            )

        return dict(wait_for(f"both pods of attempt {attempt}", found))

    def suspend(self, held: bool) -> None:
        """Say in the run whether it shall rest."""
        patch = json.dumps({"spec": {"suspend": held}})
        self.cluster.kubectl(
            "patch", "trainingrun", self.name, "-n", self.namespace, "--type=merge", "-p", patch
        )

    def finish(self, attempt: int, pods: dict[str, str]) -> None:
        """Hand the result over and end the pods."""
        self.hand_over(attempt)
        for name in pods.values():
            self.cluster.finish_pod(self.namespace, name, 0)

    def disrupt(self, pod: str) -> None:
        """Say of a pod what the API server says of one that is evicted; KWOK would take it away unseen."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        patch = json.dumps({"status": {"conditions": [{**said, "lastTransitionTime": now}]}})
        arguments = ("patch", "pod", pod, "-n", self.namespace, "--subresource=status", "--type=strategic")
        self.cluster.kubectl(*arguments, "-p", patch)

    def restarts(self) -> tuple[int, int]:
        return self.status.get("restarts", 0), self.status.get("countedRestarts", 0)

    def hand_over(self, attempt: int) -> None:
        result = {"uri": "s3://o/train", "digest": "sha256:train", "cached": False, **RESULTS["train"]}
        data = {result_reporter.key_of("train"): json.dumps({"result": result})}
        place = names.stage_child(self.name, "train", attempt)
        patch = json.dumps({"data": data})
        self.cluster.kubectl("patch", "configmap", place, "-n", self.namespace, "--type=merge", "-p", patch)


@contextlib.contextmanager
def staged(cluster: Reach, launcher: str = "Job") -> Iterator[Stage]:
    """A namespace, two nodes of eight GPUs, and the operator; the run is begun by the test."""
    namespace = cluster.namespace()
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    cluster.apply({**account, "metadata": {"name": "daybreak-pipeline", "namespace": namespace}})
    nodes = [NodeSpec(f"gpus-{namespace}-{number}", "live-a", gpus=8) for number in range(2)]
    cluster.add_nodes(nodes)
    with Replica(str(cluster.kubeconfig), namespace, decisions(), "launchers", TIMING):
        yield Stage(cluster, namespace, launcher)
    cluster.kubectl("delete", "trainingruns,jobs,pods", "--all", "-n", namespace, "--wait=false")
    cluster.kubectl("delete", "node", *(node.name for node in nodes))
