"""Objects that were stored under an older definition of our kinds: each is told of or works, and none is stuck.

The definitions of a real API server are loosened, objects are stored that today's would refuse, and today's are put
back, as an upgrade does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_operator.__main__ import DECISIONS
from tests.cluster.reach import CRDS, KubectlError, Reach, wait_for
from tests.operator.shell.replica import Replica

RUN: dict[str, Any] = {
    "output": {"uri": "s3://models/old"},
    "data": {"sources": [{"name": "code", "directory": {"path": "/data/src"}}]},
    "model": {"size": "1m"},
}
SERVED: dict[str, Any] = {
    "model": {"uri": "s3://models/old", "digest": "1" * 64},
    "pools": [{"name": "l4", "accelerator": "nvidia-l4", "zones": ["a"], "max": 2}],
}
STARTED = {
    "startTime": "2025-01-01T00:00:00Z",
    "snapshot": "sha256:0",
    "phase": "Training",
    "steps": [{"name": "gone", "state": "Sleeping", "attempt": 1}],
    "conditions": [{"type": "Old", "status": "True"}],
}


def without(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != name}


OLD: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "run-of-a-field-that-is-gone": (names.KIND_RUN, {**RUN, "dataset": "the-stack"}, {}, ""),
    "run-without-a-field-that-is-required": (names.KIND_RUN, without(RUN, "output"), {}, "spec.output"),
    "run-with-a-value-that-is-gone": (
        names.KIND_RUN,
        {**RUN, "model": {"size": "9000b"}},
        {},
        "spec.model.size",
    ),
    "run-that-had-begun": (names.KIND_RUN, without(RUN, "output"), STARTED, "spec.output"),
    "run-with-such-a-value-that-had-begun": (
        names.KIND_RUN,
        {**RUN, "model": {"size": "9000b"}},
        STARTED,
        "spec.model.size",
    ),
    "run-of-another-type": (names.KIND_RUN, {**RUN, "seed": "seven"}, {}, "seed"),
    "deployment-of-a-field-that-is-gone": (names.KIND_DEPLOYMENT, {**SERVED, "engine": "x"}, {}, ""),
    "deployment-without-a-field": (names.KIND_DEPLOYMENT, without(SERVED, "model"), {}, "spec.model"),
    "deployment-with-a-value-that-is-gone": (
        names.KIND_DEPLOYMENT,
        {**SERVED, "runtime": {"kind": "Crystal"}},
        {"stable": {"digest": 7}, "routing": "none"},
        "Crystal",
    ),
}
"""Spec, status, and what the sentence must name; empty where the object simply works."""


def loosened(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition that takes anything for spec and status, as one did that nobody remembers."""
    loose = copy.deepcopy(definition)
    open_ended = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for version in loose["spec"]["versions"]:
        properties = {"spec": open_ended, "status": open_ended}
        version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": properties}}
        version.get("subresources", {}).pop("scale", None)
    return loose


@pytest.fixture
def upgraded(cluster: Reach) -> Iterator[tuple[Reach, str]]:
    """A namespace with old objects, after today's definitions came back."""
    namespace = cluster.namespace()
    shipped = [yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*.yaml"))]
    try:
        for definition in shipped:
            cluster.apply(loosened(definition))
        for name, (kind, spec, status, _) in OLD.items():
            wait_for(
                f"{name} stored",
                lambda n=name, k=kind, s=spec, t=status: store(cluster, namespace, n, k, s, t),
            )
    finally:
        cluster.install_crds()
    wait_for("today's definitions in force", lambda: refuses(cluster, namespace))
    yield cluster, namespace


def store(
    cluster: Reach, namespace: str, name: str, kind: str, spec: dict[str, Any], status: dict[str, Any]
) -> bool:
    """Store an object; the API server takes a moment until it goes by a changed definition."""
    finalizers = [names.FINALIZER]
    body = {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "finalizers": finalizers},
        "spec": spec,
    }
    try:
        cluster.apply(body)
        if status:
            body["status"] = status
            options = ["--server-side", "--force-conflicts", "--subresource=status", "-f", "-"]
            cluster.kubectl("apply", *options, stdin=yaml.safe_dump(body))
    except KubectlError:
        return False
    return True


def refuses(cluster: Reach, namespace: str) -> bool:
    metadata = {"name": "refused", "namespace": namespace}
    for kind in (names.KIND_RUN, names.KIND_DEPLOYMENT):
        body = {"apiVersion": names.API_VERSION, "kind": kind, "metadata": metadata, "spec": {}}
        try:
            cluster.would_take(body)
        except KubectlError:
            continue
        return False
    return True


def condition(cluster: Reach, kind: str, namespace: str, name: str, of: str = "Stalled") -> dict[str, Any]:
    found = cluster.get(kind, name, namespace) or {}
    known = (found.get("status") or {}).get("conditions") or []
    return {item["type"]: item for item in known}.get(of, {})


@pytest.mark.slow  # some 20 s: definitions are replaced twice
def test_old_objects_are_told_of_or_work_and_can_be_deleted(upgraded: tuple[Reach, str]) -> None:
    cluster, namespace = upgraded
    with Replica(str(cluster.kubeconfig), namespace, decisions=DECISIONS):
        fresh = {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "spec": RUN}
        cluster.apply({**fresh, "metadata": {"name": "fresh", "namespace": namespace}})
        wait_for("the fresh run's Job", lambda: cluster.get("job", "fresh-data-1", namespace))
        for name, (kind, _, _, said) in OLD.items():
            held = wait_for(f"a word on {name}", lambda k=kind, n=name: condition(cluster, k, namespace, n))
            assert held["status"] == ("True" if said else "False"), (name, held)
            assert said in held["message"], (name, held)
        begun = "run-with-such-a-value-that-had-begun"
        rest = ("--type=merge", "-p", '{"spec": {"suspend": true}}')
        cluster.kubectl("patch", "trainingrun", begun, "-n", namespace, *rest)
        suspended = (cluster, names.KIND_RUN, namespace, begun, "Suspended")
        wait_for("its rest", lambda: condition(*suspended).get("status") == "True")
        with pytest.raises(KubectlError, match=r"spec\.output: Required value"):  # it can only be deleted
            cluster.kubectl("patch", "trainingrun", "run-that-had-begun", "-n", namespace, *rest)
        job = cluster.get("job", "run-of-a-field-that-is-gone-data-1", namespace)
        assert job is not None
        cluster.kubectl("delete", "trainingruns,modeldeployments", "--all", "-n", namespace, "--timeout=60s")
