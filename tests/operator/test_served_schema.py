"""Older definitions are told from newer ones, by fields and by values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.definitions import crd
from daybreak_operator.core.served_schema import lacking

OURS = {
    "properties": {
        "spec": {
            "properties": {
                "size": {"type": "string", "enum": ["1m", "7b"]},
                "pools": {"type": "array", "items": {"properties": {"name": {}, "market": {}}}},
                "template": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            }
        }
    }
}


def changed(path: str, value: Any) -> dict[str, Any]:
    served = copy.deepcopy(OURS)
    *way, last = path.split("/")
    node: Any = served
    for name in way:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return served


@pytest.mark.parametrize(
    ("served", "missing"),
    [
        (OURS, []),
        ({}, ["spec"]),
        (changed("properties/spec/properties/size", None), ["spec.size"]),
        (changed("properties/spec/properties/size/enum", ["1m"]), ["spec.size=7b"]),
        (changed("properties/spec/properties/size/enum", ["1m", "7b", "70b"]), []),
        (changed("properties/spec/properties/size/enum", None), []),
        (changed("properties/spec/properties/pools/items/properties/market", None), ["spec.pools[].market"]),
        (changed("properties/spec/properties/newer", {"type": "string"}), []),
        ({"properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}, []),
    ],
)
def test_what_is_not_served_is_named(served: dict[str, Any], missing: list[str]) -> None:
    assert lacking(OURS, served) == missing


@pytest.mark.slow
@given(st.sampled_from(crd.KINDS), st.data())
def test_any_field_taken_from_our_own_definitions_is_missed(kind: crd.ResourceKind, data: Any) -> None:
    ours = crd.root_schema(kind.model)
    served = copy.deepcopy(ours)
    assert lacking(ours, served) == []
    node, place = served, ""
    while True:
        name = data.draw(st.sampled_from(sorted(node["properties"])))
        below = node["properties"][name]
        inner = below.get("items", below)
        if not inner.get("properties") or data.draw(st.booleans()):
            del node["properties"][name]
            assert lacking(ours, served) == [f"{place}.{name}".removeprefix(".")]
            return
        place = f"{place}.{name}{'[]' if 'items' in below else ''}".removeprefix(".")
        node = inner
