"""A real API server takes every child and every status of a rollout."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts import names
from tests.cluster.reach import Reach
from tests.operator.deployment.world import M2, Traffic, World, a_spec, model, serving_world


def in_namespace(thing: Any, namespace: str) -> Any:
    """The same object in another namespace."""
    return {**thing, "metadata": {**thing["metadata"], "namespace": namespace}}


def a_rich_world() -> World:
    """Both models, three markets, a signature, a status with all its parts."""
    pools = [
        {"name": "reserved", "accelerator": "nvidia-h100", "zones": ["a"], "market": "Reserved", "max": 4},
        {"name": "spot", "accelerator": "nvidia-l4", "zones": ["a", "b"], "market": "Spot", "max": 6},
        {"name": "cpu", "accelerator": "", "gpus": 0, "zones": ["c"], "max": 4},
    ]
    signature = {"required": True, "publicKeySecretRef": {"name": "keys", "key": "model.pem"}}
    spec = a_spec(pools=pools, signature=signature, replicas=5, runtime={"maxConcurrency": 4})
    world = serving_world(spec=spec)
    world.change(model=model(M2))
    world.switch(staff=True, everyone=True)
    world.traffic[M2] = Traffic(requests=20, shown=20, accepted=6)
    world.run_until(M2, weight=50)
    return world


@pytest.mark.slow
def test_every_child_is_taken(cluster: Reach) -> None:
    world, namespace = a_rich_world(), cluster.namespace()
    children = [in_namespace(child, namespace) for child in world.plan().apply]
    cluster.would_take({"apiVersion": "v1", "kind": "List", "items": children})
    kinds = {child["kind"] for child in children}
    assert kinds >= {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Role", "RoleBinding"}


@pytest.mark.slow
def test_the_status_of_a_rollout_is_kept_as_it_was_written(cluster: Reach) -> None:
    world, namespace = a_rich_world(), cluster.namespace()
    body = {key: value for key, value in world.deployment().items() if key != "status"}
    body["metadata"] = {"name": "completions", "namespace": namespace}
    cluster.apply(body)
    patch = json.dumps({"status": world.status})
    arguments = ("modeldeployment", "completions", "--subresource=status", "--type=merge", "--patch", patch)
    cluster.kubectl("patch", *arguments, "--namespace", namespace)
    stored = cluster.get("modeldeployment", "completions", namespace)
    assert stored is not None
    kept = stored["status"]
    for part in ("stable", "candidate", "candidateCapacity", "capacity", "retired", "routing", "conditions"):
        assert kept[part] == world.status[part], part
    for zone, written in zip(kept["zones"], world.status["zones"], strict=True):
        assert written.items() <= zone.items()
    row = cluster.kubectl("get", f"modeldeployments.{names.GROUP}", "completions", "--namespace", namespace)
    assert "Ramp" in row
    assert "50" in row
