"""What a node of the small cloud looks like to Kubernetes: labels, taints, capacity. Pure.

Owns the labels by which pods choose a zone, an accelerator and a market; the operator spells the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names

ZONE_LABEL = "topology.kubernetes.io/zone"
ACCELERATOR_LABEL = "nvidia.com/gpu.product"
MARKET_LABEL = getattr(names, "LABEL_MARKET", f"{names.GROUP}/market")
GPU = "nvidia.com/gpu"
FAKE = {"kwok.x-k8s.io/node": "fake"}


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


def node_of(spec: NodeSpec) -> dict[str, Any]:
    """Return the Node that KWOK then brings up; it keeps the capacity that is given here."""
    resources = {"cpu": str(spec.cpus), "memory": f"{spec.memory_gib}Gi", "pods": "110"}
    if spec.gpus:
        resources[GPU] = str(spec.gpus)
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        ZONE_LABEL: spec.zone,
        MARKET_LABEL: spec.market,
    }
    if spec.gpus:
        labels[ACCELERATOR_LABEL] = spec.accelerator
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": labels, "annotations": dict(FAKE)},
        "status": {"capacity": resources, "allocatable": dict(resources)},
    }
