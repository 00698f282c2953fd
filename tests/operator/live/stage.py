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

from daybreak_contracts import errors, names, result_reporter
from daybreak_contracts.errors import TransientError
from tests.bench.operator.gang import hand_over_data, run_of
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.hasty import TIMING, decisions
from tests.operator.shell.replica import Replica
from tests.operator.training.world import RESULTS, STAGE_OF

INDEX = "batch.kubernetes.io/job-completion-index"
REPLICA, REPLICA_INDEX = "training.kubeflow.org/replica-type", "training.kubeflow.org/replica-index"


class Stage:
    """One run in a namespace of its own, and the operator that looks after it."""

    def __init__(self, cluster: Reach, namespace: str, launcher: str = "Job") -> None:
        self.cluster, self.namespace, self.launcher = cluster, namespace, launcher
        self.name = f"tiny-{uuid.uuid4().hex[:6]}"

    def another(self) -> Stage:
        """Another run beside it, looked after by the same operator."""
        return Stage(self.cluster, self.namespace, self.launcher)

    def apply(
        self,
        labels: dict[str, str] | None = None,
        policy: dict[str, Any] | None = None,
        **training: Any,
    ) -> None:
        """Apply the run."""
        run = run_of(self.name, self.namespace)
        run["spec"]["training"] |= {"launcher": self.launcher, **training}
        run["spec"]["runPolicy"] = policy or {}
        run["metadata"]["labels"] = labels or {}
        self.cluster.apply(run)

    def begin(
        self,
        labels: dict[str, str] | None = None,
        policy: dict[str, Any] | None = None,
        **training: Any,
    ) -> None:
        """Apply the run and report its data."""
        self.apply(labels, policy, **training)
        hand_over_data(self.cluster, self.name, self.namespace)

    def label(self, labels: dict[str, str]) -> None:
        """Write labels into the run."""
        patch = json.dumps({"metadata": {"labels": labels}})
        self.cluster.kubectl(
            "patch", "trainingrun", self.name, "-n", self.namespace, "--type=merge", "-p", patch
        )

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

    def uid_of_job(self, attempt: int) -> str:
        found = self.job(attempt)
        return str(found["metadata"]["uid"]) if found is not None else ""

    def pods(self, attempt: int, stage: str = "train") -> dict[str, dict[str, Any]]:
        """The pods of an attempt by their rank, as their controller has made them."""
        chosen = (
            f"{names.LABEL_OWNER}={self.name},{names.LABEL_STAGE}={stage},{names.LABEL_ATTEMPT}={attempt}"
        )
        text = self.cluster.kubectl("get", "pods", "-n", self.namespace, "-l", chosen, "-o", "json")
        return {_rank(pod): pod for pod in json.loads(text)["items"]}

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
        for _, name in sorted(pods.items(), reverse=True):  # the first one's end ends a PyTorchJob
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
        """Report the training's result."""
        self._report("train", attempt, {"train": _result("train")})

    def hand_over_model(self) -> None:
        """Report the results of the steps after training."""
        place = names.stage_child(self.name, names.STAGE_MODEL, 1)
        wait_for("their place", lambda: self.cluster.get("configmap", place, self.namespace))
        steps = [step for step, stage in STAGE_OF.items() if stage == names.STAGE_MODEL]
        self._report(names.STAGE_MODEL, 1, {step: _result(step) for step in steps})

    def says_that_it_was_told_to_stop(self, attempt: int) -> None:
        """Report what a trainer reports when its pod is taken from it."""
        error = errors.document_of(TransientError("asked to stop by SIGTERM after step 7"))
        self._report("train", attempt, {"train": {"error": error}})

    def _report(self, stage: str, attempt: int, said: dict[str, Any]) -> None:
        data = {result_reporter.key_of(step): json.dumps(document) for step, document in said.items()}
        place, patch = names.stage_child(self.name, stage, attempt), json.dumps({"data": data})
        self.cluster.kubectl("patch", "configmap", place, "-n", self.namespace, "--type=merge", "-p", patch)


def _result(step: str) -> dict[str, Any]:
    return {"result": {"uri": f"s3://o/{step}", "digest": f"sha256:{step}", "cached": False, **RESULTS[step]}}


def _rank(pod: dict[str, Any]) -> str:
    """Return a pod's number; the training operator counts its workers alone."""
    labels = pod["metadata"]["labels"]
    if INDEX in labels or REPLICA not in labels:
        return str(labels.get(INDEX, "0"))
    return "0" if labels[REPLICA] == "master" else str(int(labels[REPLICA_INDEX]) + 1)


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
