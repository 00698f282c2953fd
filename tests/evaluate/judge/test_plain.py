"""Plain data crosses the border unchanged, and nothing but plain data comes out on the other side."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import itertools
import json
import math
import numbers
import pathlib
import types
import zoneinfo
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_evaluate.judge import plain
from daybreak_evaluate.judge.plain import kinds

WORDS = st.text("abcxyz", min_size=1, max_size=5)
ZONES = st.one_of(
    st.none(), st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=-30), "here")])
)
OTHERS = st.one_of(
    st.decimals(allow_nan=False), st.fractions(), st.dates(), st.times(timezones=ZONES), st.timedeltas(),
    st.datetimes(timezones=ZONES), st.uuids(), st.ip_addresses(),
    st.builds(range, st.integers(), st.integers(), st.integers(min_value=1)),
    st.builds(slice, st.none() | st.integers(), st.integers()), st.just(...),
    WORDS.map(pathlib.PurePosixPath), WORDS.map(pathlib.Path), st.sampled_from([int, str, list, type(None)]),
    st.lists(st.integers(0, 255)).map(lambda items: array.array("q", items)),
    st.lists(st.integers()).map(lambda items: collections.deque(items, 3)),
    st.dictionaries(WORDS, st.integers()).map(collections.Counter),
    st.dictionaries(WORDS, st.integers()).map(collections.OrderedDict),
    st.dictionaries(WORDS, st.integers()).map(lambda items: collections.defaultdict(list, items)),
    st.dictionaries(WORDS, st.integers()).map(lambda items: types.SimpleNamespace(**items)),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=1 << 200, max_value=1 << 4000),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    OTHERS,
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
TAGS = [*kinds.BY_TAG, "i", "I", "R", "T", "N", "e", "o", "np", "no", "int", "Point", "Colour", "<i8"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(TAGS)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=20,
)
EXACT = {
    *kinds.BY_TYPE, type(None), bool, int, float, complex, str, np.ndarray, type, type(iter([])), dt.timezone,
}  # fmt: skip


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


@pytest.mark.slow
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


class Mood(Enum):
    GOOD = 1


@dataclasses.dataclass(frozen=True)
class Coin:
    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coin) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


class Grid(np.ndarray):
    pass


class Node:
    __slots__ = ("after", "value")

    def __init__(self, value: int, after: Node | None = None) -> None:
        self.value, self.after = value, after


class Place(NamedTuple):
    x: int
    y: int

    @property
    def total(self) -> int:
        return self.x + self.y


class Liar(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    def __iter__(self) -> Any:
        raise AssertionError("never asked")

    __hash__ = None  # type: ignore[assignment]


class Registered:
    def __int__(self) -> int:
        return 7


numbers.Integral.register(Registered)


class Colour(IntEnum):
    RED = 3


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Liar([1, 2]), [1, 2], id="a list's subclass is the list that it holds"),
        pytest.param(collections.UserDict(a=1), {"a": 1}, id="a dictionary in a wrapper"),
        pytest.param(
            collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}, id="a chain of dictionaries"
        ),
        pytest.param(types.MappingProxyType({"a": 1}), {"a": 1}, id="a view of a dictionary"),
        pytest.param(collections.UserList([1]), [1], id="a list in a wrapper"),
        pytest.param(collections.UserString("a"), "a", id="a text in a wrapper"),
        pytest.param(Registered(), 7, id="a number that says that it is an integer, as sympy's do"),
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
        pytest.param(lambda: 0, id="a function"),
        pytest.param(object(), id="an object"),
        pytest.param(type, id="a class of classes"),
        pytest.param(Registered, id="a class of its own"),
        pytest.param(Mood.GOOD, id="an enumeration of its own"),
        pytest.param(Coin(3), id="a data class of its own"),
        pytest.param(np.zeros(2, dtype=[("x", "i4")]), id="an array of records"),
        pytest.param(itertools.count(), id="an iterator without end, where it must go as a whole"),
        pytest.param(memoryview(bytes(4)).cast("B", (2, 2)), id="a view of two dimensions"),
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
        pytest.param(b'["de", "x"]', id="a decimal that is not a number"),
        pytest.param(b'["de", 1]', id="a decimal of a number"),
        pytest.param(b'["fr", 1, 0]', id="a fraction over nothing"),
        pytest.param(b'["r", 0, 1, 0]', id="a range that stands still"),
        pytest.param(b'["r", true, 2, 1]', id="a range of truths"),
        pytest.param(b'["dd", 2024, 13, 1]', id="a thirteenth month"),
        pytest.param(b'["zi", "../../etc/passwd"]', id="a time zone that is a path"),
        pytest.param(b'["zi", "Nowhere/Land"]', id="a time zone that is not there"),
        pytest.param(b'["N", "P", ["t", "def"], 1]', id="a field that is a keyword"),
        pytest.param(b'["N", "P", ["t", "x"], 1, 2]', id="more items than fields"),
        pytest.param(b'["T", "type"]', id="a type that is not plain"),
        pytest.param(b'["R", 0]', id="an iterator that nobody keeps"),
        pytest.param(b'["o", "Coin", ["d"]]', id="an instance of a class that the prompt has not"),
        pytest.param(b'["ns", ["d", 1, 2]]', id="a name that is a number"),
        pytest.param(b'["np", "|O", ["t", 1], ["b", "0000000000000000"]]', id="an array of pointers"),
        pytest.param(b'["np", "<i8", ["t", 9], ["b", "00"]]', id="an array without its bytes"),
        pytest.param(b'["np", "<i8", ["t", -1], ["b", ""]]', id="a negative shape"),
        pytest.param(b'["A", "q", ["b", "00"]]', id="half a number in an array"),
        pytest.param(b'["q", "x"]', id="a queue as long as a word"),
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


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(decimal.Decimal("1.10"), id="a decimal"),
        pytest.param(decimal.Decimal("-Infinity"), id="an infinite decimal"),
        pytest.param(Fraction(1, 3), id="a fraction"),
        pytest.param(Fraction(10**400, 3), id="a large fraction"),
        pytest.param(
            dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
            id="a moment",
        ),
        pytest.param(dt.timedelta(days=-1, microseconds=1), id="a duration"),
        pytest.param(collections.Counter("aab"), id="a counter"),
        pytest.param(collections.OrderedDict(b=1, a=2), id="an ordered dictionary"),
        pytest.param(collections.defaultdict(list, x=[1]), id="a default dictionary"),
        pytest.param(collections.deque([1, (2, 3)], maxlen=4), id="a queue"),
        pytest.param(range(0, 10**18, 7), id="a long range"),
        pytest.param(array.array("d", [1.5, -2.5]), id="an array of the standard library"),
        pytest.param(memoryview(b"abc"), id="a view of bytes"),
        pytest.param(pathlib.Path("/a/b"), id="a path"),
        pytest.param(int, id="a type"),
        pytest.param({}.keys(), id="no keys"),
        pytest.param({"a": 1, (1, 2): 3}.keys(), id="keys"),
        pytest.param({"a": [1]}.items(), id="pairs"),
    ],
)
def test_values_of_the_standard_library_come_back(value: Any) -> None:
    found = plain.loads(plain.dumps([value]))[0]
    assert type(found) is type(value)
    assert found == value
    if isinstance(value, collections.deque):
        assert found.maxlen == value.maxlen
    if isinstance(value, collections.defaultdict):
        assert found["new"] == []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.arange(6).reshape(2, 3), id="integers"),
        pytest.param(np.array([0.5, np.inf]), id="floats"),
        pytest.param(np.array([], dtype=np.int32), id="empty"),
        pytest.param(np.array(["ab", "c"]), id="text"),
        pytest.param(np.array([True, False]), id="truths"),
        pytest.param(np.array(["2024-01-01"], dtype="datetime64[D]"), id="days"),
        pytest.param(np.array([[1], "a"], dtype=object), id="objects"),
        pytest.param(np.arange(6)[::2], id="every second one"),
        pytest.param(np.arange(3).view(Grid), id="a subclass is an array"),
    ],
)
def test_arrays_come_back(value: Any) -> None:
    found = plain.loads(plain.dumps(value))
    assert type(found) is np.ndarray
    assert found.dtype == value.dtype and found.shape == value.shape and (found == value).all()


def test_a_named_tuple_comes_back_with_its_fields() -> None:
    found = plain.loads(plain.dumps(Point(1, [2])))
    assert (found.x, found.y, found) == (1, [2], (1, [2]))
    assert found._fields == ("x", "y")


CLASSES = {"Coin": Coin, "Node": Node, "Mood": Mood, "Colour": Colour, "Place": Place}


def test_instances_of_the_prompts_classes_are_made_by_the_prompts_code() -> None:
    sent = [Coin(2), Node(1, Node(2)), Mood.GOOD, Colour.RED, Place(1, 2)]
    coin, node, mood, colour, place = plain.loads(plain.dumps(sent, CLASSES), CLASSES)
    assert coin == Coin(2)
    assert (node.value, node.after.value, node.after.after) == (1, 2, None)
    assert mood is Mood.GOOD and colour is Colour.RED
    assert type(place) is Place and place.total == 3


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'["o", "Coin", ["d", "__class__", 1]]', id="a class put in place of another"),
        pytest.param(b'["o", "Mood", ["d"]]', id="an enumeration as an instance"),
        pytest.param(b'["e", "Mood", "BAD"]', id="a member that is not there"),
        pytest.param(b'["e", "Coin", "value"]', id="a class as an enumeration"),
        pytest.param(b'["o", "Place", ["d"]]', id="a named tuple as an instance"),
    ],
)
def test_malformed_instances_are_refused(data: bytes) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.loads(data, CLASSES)


def test_iterators_are_kept_and_asked_for() -> None:
    kept: list[Any] = []

    def keep(iterator: Any) -> int:
        kept.append(iterator)
        return len(kept) - 1

    sent = plain.dumps({"first": itertools.count(3), "others": [map(str, [1])]}, keep=keep)
    found = plain.loads(sent, remote=lambda tag, number: (tag, kept[number])[1])
    assert next(found["first"]) == 3
    assert list(found["others"][0]) == ["1"]


def test_an_iterator_goes_as_a_whole_where_nobody_keeps_it() -> None:
    found = plain.loads(plain.dumps(zip("ab", [1, 2], strict=True)))
    assert next(found) == ("a", 1)
    assert list(found) == [("b", 2)]
