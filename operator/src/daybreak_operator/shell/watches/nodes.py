"""Which kinds of nodes there are, by the labels that count. Owns no node: ten thousand are a handful of kinds."""

from __future__ import annotations

from collections.abc import Iterable

from daybreak_operator.core.plan import Object
from daybreak_operator.core.pod_shape.demands import NodeKind


class NodeInventory:
    """The kinds of the nodes that are there; used by one thread."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self._kind_of: dict[str, NodeKind] = {}

    def put(self, node: Object) -> None:
        """Take in a node."""
        labels = node["metadata"].get("labels") or {}
        kind = frozenset((key, value) for key, value in labels.items() if key in self._keys)
        self._kind_of[node["metadata"]["name"]] = kind

    def drop(self, node: Object) -> None:
        """A node is gone."""
        self._kind_of.pop(node["metadata"]["name"], None)

    def replace(self, nodes: Iterable[Object]) -> None:
        """A fresh list of the nodes."""
        self._kind_of.clear()
        for node in nodes:
            self.put(node)

    @property
    def kinds(self) -> frozenset[NodeKind]:
        """Return the kinds that there are."""
        return frozenset(self._kind_of.values())
