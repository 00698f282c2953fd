"""What a node of the small cloud looks like to Kubernetes: labels, taints, capacity. Pure.

Owns the labels by which pods choose a zone, an accelerator and a market; the operator spells the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names

FAKE = {"kwok.x-k8s.io/node": "fake"}
"""The annotation by which KWOK knows the nodes that it plays."""


@dataclass(frozen=True)
class NodeSpec:
    """A machine to be: where it stands and what it has. ``gpus`` are whole cards."""

    name: str
    zone: str = "zone-a"
    accelerator: str = "nvidia-l4"
    market: str = "OnDemand"
    gpus: int = 8
    cpus: int = 64
    memory_gib: int = 512
    taints: tuple[str, ...] = ()
    """Keys; nobody is scheduled there who does not put up with them."""


def labels_of(spec: NodeSpec) -> dict[str, str]:
    """Return the labels by which pods choose it."""
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        names.LABEL_NODE_ZONE: spec.zone,
        names.LABEL_MARKET: spec.market,
    }
    return labels | ({names.LABEL_ACCELERATOR: spec.accelerator} if spec.gpus else {})


def node_of(spec: NodeSpec) -> dict[str, Any]:
    """Return the Node that KWOK then brings up; it keeps the capacity that is given here."""
    resources = {"cpu": str(spec.cpus), "memory": f"{spec.memory_gib}Gi", "pods": "110"}
    if spec.gpus:
        resources[names.RESOURCE_GPU] = str(spec.gpus)
    taints = [{"key": key, "value": "true", "effect": "NoSchedule"} for key in spec.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": labels_of(spec), "annotations": dict(FAKE)},
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": resources, "allocatable": dict(resources)},
    }
