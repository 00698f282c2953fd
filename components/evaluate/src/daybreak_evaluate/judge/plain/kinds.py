"""The types of the standard library that cross the border: for each its parts, and how it is made of them again."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import functools
import ipaddress
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MAX_FIELDS = 200
"""Fields of a named tuple: its class is made of them."""


class NotPlainError(ValueError):
    """A value is not plain data, or the text does not stand for any."""


@dataclass(frozen=True)
class Kind:
    """A type, its tag, its parts (plain data again), and the way back."""

    tag: str
    of: type
    parts: Callable[[Any], Iterable[Any]]
    make: Callable[[list[Any]], Any]
    fields: tuple[tuple[type, ...], ...] | None = None
    """Exact types of the parts; None for containers, which take any number of any."""


NAMED_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range)
} | {"NoneType": types.NoneType}
"""Types that may be an answer themselves, as in ``candidate(1) == int``."""

MAPPINGS = (collections.UserDict, collections.ChainMap, types.MappingProxyType)
HOLDERS = (collections.UserList, collections.UserString)
"""Wrappers that equal what they hold."""

_FACTORIES: dict[str, Callable[[], Any]] = {
    kind.__name__: kind
    for kind in (int, float, str, list, dict, set, tuple, bool, complex, collections.Counter)
}
_ZONES = (types.NoneType, datetime.timezone, zoneinfo.ZoneInfo)
_INT, _STR, _BYTES = (int,), (str,), (bytes,)


def uncallable(attributes: dict[Any, Any]) -> dict[Any, Any]:
    """Return attributes of an object; one that can be called would be a method that the answer gave it.

    ``answer.startswith("a")`` is true of an object whose ``startswith`` is ``bool``.
    """
    if any(callable(value) for value in attributes.values()):
        raise NotPlainError("an object with a function or a type for an attribute is not plain data")
    return attributes


def _flat(pairs: Iterable[tuple[Any, Any]]) -> Iterable[Any]:
    return (side for pair in pairs for side in pair)


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    if len(parts) % 2:
        raise NotPlainError("malformed plain data")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _namespace(parts: list[Any]) -> types.SimpleNamespace:
    return types.SimpleNamespace(**uncallable(parts[0]))


def _default_dict(parts: list[Any]) -> Any:
    factory = _FACTORIES.get(parts[0]) if type(parts[0]) is str else None
    return collections.defaultdict(factory, _pairs(parts[1:]))


def _deque(parts: list[Any]) -> Any:
    if type(parts[0]) not in (int, types.NoneType):
        raise NotPlainError("malformed plain data")
    return collections.deque(parts[1:], parts[0])


def _zone(zone: datetime.tzinfo | None, moment: Any) -> datetime.tzinfo | None:
    """Return a zone that the other side can make: one of the candidate's own becomes its offset at that moment."""
    if zone is None or type(zone) in _ZONES:
        return zone
    offset = zone.utcoffset(moment)
    return None if offset is None else datetime.timezone(offset)


def _time_parts(value: datetime.time) -> list[Any]:
    zone = _zone(value.tzinfo, None)
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, zone]


def _moment_parts(value: datetime.datetime) -> list[Any]:
    zone = _zone(value.tzinfo, value)
    time = [value.hour, value.minute, value.second, value.microsecond, value.fold, zone]
    return [value.year, value.month, value.day, *time]


def _timezone_parts(value: datetime.timezone) -> list[Any]:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    return [offset, name if name != datetime.timezone(offset).tzname(None) else None]


def _timezone(parts: list[Any]) -> datetime.timezone:
    return datetime.timezone(parts[0]) if parts[1] is None else datetime.timezone(parts[0], parts[1])


def _view_parts(value: memoryview) -> list[Any]:
    if value.ndim != 1:
        raise NotPlainError("a memoryview of more than one dimension is not plain data")
    return [value.tobytes(), value.format]


def _array(parts: list[Any]) -> Any:
    made = array.array(parts[0])
    made.frombytes(parts[1])
    return made


class FoundMatch:
    """What a match of a regular expression says, without the expression."""

    def __init__(self, string: Any, spans: tuple[Any, ...], names: dict[Any, Any]) -> None:
        self.string, self._spans, self._names = string, spans, names

    def span(self, group: Any = 0) -> tuple[int, int]:
        """Return where a group begins and ends."""
        start, end = self._spans[self._names.get(group, group)]
        return start, end

    def start(self, group: Any = 0) -> int:
        """Return where it begins."""
        return self.span(group)[0]

    def end(self, group: Any = 0) -> int:
        """Return where it ends."""
        return self.span(group)[1]

    def __getitem__(self, group: Any) -> Any:
        start, end = self.span(group)
        return None if start < 0 else self.string[start:end]

    def group(self, *groups: Any) -> Any:
        """Return what groups matched."""
        found = tuple(self[group] for group in groups or (0,))
        return found if len(found) > 1 else found[0]

    def groups(self, default: Any = None) -> tuple[Any, ...]:
        """Return what all groups matched."""
        found = [self[group] for group in range(1, len(self._spans))]
        return tuple(default if text is None else text for text in found)

    def groupdict(self, default: Any = None) -> dict[str, Any]:
        """Return what the groups with a name matched."""
        return {name: default if self[name] is None else self[name] for name in self._names}


