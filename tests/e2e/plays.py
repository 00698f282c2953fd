"""What the plays on the real node are made of: a team's namespace, its storage, the operator, and people who ask.

Owns no test.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import GatewaySnapshot, TrainerSnapshot
from tests.e2e import installation
from tests.e2e.cluster import NODE, ZONE, NodeCluster
from tests.e2e.installation import ACCELERATOR, OperatorProcess

WITHIN_S = 1800.0
"""The whole way takes eight minutes on two cores of its own; on a machine with other work, many times as long."""
GUARDRAILS = {"minRequests": 10, "maxP95LatencyMs": 60_000}
"""Two cores do everything here at once: how fast they answer is not what is tried."""


@dataclass
class Play:
    """The stage of the plays."""

    cluster: NodeCluster
    operator: OperatorProcess
    namespace: str
    store: str
    """Where the S3 server is."""

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object's status, empty before the first."""
        found = self.cluster.get(kind, name, self.namespace) or {}
        status: dict[str, Any] = found.get("status") or {}
        return status

    def condition(self, kind: str, name: str, wanted: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        for condition in self.status(kind, name).get("conditions") or []:
            if condition["type"] == wanted:
                return condition["status"], condition["reason"], condition["message"]
        return "Unknown", "", ""

    def stable(self, deployment: str) -> str:
        """Return the digest of the model that serves everyone, empty before the first."""
        return str((self.status("mdeploy", deployment).get("stable") or {}).get("digest", ""))

    def stage(self, deployment: str) -> str:
        """Return the stage of the candidate, empty without one."""
        return str((self.status("mdeploy", deployment).get("candidate") or {}).get("stage", ""))

    def pods(self, role: str) -> list[dict[str, Any]]:
        """Return the pods of a role that are not on their way out."""
        selector = f"{names.LABEL_ROLE}={role}"
        text = self.cluster.kubectl("get", "pods", "-n", self.namespace, "-l", selector, "-o", "json")
        return [pod for pod in json.loads(text)["items"] if not pod["metadata"].get("deletionTimestamp")]

    def trainer(self) -> TrainerSnapshot | None:
        """Return what the newest attempt's first trainer tells of its progress; None when none answers."""
        role = "training.kubeflow.org/replica-type"
        found = [
            pod for pod in self.pods(names.ROLE_TRAINING) if pod["metadata"]["labels"].get(role) == "master"
        ]
        newest = max(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default={})
        try:
            return TrainerSnapshot.model_validate_json(told(newest, ":8080/progress"))
        except (OSError, ValueError):
            return None

    def gateway(self) -> GatewaySnapshot:
        """Return what the gateway counts."""
        (pod,) = self.pods(names.ROLE_GATEWAY)
        return GatewaySnapshot.model_validate_json(told(pod, ":9090/snapshot"))

    def apply(self, thing: dict[str, Any]) -> None:
        """Create or change an object in the team's namespace."""
        self.cluster.apply({**thing, "metadata": {**thing["metadata"], "namespace": self.namespace}})

    def patch(self, kind: str, name: str, change: dict[str, Any]) -> None:
        """Change an object as a person would."""
        self.cluster.kubectl(
            "patch", kind, name, "-n", self.namespace, "--type=merge", "-p", json.dumps(change)
        )

    def ask(self, deployment: str, user: str, groups: str = "") -> tuple[int, dict[str, Any]]:
        """Ask the gateway through its Service; return HTTP status and answer."""
        service = self.cluster.get("service", names.gateway_name(deployment), self.namespace)
        assert service is not None
        body = {"prompt": "def read(path):\n    ", "max_tokens": 4, "user": user}
        headers = {"Content-Type": "application/json", "X-Daybreak-User": user, "X-Daybreak-Groups": groups}
        url = f"http://{service['spec']['clusterIP']}/v1/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def model_for(self, deployment: str, user: str, groups: str = "") -> str | None:
        """Return the short digest of the model that answered a user; None when nobody answered."""
        status, answer = self.ask(deployment, user, groups)
        return str(answer["system_fingerprint"]) if status == 200 else None


def told(pod: dict[str, Any], place: str) -> bytes:
    """Return what a pod answers at a port and path; OSError when it does not."""
    address = (pod.get("status") or {}).get("podIP")
    with urllib.request.urlopen(f"http://{address}{place}", timeout=10) as answer:
        return bytes(answer.read())


def prepare(cluster: NodeCluster) -> None:
    """Give the node its images and its label, the operator its namespace."""
    installation.add_images(cluster)
    cluster.kubectl("label", "node", NODE, f"{names.LABEL_ACCELERATOR}={ACCELERATOR}", "--overwrite")
    cluster.kubectl("create", "namespace", installation.OPERATOR_NAMESPACE)


def keep(play: Play, into: Path) -> None:
    """Write down what a person would look at after a failure."""
    installation.tell_all(play.cluster, play.namespace, into)
    (into / "operator.jsonl").write_bytes(play.operator.log.read_bytes())


def deployment_of(name: str, model: dict[str, Any], **rollout: Any) -> dict[str, Any]:
    """A deployment on the one node that there is."""
    spec = {
        "model": model,
        "replicas": 1,
        "pools": [{"name": "cpu", "accelerator": ACCELERATOR, "gpus": 0, "zones": [ZONE], "max": 3}],
        "rollout": {"everyone": True, "ramp": [50, 100], "guardrails": GUARDRAILS, **rollout},
        "gateway": {"replicas": 1, "holdMs": 5000, "maxNewTokens": 8},
    }
    metadata = {"name": name}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": metadata,
        "spec": spec,
    }
