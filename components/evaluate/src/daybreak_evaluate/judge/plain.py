"""Plain data across the border: exact built-in types as JSON text, and nothing else.

Owns the encoding that tester and candidate speak. The decoder trusts nothing: it builds exact built-in types, so
an object's own ``__eq__``, ``__hash__`` or ``__reduce__`` never reaches the tester. It is not pickle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

MAX_DEPTH = 100
"""Nesting that is still taken; the deepest result of HumanEval is 3."""

SMALL_INT = 1 << 62
"""Integers beyond this travel as hexadecimal text: linear time, and no limit on decimal digits."""


class NotPlainError(ValueError):
    """A value is not plain data, or the text does not stand for any."""


def dumps(value: Any) -> bytes:
    """Encode a value of built-in types; subclasses lose their class, other objects are a NotPlainError."""
    return json.dumps(_tree(value, 0), separators=(",", ":")).encode("ascii")


def loads(data: bytes) -> Any:
    """Decode what ``dumps`` wrote, from anybody. Anything else is a NotPlainError."""
    try:
        tree = json.loads(data)
        return _value(tree, 0)
    except NotPlainError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise NotPlainError(f"malformed plain data ({type(error).__name__})") from error


def _tree(value: Any, depth: int) -> Any:
    """Return lists, text and numbers that JSON can hold; containers are lists led by a tag."""
    if depth > MAX_DEPTH:
        raise NotPlainError(f"nested deeper than {MAX_DEPTH}")
    if value is None or value is True or value is False:
        return value
    for kind, encode in _ENCODERS:
        if isinstance(value, kind):
            return encode(value, depth + 1)
    scalar = _numpy_scalar(value)
    if scalar is not value:
        return _tree(scalar, depth + 1)
    raise NotPlainError(f"{type(value).__name__} is not plain data")


def _numpy_scalar(value: Any) -> Any:
    """Return the Python number of a numpy scalar, which equals it; any other object as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _integer(value: int, _: int) -> Any:
    number = int.__index__(value)
    return number if -SMALL_INT < number < SMALL_INT else ["i", int.__format__(number, "x")]


def _items(tag: str, walk: Callable[[Any], Iterable[Any]]) -> Callable[[Any, int], Any]:
    def encode(value: Any, depth: int) -> Any:
        return [tag, *(_tree(item, depth) for item in walk(value))]

    return encode


def _mapping(value: dict[Any, Any], depth: int) -> Any:
    pairs = dict.items(value)
    return ["d", *(_tree(side, depth) for pair in pairs for side in pair)]


_ENCODERS: tuple[tuple[type, Callable[[Any, int], Any]], ...] = (
    (str, lambda value, _: str.__str__(value)),
    (int, _integer),
    (float, lambda value, _: float.__float__(value)),
    (list, _items("l", list.__iter__)),
    (tuple, _items("t", tuple.__iter__)),
    (dict, _mapping),
    (set, _items("s", set.__iter__)),
    (frozenset, _items("f", frozenset.__iter__)),
    (bytes, lambda value, _: ["b", bytes.hex(value)]),
    (bytearray, lambda value, _: ["a", bytearray.hex(value)]),
    (complex, lambda value, _: ["c", value.real, value.imag]),
)


def _value(tree: Any, depth: int) -> Any:
    if depth > MAX_DEPTH + 2:
        raise NotPlainError(f"nested deeper than {MAX_DEPTH}")
    if type(tree) is not list:
        if type(tree) is dict:
            raise NotPlainError("malformed plain data")
        return tree
    if not tree or type(tree[0]) is not str or tree[0] not in _DECODERS:
        raise NotPlainError("malformed plain data")
    return _DECODERS[tree[0]](tree[1:], depth + 1)


def _values(items: list[Any], depth: int) -> list[Any]:
    return [_value(item, depth) for item in items]


def _decode_mapping(items: list[Any], depth: int) -> dict[Any, Any]:
    if len(items) % 2:
        raise NotPlainError("malformed plain data")
    values = _values(items, depth)
    return dict(zip(values[::2], values[1::2], strict=True))


def _one_text(items: list[Any]) -> str:
    if len(items) != 1 or type(items[0]) is not str:
        raise NotPlainError("malformed plain data")
    return items[0]


def _decode_complex(items: list[Any], _: int) -> complex:
    if len(items) != 2 or any(type(item) is not float for item in items):
        raise NotPlainError("malformed plain data")
    return complex(*items)


_DECODERS: dict[str, Callable[[list[Any], int], Any]] = {
    "l": _values,
    "t": lambda items, depth: tuple(_values(items, depth)),
    "d": _decode_mapping,
    "s": lambda items, depth: set(_values(items, depth)),
    "f": lambda items, depth: frozenset(_values(items, depth)),
    "i": lambda items, _: int(_one_text(items), 16),
    "b": lambda items, _: bytes.fromhex(_one_text(items)),
    "a": lambda items, _: bytearray.fromhex(_one_text(items)),
    "c": _decode_complex,
}
