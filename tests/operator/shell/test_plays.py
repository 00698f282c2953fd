"""Plays on a real API server: what the operator does to objects, whatever happens to them and to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.reach import Reach, wait_for
from tests.operator.shell.replica import Replica

OUTPUT = {"output": {"uri": "s3://models/x"}}
RUN = {
    "apiVersion": "daybreak.dev/v1alpha1",
    "kind": "TrainingRun",
    "spec": {
        **OUTPUT,
        "data": {"sources": [{"name": "own", "directory": {"path": "/src"}}], "languages": ["python"]},
        "model": {"size": "1m"},
    },
}


@pytest.fixture
def namespace(cluster: Reach) -> str:
    return cluster.namespace()


@pytest.fixture
def replica(cluster: Reach, namespace: str) -> Iterator[Replica]:
    with Replica(str(cluster.kubeconfig), namespace) as running:
        yield running


def make_run(cluster: Reach, namespace: str, name: str = "first") -> dict[str, Any]:
    return cluster.apply({**RUN, "metadata": {"name": name, "namespace": namespace}})[0]


def settled(cluster: Reach, namespace: str, name: str = "first") -> dict[str, Any]:
    def found() -> Any:
        run = cluster.get("trainingrun", name, namespace)
        status = (run or {}).get("status") or {}
        return run if run and status.get("observedGeneration") == run["metadata"]["generation"] else None

    return dict(wait_for(f"a status of {name}", found))


def test_a_new_run_gets_its_child_and_its_status(cluster: Reach, namespace: str, replica: Replica) -> None:
    make_run(cluster, namespace)
    run = settled(cluster, namespace)
    child = cluster.get("configmap", "first-child", namespace)
    assert child is not None
    assert child["data"] == {"size": "1"}
    assert child["metadata"]["ownerReferences"][0]["uid"] == run["metadata"]["uid"]
