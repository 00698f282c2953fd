"""Where training pods may run: the places of a run in the order they are tried, and how a pod is bound to one.

Owns the order and the affinities; not when to go on to the next place.

All three markets together ask nothing of nodes, so that nodes without a market label take part: the order is then a
preference. Fewer are a demand, and each is a place of its own: first the best market in every zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts.resources.run import Placement
from daybreak_operator.core.plan import Json
from daybreak_operator.core.pod_shape import demands
from daybreak_operator.core.pod_shape.demands import NodeDemand
from daybreak_operator.node_labels import NodeLabels

ALL_MARKETS = 3
PREFERENCE_WEIGHTS = (100, 33, 1)
"""Of the scheduler's score (1 to 100), from the best market down; a node may carry two labels of one market (GKE's)."""


@dataclass(frozen=True)
class PlacementTarget:
    """What pods of one attempt are bound to; None binds to nothing."""

    zone: str | None = None
    market: str | None = None


def places(placement: Placement) -> tuple[PlacementTarget, ...]:
    """Return the places of a run, best first; at least one.

    Without ``sameZone`` the zones are one place: pods may be spread over them.
    """
    open_market = len(set(placement.markets)) == ALL_MARKETS
    markets = (None,) if open_market else tuple(dict.fromkeys(placement.markets))
    zones = tuple(dict.fromkeys(placement.zones)) if placement.same_zone and placement.zones else (None,)
    return tuple(PlacementTarget(zone, market) for market in markets for zone in zones)


def place_after(placement: Placement, place: PlacementTarget) -> PlacementTarget:
    """Return the next place to try; after the last one the first again."""
    known = places(placement)
    return known[(known.index(place) + 1) % len(known)] if place in known else known[0]


def place_of(placement: Placement, zone: str | None, market: str | None) -> PlacementTarget:
    """Return the place that a status names; the first one when it names none of this run."""
    place = PlacementTarget(zone or None, market or None)
    known = places(placement)
    return place if place in known else known[0]


def affinity(
    placement: Placement, place: PlacementTarget, pods: Mapping[str, str], nodes: int, labels: NodeLabels
) -> dict[str, Json]:
    """Return the affinity of one pod among ``nodes``; ``pods`` are labels that all of them have.

    With ``sameZone`` and no zones named, pods prefer the zone of each other: a cluster whose nodes have no zone
    label could not keep a demand.
    """
    wanted: dict[str, Json] = {}
    node = _node_affinity(labels, placement, place)
    if node:
        wanted["nodeAffinity"] = node
    if placement.same_zone and not placement.zones and nodes > 1:
        term: dict[str, Json] = {
            "labelSelector": {"matchLabels": dict(pods)},
            "topologyKey": labels.zone,
        }
        wanted["podAffinity"] = {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    return wanted


def demand_of(placement: Placement, place: PlacementTarget) -> NodeDemand:
    """Return what the pods of a place ask of nodes."""
    zones = (place.zone,) if place.zone is not None else tuple(placement.zones)
    return NodeDemand(zones, market=place.market or "")


def _node_affinity(labels: NodeLabels, placement: Placement, place: PlacementTarget) -> dict[str, Json]:
    wanted: dict[str, Json] = {}
    terms = demands.terms(labels, demand_of(placement, place))
    if terms:
        wanted["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if place.market is None:
        wanted["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": weight, "preference": term}
            for weight, market in zip(PREFERENCE_WEIGHTS, placement.markets, strict=False)
            for term in demands.terms(labels, NodeDemand(market=market))
        ]
    return wanted
