"""What others do to an operator's objects on a real API server: other managers, webhooks, people, clocks.

Decisions are a few lines: one ConfigMap a run. The operator's own are played in `tests/operator/live`.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.times import instant
from daybreak_operator.shell.kube import client as kube
from daybreak_operator.shell.reconcile import contests
from tests.cluster.reach import Reach, wait_for
from tests.cluster.webhooks import certificates, on_loopback
from tests.operator.shell.replica import Replica
from tests.operator.shell.test_plays import (
    DEPLOYMENT,
    child,
    grown,
    make,
    passes,
    replica,
    requests,
    settled,
    stalled,
    writes,
)

pytestmark = [pytest.mark.slow, pytest.mark.needs("programs")]
ARGO = "argocd-controller"


@pytest.fixture
def namespace(cluster: Reach) -> str:
    return cluster.namespace()


def patch_child(cluster: Reach, namespace: str, change: dict[str, Any]) -> None:
    arguments = (
        "patch",
        "configmap",
        "first-child",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        json.dumps(change),
    )
    cluster.kubectl(*arguments)


def labels(cluster: Reach, namespace: str) -> dict[str, str]:
    found = child(cluster, namespace) or {"metadata": {}}
    return found["metadata"].get("labels") or {}


def is_whole(cluster: Reach, namespace: str, uid: str) -> bool:
    found = child(cluster, namespace)
    if found is None or found["data"] != {"size": "1"}:
        return False
    metadata = found["metadata"]
    owners = [ref["uid"] for ref in metadata.get("ownerReferences") or () if ref.get("controller")]
    marked = (metadata.get("labels") or {}).get(names.LABEL_OWNER_UID) == uid
    return owners == [uid] and marked and names.ANNOTATION_SPEC in (metadata.get("annotations") or {})


TAKEN_OFF: dict[str, dict[str, Any]] = {
    "whose it is, changed": {"labels": {names.LABEL_OWNER_UID: "another"}},
    "whose it is, removed": {"labels": {names.LABEL_OWNER_UID: None}},
    "what the watch goes by": {"labels": {names.LABEL_OWNER_KIND: None}},
    "all of it": {"labels": None, "annotations": None, "ownerReferences": None},
}


def test_what_a_user_takes_off_a_child_comes_back(cluster: Reach, namespace: str) -> None:
    run = make(cluster, namespace)
    with replica(cluster, namespace):
        made = grown(cluster, namespace)
        for what, change in TAKEN_OFF.items():
            patch_child(cluster, namespace, {"metadata": change})
            wait_for(f"whole after {what}", lambda: is_whole(cluster, namespace, run["metadata"]["uid"]), 30)
        found = child(cluster, namespace) or {}
        assert found["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_child_that_another_controller_took_is_his_until_he_lets_go(cluster: Reach, namespace: str) -> None:
    another = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": True}
    run = make(cluster, namespace)
    with replica(cluster, namespace):
        grown(cluster, namespace)
        patch_child(cluster, namespace, {"metadata": {"ownerReferences": [another]}})
        assert stalled(cluster, namespace)["reason"] == "NameTaken"
        patch_child(cluster, namespace, {"metadata": {"ownerReferences": None}})
        wait_for("it is whole", lambda: is_whole(cluster, namespace, run["metadata"]["uid"]), 30)
        stalled(cluster, namespace, "False")


def test_a_namesake_without_a_field_that_could_conflict_stays_its_owners(
    cluster: Reach, namespace: str
) -> None:
    """It would be joined with ours, and go with our object."""
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"mine": "1"}}
    before = cluster.apply({**theirs, "metadata": {"name": "first-child", "namespace": namespace}})[0]
    make(cluster, namespace)
    with replica(cluster, namespace):
        assert stalled(cluster, namespace)["reason"] == "NameTaken"
        events = json.loads(cluster.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
        assert "NotStalled" not in {event["reason"] for event in events}
    found = child(cluster, namespace) or {}
    assert found["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def orphaned(cluster: Reach, namespace: str, kind: str) -> str:
    """Do what ``--cascade=orphan`` has the garbage collector do; return the child's uid."""
    made = grown(cluster, namespace)
    patch_child(cluster, namespace, {"metadata": {"ownerReferences": None}})
    return str(made["metadata"]["uid"])