@functools.lru_cache(maxsize=256)
def named_tuple(name: str, fields: tuple[Any, ...]) -> Any:
    """Return a class of named tuples."""
    if len(fields) > MAX_FIELDS or not all(type(field) is str and len(field) <= 100 for field in fields):
        raise NotPlainError("malformed plain data")
    return collections.namedtuple(name, fields)


KINDS: tuple[Kind, ...] = (
    Kind("l", list, list.__iter__, list),
    Kind("t", tuple, tuple.__iter__, tuple),
    Kind("C", collections.Counter, lambda v: _flat(dict.items(v)), lambda p: collections.Counter(_pairs(p))),
    Kind("O", collections.OrderedDict, lambda v: _flat(v.items()), lambda p: collections.OrderedDict(_pairs(p))),
    Kind(
        "D",
        collections.defaultdict,
        lambda v: (getattr(v.default_factory, "__name__", None), *_flat(dict.items(v))),
        _default_dict,
    ),
    Kind("d", dict, lambda v: _flat(dict.items(v)), _pairs),
    Kind("s", set, set.__iter__, set),
    Kind("f", frozenset, frozenset.__iter__, frozenset),
    Kind("q", collections.deque, lambda v: (v.maxlen, *v), _deque),
    Kind("dk", type({}.keys()), iter, lambda p: dict.fromkeys(p).keys()),
    Kind("dv", type({}.values()), iter, lambda p: dict(enumerate(p)).values()),
    Kind("di", type({}.items()), _flat, lambda p: _pairs(p).items()),
    Kind("ns", types.SimpleNamespace, lambda v: (vars(v),), _namespace, ((dict,),)),
    Kind("b", bytes, lambda v: (bytes.hex(v),), lambda p: bytes.fromhex(p[0]), (_STR,)),
    Kind("a", bytearray, lambda v: (bytearray.hex(v),), lambda p: bytearray.fromhex(p[0]), (_STR,)),
    Kind("c", complex, lambda v: (v.real, v.imag), lambda p: complex(*p), ((float,), (float,))),
    Kind("r", range, lambda v: (v.start, v.stop, v.step), lambda p: range(*p), (_INT,) * 3),
    Kind("sl", slice, lambda v: (v.start, v.stop, v.step), lambda p: slice(*p), ((int, types.NoneType),) * 3),
    Kind("el", types.EllipsisType, lambda _: (), lambda _: ..., ()),
    Kind("de", decimal.Decimal, lambda v: (str(v),), lambda p: decimal.Decimal(p[0]), (_STR,)),
    Kind("fr", Fraction, lambda v: (v.numerator, v.denominator), lambda p: Fraction(*p), (_INT, _INT)),
    Kind("M", re.Match, lambda v: (v.string, v.regs, dict(v.re.groupindex)), lambda p: FoundMatch(*p),
         ((str, bytes), (tuple,), (dict,))),
    Kind("u", uuid.UUID, lambda v: (v.hex,), lambda p: uuid.UUID(hex=p[0]), (_STR,)),
    Kind("P", pathlib.Path, lambda v: (str(v),), lambda p: pathlib.Path(p[0]), (_STR,)),
    Kind("pp", pathlib.PurePosixPath, lambda v: (str(v),), lambda p: pathlib.PurePosixPath(p[0]), (_STR,)),
    Kind("pw", pathlib.PureWindowsPath, lambda v: (str(v),), lambda p: pathlib.PureWindowsPath(p[0]), (_STR,)),
    Kind(
        "dt",
        datetime.datetime,
        _moment_parts,
        lambda p: datetime.datetime(*p[:7]).replace(fold=p[7], tzinfo=p[8]),
        (*(_INT,) * 8, _ZONES),
    ),
    Kind("dd", datetime.date, lambda v: (v.year, v.month, v.day), lambda p: datetime.date(*p), (_INT,) * 3),
    Kind(
        "tm",
        datetime.time,
        _time_parts,
        lambda p: datetime.time(*p[:4]).replace(fold=p[4], tzinfo=p[5]),
        (*(_INT,) * 5, _ZONES),
    ),
    Kind(
        "td",
        datetime.timedelta,
        lambda v: (v.days, v.seconds, v.microseconds),
        lambda p: datetime.timedelta(*p),
        (_INT,) * 3,
    ),
    Kind("tz", datetime.timezone, _timezone_parts, _timezone, ((datetime.timedelta,), (str, types.NoneType))),
    Kind("zi", zoneinfo.ZoneInfo, lambda v: (v.key,), lambda p: zoneinfo.ZoneInfo(p[0]), (_STR,)),
    Kind("A", array.array, lambda v: (v.typecode, v.tobytes()), _array, (_STR, _BYTES)),
    Kind("m", memoryview, _view_parts, lambda p: memoryview(p[0]).cast(p[1]), (_BYTES, _STR)),
    *(
        Kind(tag, kind, lambda v: (str(v),), lambda p, kind=kind: kind(p[0]), (_STR,))  # type: ignore[misc]
        for tag, kind in {
            "i4": ipaddress.IPv4Address, "i6": ipaddress.IPv6Address, "n4": ipaddress.IPv4Network,
            "n6": ipaddress.IPv6Network, "f4": ipaddress.IPv4Interface, "f6": ipaddress.IPv6Interface,
        }.items()
    ),
)  # fmt: skip
"""Subclasses stand before what they derive from: the first that fits an object is taken."""

BY_TYPE = {kind.of: kind for kind in KINDS} | {type(pathlib.Path()): next(k for k in KINDS if k.tag == "P")}
BY_TAG = {kind.tag: kind for kind in KINDS}
