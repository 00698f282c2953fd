"""The real training operator beside a cluster of our own: its kind, its webhook, and the certificate between them.

Owns what it needs to run as a process of the host instead of a pod. How jobs run is its own affair.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts.ports import free_ports
from tests.cluster import binaries
from tests.cluster.binaries import NoClusterError
from tests.cluster.commands import HOST, NOBODY
from tests.cluster.processes import Household
from tests.cluster.webhooks import certificates

if TYPE_CHECKING:
    from tests.cluster.reach import Reach

NAMESPACE = "kubeflow"
SERVICE = "training-operator"
SECRET = "training-operator-webhook-cert"
AUTHORITY = "training-operator-ca"
WEBHOOKS = "validator.training-operator.kubeflow.org"
VALIDATING_PATH = "/validate-kubeflow-org-v1-pytorchjob"
WAITED_FOR = Path("/tmp/k8s-webhook-server/serving-certs/tls.crt")
"""The operator waits for a file of this very name, and then reads its certificate below TMPDIR instead."""
READY_WITHIN_S = 120.0
INIT_IMAGE = "daybreak-init"
INIT_CONTAINER = """\
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  command: ["sh", "-c", "until getent hosts {{.MasterAddr}}; do sleep 1; done"]
"""
"""The stock one resolves names by a tool of one image; this one works in any."""


def install(cluster: Reach, household: Household, program: Path, address: str) -> None:
    """Apply its kind and webhook, start it, wait until a job would be taken."""
    webhook_port, metrics_port, probe_port = free_ports(3)
    crds = binaries.assets_of("training-operator", os.environ) / "manifests/base/crds"
    cluster.install_crds(crds / "kubeflow.org_pytorchjobs.yaml")
    files = certificates(AUTHORITY, f"{SERVICE}.{NAMESPACE}.svc", datetime.now(UTC))
    cluster.apply({"apiVersion": "v1", "kind": "List", "items": objects(address, webhook_port, files)})
    temporary = household.data / "training-operator"
    served = temporary / "k8s-webhook-server" / "serving-certs"
    served.mkdir(parents=True)
    for name, content in files.items():
        (served / name).write_bytes(content)
    template = temporary / "init-container.yaml"
    template.write_text(INIT_CONTAINER)
    command = [
        str(program),
        "--enable-scheme=pytorchjob",
        f"--webhook-server-port={webhook_port}",
        f"--metrics-bind-address={HOST}:{metrics_port}",
        f"--health-probe-bind-address={HOST}:{probe_port}",
        f"--pytorch-init-container-image={INIT_IMAGE}",
        f"--pytorch-init-container-template-file={template}",
    ]
    own = {"KUBECONFIG": str(cluster.kubeconfig), "TMPDIR": str(temporary), "MY_POD_NAMESPACE": NAMESPACE}
    household.start("training-operator", command, {**os.environ, **own})
    household.wait_until("training-operator", functools.partial(_ready, probe_port), READY_WITHIN_S)
    household.wait_until("training-operator", functools.partial(_takes_jobs, cluster), READY_WITHIN_S)
    WAITED_FOR.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another cluster is at the same point
        WAITED_FOR.parent.rmdir()
        WAITED_FOR.parent.parent.rmdir()


def _ready(port: int) -> bool:
    with contextlib.suppress(FileNotFoundError):  # each time: another cluster that is done with it removes it
        WAITED_FOR.parent.mkdir(parents=True, exist_ok=True)
        WAITED_FOR.touch()
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _takes_jobs(cluster: Reach) -> bool:
    """The API server learns of the webhook's address a moment later."""
    from tests.cluster.reach import KubectlError

    try:
        cluster.would_take(pytorch_job("probe", "default", workers=0))
    except KubectlError as refusal:
        if "failed calling webhook" in str(refusal):
            return False
        raise
    return True


def host_address() -> str:
    """Return an address of this machine that is not loopback: endpoints of a Service may not be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((NOBODY, 9))  # sends nothing; only asks which address would be used
        except OSError as error:
            raise NoClusterError(
                "the training operator's webhook needs an address beside loopback"
            ) from error
        return str(probe.getsockname()[0])


def objects(address: str, port: int, files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Namespace, certificate, webhook, and the Service that leads to a process of this machine."""
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    inside = {"namespace": NAMESPACE}
    service = {"name": SERVICE, **inside}
    webhook = {
        "name": "validator.pytorchjob.training-operator.kubeflow.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {"service": {**service, "path": VALIDATING_PATH}, "caBundle": encoded["ca.crt"]},
        "rules": [
            {
                "apiGroups": ["kubeflow.org"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["pytorchjobs"],
            }
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, **inside}, "data": encoded},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"ports": [{"name": "webhook", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**service, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "webhook", "port": port}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": WEBHOOKS},
            "webhooks": [webhook],
        },
    ]


def pytorch_job(name: str, namespace: str, workers: int, gpus: int = 0) -> dict[str, Any]:
    """Return a small PyTorchJob with one master."""
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    container = {"name": "pytorch", "image": "daybreak", "command": ["true"], "resources": resources}
    replica = {"restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    replicas = {"Master": {"replicas": 1, **replica}}
    if workers:
        replicas["Worker"] = {"replicas": workers, **replica}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"pytorchReplicaSpecs": replicas},
    }
