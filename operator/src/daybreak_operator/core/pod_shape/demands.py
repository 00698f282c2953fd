"""What pods demand of nodes: a zone, an accelerator, a market, by whichever of the known labels a node carries.

Owns the terms, and which demand no node meets, as a sentence: what a scheduler would only call "didn't match".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from daybreak_contracts import names
from daybreak_operator.core.plan import Json
from daybreak_operator.node_labels import NodeLabels

NodeKind = frozenset[tuple[str, str]]
"""Labels that count, with their values, of one node or of many that are alike."""
MAX_SHOWN = 5


@dataclass(frozen=True)
class NodeDemand:
    """What a pod asks of its node; empty means anything."""

    zones: tuple[str, ...] = ()
    accelerator: str = ""
    accelerator_keys: tuple[str, ...] = ()
    """Labels of which one must name the accelerator."""
    market: str = ""


@dataclass(frozen=True)
class LabelTest:
    """One expression of a node selector."""

    key: str
    values: tuple[str, ...]
    excluded: bool = False
    """Whether the values must not be there, rather than one of them be."""

    @property
    def expression(self) -> dict[str, Json]:
        """Return it as Kubernetes writes it."""
        return {"key": self.key, "operator": "NotIn" if self.excluded else "In", "values": list(self.values)}

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether a node's labels meet it."""
        return (labels.get(self.key) in self.values) != self.excluded


Alternatives = Sequence[tuple[LabelTest, ...]]
"""One of them must hold, each with all its tests."""


def zone_tests(labels: NodeLabels, demand: NodeDemand) -> Alternatives:
    """Return what must hold of a node's zone."""
    return [(LabelTest(labels.zone, demand.zones),)] if demand.zones else [()]


def accelerator_tests(labels: NodeLabels, demand: NodeDemand) -> Alternatives:
    """Return what must hold of a node's accelerator."""
    if not demand.accelerator or not demand.accelerator_keys:
        return [()]
    return [(LabelTest(key, (demand.accelerator,)),) for key in demand.accelerator_keys]


def market_tests(labels: NodeLabels, demand: NodeDemand) -> Alternatives:
    """Return what must hold of a node's market: a node that does not say counts as on-demand."""
    if not demand.market:
        return [()]
    if demand.market == "OnDemand":
        others = [(one.key, (*one.reserved, *one.spot)) for one in labels.markets]
        return [tuple(LabelTest(key, values, excluded=True) for key, values in others if values)]
    by_key = [(one.key, one.spot if demand.market == "Spot" else one.reserved) for one in labels.markets]
    found = [(LabelTest(key, values),) for key, values in by_key if values]
    return found or [(LabelTest(names.LABEL_MARKET, (demand.market,)),)]


def terms(labels: NodeLabels, demand: NodeDemand) -> list[dict[str, Json]]:
    """Return the terms of a node selector of which one must hold; none where nothing is demanded."""
    ways = product(*(tests(labels, demand) for tests in (zone_tests, market_tests, accelerator_tests)))
    joined = [[test.expression for part in way for test in part] for way in ways]
    return [{"matchExpressions": expressions} for expressions in joined if expressions]


def unmet(labels: NodeLabels, demand: NodeDemand, kinds: Iterable[NodeKind]) -> str | None:
    """Return which demand no node meets, in words; None where one does, or where no node is known at all."""
    left = [dict(kind) for kind in kinds]
    if not left:
        return None
    where = ""
    for tests, phrase in _STEPS:
        alternatives = tests(labels, demand)
        matching = [
            node for node in left if any(all(test.holds(node) for test in one) for one in alternatives)
        ]
        if not matching:
            keys = list(dict.fromkeys(test.key for one in alternatives for test in one))
            return f"no node{where} {_lacking(alternatives)}; {_carried(left, keys)}"
        left, where = matching, where + phrase(demand)
    return None


_STEPS: tuple[tuple[Callable[[NodeLabels, NodeDemand], Alternatives], Callable[[NodeDemand], str]], ...] = (
    (zone_tests, lambda demand: f" in zone {' or '.join(demand.zones)}" if demand.zones else ""),
    (accelerator_tests, lambda demand: f" with {demand.accelerator}" if demand.accelerator else ""),
    (market_tests, lambda demand: ""),
)


def _lacking(alternatives: Alternatives) -> str:
    one = alternatives[0]
    if one and one[0].excluded:
        return "is on-demand"
    said = [f"{test.key}={' or '.join(test.values)}" for way in alternatives for test in way]
    return f"has the label {' or '.join(said)}"


def _carried(nodes: Iterable[Mapping[str, str]], keys: Iterable[str]) -> str:
    found = sorted({f"{key}={node[key]}" for node in nodes for key in keys if key in node})
    if not found:
        return "none of them carries any such label"
    more = f" and {len(found) - MAX_SHOWN} others" if len(found) > MAX_SHOWN else ""
    return f"they have {', '.join(found[:MAX_SHOWN])}{more}"
