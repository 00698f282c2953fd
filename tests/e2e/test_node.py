"""The real node: a pod runs our environment, finds others by name and by Service, and two train together."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.cluster.reach import wait_for
from tests.cluster.training_operator import pytorch_job
from tests.e2e.cluster import NodeCluster

pytestmark = pytest.mark.slow
IMAGE = "registry.test/daybreak/tests:1"
WITHIN_S = 120.0
SERVER = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"


@pytest.fixture(scope="module")
def images(node_cluster: NodeCluster) -> None:
    node_cluster.add_image(IMAGE)


def pod(namespace: str, name: str, code: str, **labels: str) -> dict[str, Any]:
    """A pod that runs a few lines of Python."""
    container = {"name": "main", "image": IMAGE, "command": ["python", "-c", code]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def ended(cluster: NodeCluster, namespace: str, name: str) -> str | None:
    found = cluster.get("pod", name, namespace) or {}
    phase = found.get("status", {}).get("phase")
    return phase if phase in ("Succeeded", "Failed") else None


def said(cluster: NodeCluster, namespace: str, name: str) -> tuple[str, str]:
    """Return how a pod ended and what it printed."""
    phase = wait_for(f"the end of {name}", lambda: ended(cluster, namespace, name), WITHIN_S)
    return phase, cluster.kubectl("logs", name, "-n", namespace)


@pytest.mark.usefixtures("images")
class TestPods:
    def test_a_pod_runs_our_environment(self, node_cluster: NodeCluster) -> None:
        namespace = node_cluster.namespace()
        node_cluster.apply(pod(namespace, "one", "import daybreak_contracts, sys; print(sys.prefix)"))
        assert said(node_cluster, namespace, "one") == ("Succeeded", f"{sys.prefix}\n")

    def test_a_pod_that_fails_tells_its_exit_code(self, node_cluster: NodeCluster) -> None:
        namespace = node_cluster.namespace()
        node_cluster.apply(pod(namespace, "bad", "raise SystemExit(75)"))
        assert said(node_cluster, namespace, "bad")[0] == "Failed"
        found = node_cluster.get("pod", "bad", namespace)
        assert found is not None
        assert found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 75

    def test_a_pod_runs_as_nobody_special(self, node_cluster: NodeCluster) -> None:
        namespace = node_cluster.namespace()
        manifest = pod(
            namespace, "plain", "import os, numpy; print(os.getuid(), open('/tmp/x', 'w').write('x'))"
        )
        manifest["spec"]["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1000}
        node_cluster.apply(manifest)
        assert said(node_cluster, namespace, "plain") == ("Succeeded", "1000 1\n")

    def test_a_pod_reaches_the_api_server_by_its_service(self, node_cluster: NodeCluster) -> None:
        namespace = node_cluster.namespace()
        code = (
            "from kubernetes import client, config; config.load_incluster_config();"
            "print(client.VersionApi().get_code().git_version)"
        )
        node_cluster.apply(pod(namespace, "client", code))
        phase, text = said(node_cluster, namespace, "client")
        assert (phase, text.startswith("v1.34.")) == ("Succeeded", True), text

    @pytest.mark.parametrize(
        "address", ["None", None], ids=["by its own name", "through a Service's address"]
    )
    def test_a_pod_finds_another(self, node_cluster: NodeCluster, address: str | None) -> None:
        namespace = node_cluster.namespace()
        node_cluster.apply(pod(namespace, "server", SERVER, app="server"))
        spec = {"selector": {"app": "server"}, "ports": [{"port": 8000}]}
        if address is not None:
            spec["clusterIP"] = address
        metadata = {"name": "web", "namespace": namespace}
        node_cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        node_cluster.kubectl("wait", "--for=condition=Ready", "pod/server", "-n", namespace, "--timeout=60s")
        code = f"""
import time, urllib.request
deadline = time.monotonic() + 60
while True:
    try:
        print(urllib.request.urlopen("http://web.{namespace}.svc.cluster.local:8000/", timeout=5).status)
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
"""
        node_cluster.apply(pod(namespace, "caller", code))
        assert said(node_cluster, namespace, "caller") == ("Succeeded", "200\n")


ALL_REDUCE = """
import datetime, torch, torch.distributed as d
d.init_process_group("gloo", timeout=datetime.timedelta(seconds=120))
t = torch.tensor([d.get_rank() + 1.0])
d.all_reduce(t)
print("sum", t.item(), flush=True)
d.destroy_process_group()
"""


@pytest.mark.usefixtures("images")
def test_two_pods_of_a_job_train_together(node_cluster: NodeCluster) -> None:
    """torch with gloo, found by the training operator's Services."""
    namespace = node_cluster.namespace()
    job = pytorch_job("pair", namespace, workers=1)
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        (container,) = replica["template"]["spec"]["containers"]
        container.update(image=IMAGE, command=["python", "-c", ALL_REDUCE])
    node_cluster.apply(job)

    def finished() -> str | None:
        found = node_cluster.get("pytorchjob", "pair", namespace) or {}
        conditions = found.get("status", {}).get("conditions") or []
        return next((item["type"] for item in conditions if item["type"] in ("Succeeded", "Failed")), None)

    result = wait_for("the end of the job", finished, WITHIN_S)
    logs = node_cluster.kubectl("logs", "pair-master-0", "-n", namespace)
    assert (result, logs) == ("Succeeded", "sum 3.0\n"), json.dumps(
        node_cluster.get("pytorchjob", "pair", namespace)
    )
