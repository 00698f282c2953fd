"""Where a serving pod may run: node affinity and tolerations of one pool in one zone. Decides no number."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import Pool
from daybreak_operator.core.plan import Json

LABEL_NODE = "kubernetes.io/hostname"
SPOT_TAINTS = (
    names.LABEL_MARKET,
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
)
"""Taints of spot nodes: ours, and those that GKE and AKS set by themselves (EKS sets none)."""


def affinity(pool: Pool, zone: str) -> dict[str, Json]:
    """Return the node affinity of a pool's pods in one zone."""
    wanted = [_in(names.LABEL_NODE_ZONE, zone), market(pool)]
    if pool.gpus and pool.accelerator:
        wanted.append(_in(names.LABEL_ACCELERATOR, pool.accelerator))
    terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def market(pool: Pool) -> dict[str, Json]:
    """Return the term for the kind of capacity. A node that does not say counts as on-demand."""
    if pool.market == "OnDemand":
        return {"key": names.LABEL_MARKET, "operator": "NotIn", "values": ["Reserved", "Spot"]}
    return _in(names.LABEL_MARKET, pool.market)


def _in(key: str, value: str) -> dict[str, Json]:
    return {"key": key, "operator": "In", "values": [value]}


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
