"""Plain data crosses the border unchanged, and nothing but plain data comes out on the other side."""

from __future__ import annotations

import collections
import json
import math
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_evaluate.judge import plain

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=1 << 200, max_value=1 << 4000),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
)
KEYS = st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text()))
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
    ),
    max_leaves=20,
)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(list("ltdsfibac"))
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=20,
)
EXACT = (type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)


def same(first: Any, second: Any) -> bool:
    """Equal, and of the same exact types all the way down."""
    if type(first) is not type(second):
        return False
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, float):
        return first == second and math.copysign(1, first) == math.copysign(1, second)
    return bool(first == second)


def all_exact(value: Any) -> bool:
    inner: list[Any] = []
    if isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    return type(value) in EXACT and all(map(all_exact, inner))


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert same(plain.loads(plain.dumps(value)), value)


@given(JSON)
def test_any_json_gives_exact_types_or_is_refused(tree: Any) -> None:
    try:
        value = plain.loads(json.dumps(tree).encode())
    except plain.NotPlainError:
        return
    assert all_exact(value)


@given(st.binary(max_size=200))
def test_any_bytes_give_exact_types_or_are_refused(data: bytes) -> None:
    try:
        value = plain.loads(data)
    except plain.NotPlainError:
        return
    assert all_exact(value)


class Liar(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    def __iter__(self) -> Any:
        raise AssertionError("never asked")

    __hash__ = None  # type: ignore[assignment]


class Colour(IntEnum):
    RED = 3


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Liar([1, 2]), [1, 2], id="a list's subclass is the list that it holds"),
        pytest.param(Point(1, 2), (1, 2), id="a named tuple is a tuple"),
        pytest.param(collections.Counter("aab"), {"a": 2, "b": 1}, id="a counter is a dictionary"),
        pytest.param(collections.defaultdict(int, x=1), {"x": 1}, id="a default dictionary is a dictionary"),
        pytest.param(Colour.RED, 3, id="an enumerated integer is an integer"),
        pytest.param(np.int64(7), 7, id="a numpy integer is an integer"),
        pytest.param(np.float64(0.5), 0.5, id="a numpy float is a float"),
        pytest.param(np.bool_(True), True, id="a numpy truth is a truth"),
        pytest.param([np.float32(0.5)], [0.5], id="inside a list too"),
        pytest.param(-0.0, -0.0, id="minus zero keeps its sign"),
        pytest.param(float("inf"), float("inf"), id="infinity stays"),
        pytest.param(10**5000, 10**5000, id="more digits than Python would print"),
    ],
)
def test_what_equals_plain_data_is_taken_for_it(value: Any, expected: Any) -> None:
    assert same(plain.loads(plain.dumps(value)), expected)


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(plain.loads(plain.dumps(float("nan"))))


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(iter([]), id="an iterator"),
        pytest.param(lambda: 0, id="a function"),
        pytest.param(object(), id="an object"),
        pytest.param(int, id="a class"),
        pytest.param(range(3), id="a range"),
        pytest.param({}.keys(), id="a view of keys"),
        pytest.param(np.zeros(2), id="an array"),
        pytest.param(endless(), id="a list that holds itself"),
        pytest.param([1, [object()]], id="an object deep inside"),
    ],
)
def test_other_things_are_refused(value: Any) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" * 100_000, id="a tower of brackets"),
        pytest.param(b'["l",' * 200 + b"1" + b"]" * 200, id="deeper than the limit"),
        pytest.param(b'["x", 1]', id="an unknown tag"),
        pytest.param(b"[]", id="no tag"),
        pytest.param(b'{"a": 1}', id="an object of JSON"),
        pytest.param(b'["d", 1]', id="a key without a value"),
        pytest.param(b'["s", ["l"]]', id="a list in a set"),
        pytest.param(b'["i", 3]', id="an integer that is not text"),
        pytest.param(b'["i", "zz"]', id="an integer that is not hexadecimal"),
        pytest.param(b'["b", "zz"]', id="bytes that are not hexadecimal"),
        pytest.param(b'["c", 1]', id="half a complex number"),
        pytest.param(b'["c", true, []]', id="a complex number of other things"),
        pytest.param(b"\xff", id="not text"),
        pytest.param(b"1" * 5000, id="a number of five thousand digits"),
    ],
)
def test_malformed_text_is_refused(data: bytes) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.loads(data)
