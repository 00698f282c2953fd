"""What a pool asks of nodes in a zone, and why none of its places can have any. Decides no number."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from daybreak_contracts.resources.deployment import Pool
from daybreak_operator.core.pod_shape.demands import NodeDemand, NodeKind, unmet
from daybreak_operator.node_labels import NodeLabels

MAX_PLACES = 3
"""Of which it is said what they lack."""


def demand_of(labels: NodeLabels, pool: Pool, zone: str) -> NodeDemand:
    """Return what the pods of a pool ask of nodes in one zone."""
    if not pool.gpus:
        return NodeDemand((zone,), market=pool.market)
    return NodeDemand((zone,), pool.accelerator, labels.accelerators_of(pool.gpu_resource), pool.market)


def without_nodes(labels: NodeLabels, pools: Sequence[Pool], kinds: Collection[NodeKind]) -> str | None:
    """Return what all places lack, in words; None while some place has nodes, or none is known."""
    said: list[str] = []
    for pool in pools:
        for zone in dict.fromkeys(pool.zones):
            why = unmet(labels, demand_of(labels, pool, zone), kinds) if pool.max else None
            if why is None and pool.max:
                return None
            if why is not None:
                said.append(f"pool {pool.name}: {why}")
    said = list(dict.fromkeys(said))
    return "; ".join(said[:MAX_PLACES]) or None