def test_what_an_orphaned_deployment_left_is_taken_up_by_the_next_of_its_name(
    cluster: Reach, namespace: str
) -> None:
    make(cluster, namespace, DEPLOYMENT)
    with replica(cluster, namespace):
        grown(cluster, namespace)
    cluster.kubectl("delete", "modeldeployment", "first", "-n", namespace)
    uid = orphaned(cluster, namespace, "modeldeployment")
    again = make(cluster, namespace, DEPLOYMENT)
    with replica(cluster, namespace):
        wait_for("it is whole", lambda: is_whole(cluster, namespace, again["metadata"]["uid"]), 30)
        settled(cluster, namespace, "modeldeployment")
    found = child(cluster, namespace) or {}
    assert found["metadata"]["uid"] == uid


def test_what_an_orphaned_run_left_is_told_with_the_command_that_removes_it(
    cluster: Reach, namespace: str
) -> None:
    """It may hold results of another spec, so it is not taken up."""
    old = make(cluster, namespace)
    with replica(cluster, namespace):
        grown(cluster, namespace)
    cluster.kubectl("delete", "trainingrun", "first", "-n", namespace)
    orphaned(cluster, namespace, "trainingrun")
    again = make(cluster, namespace)
    with replica(cluster, namespace):
        said = stalled(cluster, namespace)
        assert said["reason"] == "NameTaken"
        chosen = f"{names.LABEL_OWNER_UID}={old['metadata']['uid']}"
        assert f"kubectl delete all,configmaps -n {namespace} -l {chosen}" in said["message"]
        cluster.kubectl("delete", "all,configmaps", "-n", namespace, "-l", chosen)
        wait_for("a new child", lambda: is_whole(cluster, namespace, again["metadata"]["uid"]), 30)


class Insisting(threading.Thread):
    """Another manager that applies a field of ours anew whenever it is not as it wants it."""

    def __init__(self, cluster: Reach, namespace: str) -> None:
        super().__init__()
        self.over, self.times = threading.Event(), 0
        self._kube = kube.connect({}, str(cluster.kubeconfig))
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/first-child"
        metadata = {"name": "first-child", "namespace": namespace, "annotations": {"argocd/tracking-id": "x"}}
        self._wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"size": "3"}}

    def run(self) -> None:
        while not self.over.wait(0.02):
            if self._kube._call("GET", self._path)["data"]["size"] != "3":
                query = {"fieldManager": ARGO, "force": "true"}
                self._kube._call("PATCH", self._path, query, self._wanted, content_type=kube.APPLY)
                self.times += 1


def test_two_managers_do_not_write_for_ever_and_the_other_is_named(
    cluster: Reach, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contests, "FIRST_WAIT_S", 0.4)
    monkeypatch.setattr(contests, "CALM_S", 0.5)
    make(cluster, namespace)
    with replica(cluster, namespace) as running:
        grown(cluster, namespace)
        other = Insisting(cluster, namespace)
        other.start()
        try:
            said = stalled(cluster, namespace)
            assert said["reason"] == "FieldsContested"
            wait_for("who it is", lambda: ARGO in stalled(cluster, namespace)["message"], 30)
            assert ".data.size" in stalled(cluster, namespace)["message"]
            before, took = writes(running), other.times
            time.sleep(1.5)
            assert other.times - took <= 2
            assert writes(running) - before <= 8
        finally:
            other.over.set()
            other.join()
        stalled(cluster, namespace, "False")
        found = child(cluster, namespace) or {}
        assert found["data"] == {"size": "1"}, "ours, once nobody insists"
        assert found["metadata"]["annotations"]["argocd/tracking-id"] == "x", "theirs"


class Webhook:
    """A policy engine's: takes our annotation away, sets a label of its own, another value and one more."""

    PATCH = (
        {"op": "remove", "path": f"/metadata/annotations/{names.ANNOTATION_SPEC.replace('/', '~1')}"},
        {"op": "add", "path": "/metadata/labels/policy", "value": "seen"},
        {"op": "replace", "path": "/data/size", "value": "2"},
        {"op": "add", "path": "/data/sidecar", "value": "yes"},
    )

    def __init__(self, folder: Path) -> None:
        made = certificates("policy", "policy", datetime.now(UTC))
        for name, text in made.items():
            (folder / name).write_bytes(text)
        self.authority, self.asked = made["ca.crt"], 0
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                patch: list[dict[str, Any]] = []
                if names.ANNOTATION_SPEC in (
                    review["request"]["object"]["metadata"].get("annotations") or {}
                ):
                    webhook.asked += 1
                    patch = list(webhook.PATCH)
                answer = {
                    "uid": review["request"]["uid"],
                    "allowed": True,
                    "patchType": "JSONPatch",
                    "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
                }
                text = json.dumps({**review, "request": None, "response": answer}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def configuration(self, namespace: str) -> dict[str, Any]:
        hook = {
            "name": "policy.example.dev",
            "clientConfig": on_loopback("/mutate", self.server.server_port, self.authority),
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["configmaps"],
                }
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": f"policy-{namespace}"},
            "webhooks": [hook],
        }


