"""The operator as the process that runs in its pod: real decisions, environment, probes, signals, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.ports import free_ports
from tests.cluster.reach import Reach, wait_for
from tests.packaging import rbac
from tests.packaging.render import NAMESPACE

pytestmark = pytest.mark.slow

EXAMPLES = Path("manifests/examples")


def environment(kubeconfig: Path, namespace: str, **more: str) -> dict[str, str]:
    own = {
        "KUBECONFIG": str(kubeconfig),
        "DAYBREAK_NAMESPACE": NAMESPACE,
        "DAYBREAK_WATCH_NAMESPACES": namespace,
        "DAYBREAK_POD": "the-pod",
    }
    return {**os.environ, **own, **more}


@contextmanager
def running(given: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "daybreak_operator"], env=given, stderr=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def example(name: str, namespace: str) -> dict[str, Any]:
    body = yaml.safe_load((EXAMPLES / name).read_text())
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def conditions(cluster: Reach, kind: str, name: str, namespace: str) -> dict[str, str]:
    own = cluster.get(kind, name, namespace) or {}
    return {c["type"]: c["status"] for c in (own.get("status") or {}).get("conditions", [])}


@pytest.fixture
def limited(cluster: Reach, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of the account that the chart makes, with exactly its rights."""
    things = rbac.operator_objects()
    for thing in things:
        if thing["metadata"].get("namespace") in (None, NAMESPACE):
            cluster.apply(thing)
    yield cluster.kubeconfig_of(rbac.ACCOUNT, NAMESPACE, tmp_path)
    for thing in reversed(things):
        if thing["kind"].startswith("Cluster"):
            cluster.kubectl("delete", thing["kind"], thing["metadata"]["name"], "--ignore-not-found")


def test_it_decides_answers_probes_and_gives_the_lease_back(
    cluster: Reach, limited: Path, tmp_path: Path
) -> None:
    namespace = cluster.namespace()
    (port,) = free_ports(1)
    log = tmp_path / "log"
    run, deployment = example("team-cluster.yaml", namespace), example("completions.yaml", namespace)
    with running(environment(limited, namespace, DAYBREAK_PORT=str(port)), log) as process:
        cluster.apply(run)
        cluster.apply(deployment)
        wait_for("readiness", lambda: answer(port, "/readyz")[0] == 200)
        for kind, body in (("trainingrun", run), ("modeldeployment", deployment)):
            name = body["metadata"]["name"]
            wait_for(f"{kind}", lambda k=kind, n=name: conditions(cluster, k, n, namespace))
        wait_for("the data job", lambda: cluster.kubectl("get", "jobs", "-n", namespace, "-o", "name"))
        assert answer(port, "/healthz") == (200, '{"failed": []}')
        metrics = answer(port, "/metrics")[1]
        for name in (
            'daybreak_reconcile_seconds_count{kind="TrainingRun",result="ok"}',
            "daybreak_queue_age_seconds 0",
            'daybreak_watch_age_seconds{kind="Pod"}',
            "daybreak_leader 1.0",
            f'daybreak_rollout_weight{{name="completions",namespace="{namespace}"}}',
        ):
            assert name in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    lease = cluster.get("lease", names.LEASE, NAMESPACE)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    changed = [line["object"] for line in lines if line["message"] == "changed"]
    assert {run["metadata"]["name"], "completions"} <= set(changed)
    assert not [line for line in lines if line["level"] in ("error", "critical")]
    assert "forbidden" not in log.read_text()


CANNOT_WORK = [
    ({"DAYBREAK_BACKEND": "Magic"}, "DAYBREAK_BACKEND must be"),
    ({"DAYBREAK_PORT": "http"}, "DAYBREAK_PORT must be a port"),
    ({"DAYBREAK_LOG_LEVEL": "loud"}, "DAYBREAK_LOG_LEVEL must be"),
    ({"KUBECONFIG": "/nowhere"}, "no way to the Kubernetes API"),
]
ONE_AFTER_THE_OTHER = """
import json, os, sys
from daybreak_operator.__main__ import main
for more in json.loads(sys.argv[1]):
    print("ended with", main({**os.environ, **more}, []), file=sys.stderr)
"""


def test_what_cannot_work_ends_with_2_and_a_sentence() -> None:
    """All in one process: the operator takes over a second to be imported."""
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps([more for more, _ in CANNOT_WORK])]
    given = {**os.environ, "KUBECONFIG": "/nowhere"}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=True)
    turns = re.findall(r"^daybreak-operator: (.*)\nended with (\d+)$", ended.stderr, re.MULTILINE)
    assert [code for _, code in turns] == ["2"] * len(CANNOT_WORK), ended.stderr
    for (_, sentence), (said, _) in zip(CANNOT_WORK, turns, strict=True):
        assert sentence in said
