"""Where a serving pod may run: node affinity and tolerations of one pool in one zone. Decides no number."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import Pool
from daybreak_operator.core.deployment.rollout.demand import demand_of
from daybreak_operator.core.plan import Json
from daybreak_operator.core.pod_shape import demands
from daybreak_operator.node_labels import NodeLabels

LABEL_NODE = "kubernetes.io/hostname"
SPOT_TAINTS = (
    names.LABEL_MARKET,
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
)
"""Taints of spot nodes: ours, and those that GKE and AKS set by themselves (EKS sets none)."""


def affinity(labels: NodeLabels, pool: Pool, zone: str) -> dict[str, Json]:
    """Return the node affinity of a pool's pods in one zone."""
    terms = {"nodeSelectorTerms": demands.terms(labels, demand_of(labels, pool, zone))}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def gpu_taints(resource: str) -> list[str]:
    """Return the taints that nodes with such a device carry: clouds name a part of a GPU as they name the whole."""
    whole = {"nvidia.com": names.RESOURCE_GPU, "amd.com": "amd.com/gpu"}.get(resource.partition("/")[0])
    return list(dict.fromkeys([*([whole] if whole else []), resource]))


def spread(key: str, selector: Mapping[str, str]) -> dict[str, Json]:
    """Return the wish to have pods apart."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector)},
    }


def tolerations(pool: Pool) -> list[dict[str, str]]:
    """Return the taints that a pool's pods put up with: those of GPU nodes, and of spot nodes where it is spot."""
    keys = gpu_taints(pool.gpu_resource) if pool.gpus else []
    if pool.market == "Spot":
        keys += SPOT_TAINTS
    elif pool.market == "Reserved":
        keys.append(names.LABEL_MARKET)
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]