@contextmanager
def mutated(cluster: Reach, namespace: str, folder: Path) -> Iterator[Webhook]:
    """ConfigMaps of a namespace are changed on their way."""
    webhook = Webhook(folder)
    webhook.thread.start()
    metadata = {"name": "probe", "namespace": namespace, "labels": {"a": "b"}}
    metadata["annotations"] = {names.ANNOTATION_SPEC: "probe"}
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"size": "1"}}
    cluster.apply(webhook.configuration(namespace))
    try:
        wait_for("the webhook in force", lambda: cluster.apply(probe) and webhook.asked)
        yield webhook
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", f"policy-{namespace}")
        webhook.server.shutdown()
        webhook.thread.join()
        webhook.server.server_close()


def test_a_webhook_that_changes_children_makes_no_loop(
    cluster: Reach, namespace: str, tmp_path: Path
) -> None:
    with mutated(cluster, namespace, tmp_path) as webhook, replica(cluster, namespace) as running:
        run = make(cluster, namespace)
        grown(cluster, namespace)
        settled(cluster, namespace)
        asked, before = webhook.asked, writes(running)
        for _ in range(3):
            seen = passes(running)
            running.wake(names.KIND_RUN, namespace, "first")
            wait_for("a look", lambda seen=seen: passes(running) > seen)
        patch_child(cluster, namespace, {"metadata": {"labels": {"team": "search"}}})
        wait_for("news", lambda: passes(running) > seen)
        time.sleep(0.5)
        assert (webhook.asked, writes(running)) == (asked, before)
        found = child(cluster, namespace) or {}
        assert found["data"] == {"size": "2", "sidecar": "yes"}
        assert found["metadata"]["labels"]["policy"] == "seen"
        assert stalled(cluster, namespace, "False")
        assert run["metadata"]["uid"] == labels(cluster, namespace)[names.LABEL_OWNER_UID]


def test_a_namespace_that_is_being_deleted_is_left_in_peace(
    cluster: Reach, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No controller runs here that would finish the deletion: it stays as it is in the middle of one."""
    home = cluster.namespace()
    make(cluster, namespace)
    with Replica(str(cluster.kubeconfig), namespace, home=home) as running:
        grown(cluster, namespace)
        settled(cluster, namespace)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        before = writes(running)
        cluster.kubectl("delete", "configmap", "first-child", "-n", namespace)
        wait_for("a refusal", lambda: writes(running) > before)
        for _ in range(3):
            running.wake(names.KIND_RUN, namespace, "first")
            time.sleep(0.3)
        assert writes(running) - before <= 2
        assert [
            r.message for r in caplog.records if r.levelname == "WARNING" and "reconcile" in r.message
        ] == []
        assert "Stalled" not in json.dumps(
            [c for c in settled(cluster, namespace)["status"]["conditions"] if c["status"] == "True"]
        )
        cluster.kubectl("delete", "trainingrun", "first", "-n", namespace, "--timeout=30s")


@pytest.mark.parametrize("minutes", [-10, 10])
def test_ages_are_counted_by_the_api_servers_clock(cluster: Reach, namespace: str, minutes: int) -> None:
    def wrong() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=minutes)

    with replica(cluster, namespace, wall=wrong):
        run = make(cluster, namespace)
        said = stalled(cluster, namespace, "False")
    created, told = instant(run["metadata"]["creationTimestamp"]), instant(said["lastTransitionTime"])
    assert created is not None
    assert told is not None
    assert abs((told - created).total_seconds()) < 30


def test_a_dropped_status_or_finalizer_is_written_again(cluster: Reach, namespace: str) -> None:
    """As ``kubectl replace`` of an exported object does it."""
    make(cluster, namespace)
    with replica(cluster, namespace) as running:
        settled(cluster, namespace)
        body = cluster.get("trainingrun", "first", namespace) or {}
        cluster.kubectl(
            *("replace", "--subresource=status", "-f", "-"), stdin=json.dumps({**body, "status": {}})
        )
        wait_for(
            "a status again", lambda: (cluster.get("trainingrun", "first", namespace) or {}).get("status")
        )
        settled(cluster, namespace)
        assert max(number for verb, what, number in requests(running) if what == "trainingruns") < 20
