"""The operator at rest: a thousand deployments that serve and nobody uses. What does it cost to keep an eye on them?

The cluster is the tests' own (etcd and API server); this process plays what else a cluster has: it makes ready pods of
Deployments, and later one gateway that answers for all.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.answers import ConflictError
from daybreak_operator.shell.kube.client import MERGE, Kube, Selector
from daybreak_operator.shell.kube.resources import DEPLOYMENTS, PODS, resource_of
from daybreak_operator.shell.metrics.snapshots import GATEWAY_PORT, SILENT_EVERY_S
from tests.bench.operator.beside import cluster_of
from tests.bench.operator.burst import Running, idle, is_ready, operator, settled
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.reach import wait_for

NUM = 1000
WITHIN_S = 1200.0
HOST = "127.81.9.1"
"""A loopback address that nobody else uses: a gateway's port is fixed."""
TARGET = "<= 9"
"""15 % of a core."""
APPS = resource_of("apps/v1", "Deployment")
Body = dict[str, Any]


def deployment(name: str, namespace: str) -> Body:
    """Return a ModelDeployment whose size follows the load, with one gateway and one engine."""
    pool = {"name": "l4", "accelerator": "nvidia-l4", "zones": ["zone-a"], "pricePerHour": "0.98", "max": 4}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": f"s3://models/{name}", "digest": "1" * 64},
            "pools": [pool],
            "scaling": {"spareSpotReplicas": 0},
            "rollout": {"everyone": True},
            "gateway": {"replicas": 1},
        },
    }


def pod_of(child: Body) -> Body:
    """Return a pod of a Deployment."""
    metadata, template = child["metadata"], child["spec"]["template"]
    labels = template["metadata"]["labels"]
    spec = {"containers": [{"name": "main", "image": "none"}], "nodeName": "node"}
    place = {"name": f"{metadata['name']}-pod", "namespace": metadata["namespace"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": spec}


def up() -> Body:
    """Return the status of a pod that answers."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
    return {"phase": "Running", "podIP": HOST, "podIPs": [{"ip": HOST}], "conditions": [ready]}


@dataclass
class Controllers:
    """Makes the pods of Deployments, one each, and says that they answer."""

    kube: Kube
    namespace: str
    made: set[str] = field(default_factory=set)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))

    def start(self) -> None:
        """Follow Deployments until this process ends."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        version = "0"
        while True:
            try:
                for kind, body in self.kube.watch(APPS, self.namespace, Selector(), version, 120.0):
                    version = body["metadata"]["resourceVersion"]
                    if kind in ("ADDED", "MODIFIED") and body["spec"].get("replicas", 1):
                        self._take(body)
            except TransientError:
                continue

    def _take(self, body: Body) -> None:
        name = body["metadata"]["name"]
        if name not in self.made:
            self.made.add(name)
            self._threads.submit(self._make, body)

    def _make(self, body: Body) -> None:
        pod, name = pod_of(body), body["metadata"]["name"]
        try:
            self.kube.create(pod)
        except ConflictError:
            pass  # an attempt before broke off after it was made
        except TransientError:
            self.made.discard(name)
            return
        for resource, thing, status in (
            (PODS, pod["metadata"]["name"], up()),
            (APPS, name, {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1}),
        ):
            path = resource.path(self.namespace, thing, "status")
            self.kube._call("PATCH", path, {}, {"status": status}, content_type=MERGE)


@contextmanager
def gateway() -> Iterator[None]:
    """Answer for all gateways: nobody uses them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            figures = GatewaySnapshot(
                instance="gateway", started=1.0, at=time.time(), routing_version=1_000_000, arrivals=7
            )
            text = figures.model_dump_json().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer((HOST, GATEWAY_PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def all_serve(kube: Kube, namespace: str) -> bool:
    """Return whether every deployment's model is the stable one and answers; asked seldom, for it is a long list."""
    time.sleep(3.0)
    bodies = [body for page, _ in kube.pages(DEPLOYMENTS, namespace, "") for body in page]
    statuses = [body.get("status") or {} for body in bodies]
    return all(status.get("stable") and status.get("readyReplicas") for status in statuses)


def measure() -> list[Row]:
    """All serve, nobody answers the operator's questions; then the gateways do."""
    with tempfile.TemporaryDirectory() as folder, cluster_of(launcher.API_SERVER) as cluster:
        return _measured(cluster, Path(folder) / "log")


def _measured(cluster: launcher.Cluster, log: Path) -> list[Row]:
    namespace, home = cluster.namespace(), cluster.namespace()
    kube = clients.connect({}, str(cluster.kubeconfig))
    Controllers(kube, namespace).start()
    end = time.monotonic() + WITHIN_S
    with operator(cluster.kubeconfig, home, log) as running:
        wait_for("readiness", lambda: is_ready(running))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(kube.create, [deployment(f"serving-{number}", namespace) for number in range(NUM)]))
        wait_for("all serve", lambda: all_serve(kube, namespace), WITHIN_S)
        settled(running, end)
        rows = [_row("whose gateways cannot be asked", running)]
        with gateway():
            time.sleep(SILENT_EVERY_S + 15.0)  # until each was asked again
            settled(running, end)
            rows.append(_row("whose gateways answer and are not used", running))
        return rows


def _row(what: str, running: Running) -> Row:
    rest = idle(running)
    note = f"{rest.passes:,.0f} passes, {rest.writes:.0f} API writes, {running.memory_mb():.0f} MB"
    title = f"{NUM} serving deployments {what}: processor time in an idle minute"
    return Row(title, rest.processor_s, "s", TARGET, note=note)
