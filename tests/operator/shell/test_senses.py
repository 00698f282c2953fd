"""What gateways, trainers, nodes and autoscalers say reaches the decisions: over HTTP, watches and events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import GatewaySnapshot, TrainerSnapshot
from daybreak_operator.core.plan import Plan
from daybreak_operator.shell.metrics.snapshots import GATEWAY_PORT, TRAINER_PORT
from tests.cluster.reach import Reach, wait_for
from tests.operator.shell.replica import SIMPLE, Replica, calm
from tests.operator.shell.test_plays import DEPLOYMENT, RUN, make

HOST = "127.81.7.3"
"""A loopback address that nobody else uses: pods' ports are fixed."""


@contextmanager
def answering(port: int, path: str, body: str) -> Iterator[list[str]]:
    """Serve one document; the list grows with each request."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == path else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


def put_pod(cluster: Reach, own: dict[str, Any], name: str, role: str, **more: Any) -> dict[str, Any]:
    namespace = own["metadata"]["namespace"]
    labels = {
        names.LABEL_OWNER_KIND: own["kind"],
        names.LABEL_OWNER: own["metadata"]["name"],
        names.LABEL_OWNER_UID: own["metadata"]["uid"],
        names.LABEL_ROLE: role,
        **more.get("labels", {}),
    }
    spec = {"containers": [{"name": "main", "image": "none"}], **more.get("spec", {})}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    pod = cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})[0]
    if "status" in more:
        patch = json.dumps({"status": more["status"]})
        cluster.kubectl(
            *("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
        )
    return pod


def said(cluster: Reach, kind: str, namespace: str) -> str:
    own = cluster.get(kind, "first", namespace) or {}
    return str((own.get("status") or {}).get("url" if kind == "modeldeployment" else "step", ""))


@pytest.fixture
def namespace(cluster: Reach) -> str:
    return cluster.namespace()


RUNNING = {"phase": "Running", "podIP": HOST, "podIPs": [{"ip": HOST}]}


def test_a_gateways_metrics_are_decided_by(cluster: Reach, namespace: str) -> None:
    def decide(observed: Any, now: datetime) -> Plan:
        arrivals = [snapshot.arrivals for snapshot in observed.snapshots]
        return Plan(status={**calm(observed, now), "url": f"{arrivals} {len(observed.earlier)}"})

    own = make(cluster, namespace, DEPLOYMENT)
    snapshot = GatewaySnapshot(instance="gate", started=1.0, at=2.0, arrivals=42).model_dump_json()
    with (
        answering(GATEWAY_PORT, "/snapshot", snapshot),
        Replica(str(cluster.kubeconfig), namespace, replace(SIMPLE, deployment=decide)),
    ):
        wait_for("nothing yet", lambda: said(cluster, "modeldeployment", namespace) == "[] 0")
        put_pod(cluster, own, "gate", names.ROLE_GATEWAY, status=RUNNING)
        wait_for("the reading", lambda: said(cluster, "modeldeployment", namespace) == "[42] 1")


@pytest.mark.parametrize(
    ("text", "step"),
    [
        pytest.param(TrainerSnapshot(step=7, updated=1.0).model_dump_json(), "7", id="metrics"),
        pytest.param("<html>", "None", id="what is no snapshot is as no answer"),
    ],
)
def test_a_trainers_progress_is_decided_by(cluster: Reach, namespace: str, text: str, step: str) -> None:
    def decide(observed: Any, now: datetime) -> Plan:
        found = observed.progress.step if observed.progress else None
        return Plan(status={**calm(observed, now), "step": str(found)})

    own = make(cluster, namespace, RUN)
    with (
        answering(TRAINER_PORT, "/progress", text) as asked,
        Replica(str(cluster.kubeconfig), namespace, replace(SIMPLE, training=decide)),
    ):
        first = {"training.kubeflow.org/replica-type": "master"}
        put_pod(cluster, own, "master", names.ROLE_TRAINING, labels=first, status=RUNNING)
        wait_for("the question", lambda: asked)
        wait_for("the step", lambda: said(cluster, "trainingrun", namespace) == step)


def test_pods_without_a_machine_and_nodes_under_notice_are_known(cluster: Reach, namespace: str) -> None:
    def decide(observed: Any, now: datetime) -> Plan:
        what = [sorted(observed.unschedulable), list(observed.stockouts), list(observed.reclaimed)]
        return Plan(status={**calm(observed, now), "url": json.dumps(what)})

    own = make(cluster, namespace, DEPLOYMENT)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{namespace}"}}
    cluster.apply(node)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": now}
    with Replica(str(cluster.kubeconfig), namespace, replace(SIMPLE, deployment=decide)):
        pod = put_pod(cluster, own, "waits", names.ROLE_ENGINE, status={"conditions": [waits]})
        placed = {"nodeName": node["metadata"]["name"]}  # type: ignore[index]
        put_pod(cluster, own, "placed", names.ROLE_ENGINE, spec=placed)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "waits.1", "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": "waits",
                "uid": pod["metadata"]["uid"],
            },
            "reason": "FailedScaleUp",
            "type": "Warning",
            "message": "out of capacity",
        }
        cluster.apply(event)
        told = json.dumps([["waits"], ["waits"], []])
        wait_for("the stock-out", lambda: said(cluster, "modeldeployment", namespace) == told)
        taint = "cloud.google.com/impending-node-termination=true:NoSchedule"
        cluster.kubectl("taint", "node", node["metadata"]["name"], taint)  # type: ignore[index]
        told = json.dumps([["waits"], ["waits"], ["placed"]])
        wait_for("the notice", lambda: said(cluster, "modeldeployment", namespace) == told)
    cluster.kubectl("delete", "node", node["metadata"]["name"])  # type: ignore[index]


def test_a_secret_that_is_missing_is_told_with_its_remedy(cluster: Reach, namespace: str) -> None:
    def decide(observed: Any, now: datetime) -> Plan:
        status = {**calm(observed, now), "step": str(len(observed.missing))}
        return Plan(status=status, requeue_after_s=0.3)

    template = {**RUN, "spec": {**RUN["spec"], "tracking": {"wandb": {"secretRef": "key"}}}}  # type: ignore[dict-item]
    make(cluster, namespace, template)
    with Replica(str(cluster.kubeconfig), namespace, replace(SIMPLE, training=decide)):
        wait_for("it is missed", lambda: said(cluster, "trainingrun", namespace) == "1")
