"""Our kinds on a real API server: what it takes, what it refuses and in which words, what it freezes, and /scale.

The table of mistakes is the one by which the command line and the models are held (tests/contracts/rules.yaml).
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.definitions import crd
from tests.cluster import requests
from tests.cluster.reach import ROOT, KubectlError, Reach
from tests.contracts.test_agreement import (
    CHANGES,
    TABLE,
    Manifest,
    manifest_of,
    minimal_deployment,
    minimal_run,
    put,
    said,
)

EXAMPLES = sorted((ROOT / "manifests/examples").glob("*.yaml"))
PLURALS = {kind.name: kind.plural for kind in crd.KINDS}
STARTED = "2026-01-01T00:00:00Z"


class Server:
    """One namespace of a real API server, without kubectl between."""

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def _call(self, method: str, path: str, body: Any, **query: str) -> Any:
        return requests.call(self._client, method, path, query, body)

    def _path(self, kind: str, name: str = "") -> str:
        path = f"/apis/{names.API_VERSION}/namespaces/{self._namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def create(self, manifest: Manifest, **query: str) -> Manifest:
        """Store a manifest."""
        path = self._path(manifest["kind"])
        answer: Manifest = self._call("POST", path, manifest, fieldValidation="Strict", **query)
        return answer

    def replace(self, manifest: Manifest, part: str = "", **query: str) -> Manifest:
        """Store another version of it, or of its status."""
        path = self._path(manifest["kind"], manifest["metadata"]["name"]) + part
        answer: Manifest = self._call("PUT", path, manifest, fieldValidation="Strict", **query)
        return answer

    def complaint(self, manifest: Manifest) -> str:
        """Return what is said of a manifest that is not to be stored; nothing when it would be taken."""
        return self._said(lambda: self.create(manifest, dryRun="All"))

    def update_complaint(self, manifest: Manifest) -> str:
        """Return what is said of an update that is not to be stored."""
        return self._said(lambda: self.replace(manifest, dryRun="All"))

    @staticmethod
    def _said(request: Any) -> str:
        from kubernetes.client import ApiException

        try:
            request()
        except ApiException as refusal:
            assert refusal.status in (400, 422), refusal.body
            return str(json.loads(refusal.body)["message"])
        return ""


@pytest.fixture(scope="module")
def server(cluster: Reach) -> Iterator[Server]:
    with cluster.client() as client:
        yield Server(client, cluster.namespace())


def named(manifest: Manifest, name: str) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


@pytest.mark.parametrize("kind", [kind.name for kind in crd.KINDS])
def test_a_kind_is_established(cluster: Reach, kind: str) -> None:
    found = cluster.get("crd", f"{PLURALS[kind]}.{names.GROUP}")
    assert found is not None
    conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_taken_as_it_stands(cluster: Reach, server: Server, path: Any) -> None:
    given = yaml.safe_load(path.read_text())
    assert server.complaint(given) == ""
    stored = yaml.safe_load(cluster.kubectl("create", "--dry-run=server", "-o", "yaml", "-f", str(path)))
    assert set(stored["spec"]) >= set(given["spec"])


@pytest.mark.parametrize("row", TABLE["good"], ids=lambda row: row["id"])
def test_what_the_command_line_takes_is_taken(server: Server, row: dict[str, Any]) -> None:
    assert server.complaint(manifest_of(row)) == ""


def messages(node: Any) -> Iterator[str]:
    """The sentences of all CEL rules below a part of a schema."""
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", []))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from messages(item)


RULES = {
    message
    for path in sorted((ROOT / "manifests/crds").glob("*.yaml"))
    for message in messages(yaml.safe_load(path.read_text()))
}


@pytest.mark.parametrize("row", TABLE["bad"], ids=lambda row: row["id"])
def test_what_the_command_line_refuses_is_refused_in_the_same_words(
    server: Server, row: dict[str, Any]
) -> None:
    manifest = manifest_of(row)
    complaint = server.complaint(manifest)
    assert complaint
    ours = [rule for rule in RULES if any(rule in problem for problem in said(manifest))]
    assert [rule for rule in ours if rule not in complaint] == [], complaint


def test_an_unknown_field_is_refused_with_its_path(cluster: Reach) -> None:
    manifest = put(minimal_run(), "training.contextLenght", 512)
    with pytest.raises(KubectlError, match=r'unknown field "spec\.training\.contextLenght"'):
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))


def test_a_status_given_by_a_user_is_dropped(server: Server) -> None:
    stored = server.create(named(minimal_run(), "own-status") | {"status": {"startTime": STARTED}})
    assert "status" not in stored


@pytest.fixture(scope="module")
def started(server: Server) -> Manifest:
    """A run that has begun, as the server keeps it."""
    manifest = named(put(minimal_run(), "tokenizer", {"train": {}}), "started")
    stored = server.create(manifest)
    return server.replace(stored | {"status": {"startTime": STARTED}}, "/status")


class TestFrozenOnceStarted:
    @pytest.mark.parametrize(("path", "value", "allowed"), CHANGES)
    def test_inputs_are(
        self, server: Server, started: Manifest, path: str, value: Any, allowed: bool
    ) -> None:
        complaint = server.update_complaint(put(started, path, value))
        assert (complaint == "") == allowed, complaint
        if not allowed:
            assert any(rule in complaint for rule in RULES), complaint

    @pytest.mark.parametrize(("path", "value"), [row.values[:2] for row in CHANGES])
    def test_not_before(self, server: Server, path: str, value: Any) -> None:
        manifest = named(put(minimal_run(), "tokenizer", {"train": {}}), f"waiting-{uuid.uuid4().hex}")
        stored = server.create(manifest)
        assert server.update_complaint(put(stored, path, value)) == ""

    def test_the_start_cannot_be_taken_back(self, server: Server, started: Manifest) -> None:
        taken_back = copy.deepcopy(started)
        del taken_back["status"]
        assert server.update_complaint(taken_back) == ""
        assert server.update_complaint(put(taken_back, "model.size", "10m")) != ""


class TestScale:
    @pytest.fixture
    def deployment(self, cluster: Reach, server: Server) -> tuple[str, str]:
        name = f"scaled-{uuid.uuid4().hex}"
        stored = server.create(named(minimal_deployment(), name))
        return name, stored["metadata"]["namespace"]

    def test_kubectl_scale_sets_replicas(self, cluster: Reach, deployment: tuple[str, str]) -> None:
        name, namespace = deployment
        cluster.kubectl("scale", f"mdeploy/{name}", "-n", namespace, "--replicas=3")
        found = cluster.get("mdeploy", name, namespace)
        assert found is not None
        assert found["spec"]["replicas"] == 3

    def test_what_sets_the_size_reads_replicas_and_selector(
        self, cluster: Reach, server: Server, deployment: tuple[str, str]
    ) -> None:
        name, namespace = deployment
        cluster.kubectl("scale", f"mdeploy/{name}", "-n", namespace, "--replicas=3")
        stored = cluster.get("mdeploy", name, namespace)
        assert stored is not None
        server.replace(stored | {"status": {"replicas": 2, "selector": "app=x"}}, "/status")
        scale = json.loads(cluster.kubectl("get", "--raw", scale_path(name, namespace)))
        assert scale["spec"] == {"replicas": 3}
        assert scale["status"] == {"replicas": 2, "selector": "app=x"}

    def test_a_size_that_follows_the_load_has_no_scale_to_read(
        self, cluster: Reach, deployment: tuple[str, str]
    ) -> None:
        """An API server's own rule: without replicas there is no number to give."""
        with pytest.raises(KubectlError, match=r"\.spec\.replicas"):
            cluster.kubectl("get", "--raw", scale_path(*deployment))


def scale_path(name: str, namespace: str) -> str:
    return f"/apis/{names.API_VERSION}/namespaces/{namespace}/modeldeployments/{name}/scale"


def test_a_table_of_both_kinds_has_the_columns(cluster: Reach, server: Server) -> None:
    run = server.create(named(minimal_run(), "in-a-table"))
    server.create(named(minimal_deployment(), "in-a-table"))
    text = cluster.kubectl("get", "trun,mdeploy", "-n", run["metadata"]["namespace"])
    assert "NAME" in text
    for column in ("STEP", "PROGRESS", "SUCCEEDED", "STAGE", "WEIGHT", "ZONES", "COST/H"):
        assert column in text
