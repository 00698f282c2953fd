"""The tree of tagged lists: how values are taken apart, and how they are made again from text that anybody wrote."""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import json
import keyword
import numbers
import types
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from daybreak_evaluate.judge.plain import arrays, kinds
from daybreak_evaluate.judge.plain.kinds import Kind, NotPlainError

MAX_DEPTH = 100
"""Nesting that is still taken; the deepest result of HumanEval is 3."""

SMALL_INT = 1 << 62
"""Integers beyond this travel as hexadecimal text: linear time, and no limit on decimal digits."""

MAX_DRAWN = 100_000
"""Items of an iterator that is sent as a whole, where nobody keeps it to be asked."""

Keep = Callable[[Any], int]
Remote = Callable[[str, int], Any]
"""Make what stands for something that stayed on the other side: by its tag and its number there."""
ITERATOR, FUNCTION, COROUTINE = "R", "F", "W"
FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)
"""What may be answered to be called, and nothing else: an object of its own could answer any question of the test's."""
NO_CLASSES: Mapping[str, type] = MappingProxyType({})


def dumps(value: Any, classes: Mapping[str, type] = NO_CLASSES, keep: Keep | None = None) -> bytes:
    """Encode a value; subclasses lose their class, other objects are a NotPlainError.

    ``classes`` are the prompt's: the other side makes their instances. ``keep`` remembers what cannot be sent, as an
    iterator or a function, under a number.
    """
    tree = _TreeWriter(classes, keep).tree(value, 0)
    return json.dumps(tree, separators=(",", ":")).encode("ascii")


def loads(data: bytes, classes: Mapping[str, type] = NO_CLASSES, remote: Remote | None = None) -> Any:
    """Decode what ``dumps`` wrote, from anybody. Anything else is a NotPlainError."""
    try:
        return _TreeReader(classes, remote).value(json.loads(data), 0)
    except NotPlainError:
        raise
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
        OSError,
    ) as error:
        raise NotPlainError(f"malformed plain data ({type(error).__name__})") from error


class _TreeWriter:
    def __init__(self, classes: Mapping[str, type], keep: Keep | None) -> None:
        self._classes = classes
        self._keep = keep

    def tree(self, value: Any, depth: int) -> Any:
        """Return lists, text and numbers that JSON can hold; all but text and numbers are lists led by a tag."""
        if depth > MAX_DEPTH:
            raise NotPlainError(f"nested deeper than {MAX_DEPTH}")
        if value is None or value is True or value is False:
            return value
        exact = type(value)
        if exact is str:
            return value
        if exact is int or exact is float:
            return _number(value)
        if kind := kinds.BY_TYPE.get(exact):
            return self._tagged(kind.tag, kind.parts(value), depth)
        return self._other(value, depth)

    def _tagged(self, tag: str, parts: Any, depth: int) -> list[Any]:
        return [tag, *(self.tree(part, depth + 1) for part in parts)]

    def _other(self, value: Any, depth: int) -> Any:
        """Encode what is not of an exact known type."""
        name = type(value).__name__
        if self._classes.get(name) is type(value):
            return self._instance(name, value, depth)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return _number(int.__index__(value))
        if isinstance(value, float):
            return _number(float.__float__(value))
        if (fields := _fields(type(value))) is not None:
            return self._tagged("N", (name, tuple(map(str, fields)), *tuple.__iter__(value)), depth)
        if parts := arrays.parts(value):
            return self._tagged(*parts, depth)
        for kind in kinds.KINDS:
            if isinstance(value, kind.of):
                return self._tagged(kind.tag, kind.parts(value), depth)
        if isinstance(value, type) and value in kinds.NAMED_TYPES.values():
            return ["T", value.__name__]
        return (
            self.tree(_like_plain(value), depth + 1)
            if _is_like_plain(value)
            else self._iterator(value, depth)
        )

    def _iterator(self, value: Any, depth: int) -> Any:
        if self._keep is not None and isinstance(value, FUNCTIONS):
            return [FUNCTION, self._keep(value)]
        if self._keep is not None and inspect.iscoroutine(value):
            return [COROUTINE, self._keep(value)]
        if not (hasattr(type(value), "__next__") and hasattr(type(value), "__iter__")):
            raise NotPlainError(f"{type(value).__name__} is not plain data")
        if self._keep is not None:
            return [ITERATOR, self._keep(value)]
        items = list(itertools.islice(value, MAX_DRAWN + 1))
        if len(items) > MAX_DRAWN:
            raise NotPlainError(f"an iterator of more than {MAX_DRAWN} items")
        return self._tagged("I", items, depth)

    def _instance(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return ["e", name, str(value._name_)]
        if (fields := _fields(type(value))) is not None:
            return self._tagged("N", (name, fields, *tuple.__iter__(value)), depth)
        state = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if not slot.startswith("__") and hasattr(value, slot):
                    state[slot] = getattr(value, slot)
        return self._tagged("o", (name, state), depth)


def _number(value: Any) -> Any:
    if isinstance(value, float) or -SMALL_INT < value < SMALL_INT:
        return value
    return ["i", int.__format__(value, "x")]


def _fields(kind: type) -> tuple[Any, ...] | None:
    """Return the fields of a class of named tuples; None for any other class."""
    fields = getattr(kind, "_fields", None)
    return fields if issubclass(kind, tuple) and isinstance(fields, tuple) else None


def _is_like_plain(value: Any) -> bool:
    return (
        isinstance(value, (numbers.Number, *kinds.MAPPINGS, *kinds.HOLDERS))
        or _is_truth(value)
        or arrays.is_scalar(value)
    )


def _is_truth(value: Any) -> bool:
    """Tell whether it is a truth of sympy."""
    return type(value).__name__ in ("BooleanTrue", "BooleanFalse")


def _like_plain(value: Any) -> Any:
    """Return the plain value that equals it: numbers of sympy and numpy, mappings and lists in wrappers."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, numbers.Number):
        return complex(value)  # type: ignore[call-overload]
    if isinstance(value, kinds.MAPPINGS):
        return dict(value)
    if isinstance(value, kinds.HOLDERS):
        return value.data
    return bool(value) if _is_truth(value) else value.item()


class _TreeReader:
    def __init__(self, classes: Mapping[str, type], remote: Remote | None) -> None:
        self._classes = classes
        self._remote = remote

    def value(self, tree: Any, depth: int) -> Any:
        """Make the value that a tree stands for."""
        if depth > MAX_DEPTH + 4:  # a few more: some tags wrap what was one level
            raise NotPlainError(f"nested deeper than {MAX_DEPTH}")
        if type(tree) is not list:
            if type(tree) is dict:
                raise NotPlainError("malformed plain data")
            return tree
        if not tree or type(tree[0]) is not str:
            raise NotPlainError("malformed plain data")
        parts = [self.value(part, depth + 1) for part in tree[1:]]
        kind = kinds.BY_TAG.get(tree[0])
        return self._made(kind, parts) if kind is not None else self._special(tree[0], parts)

    def _made(self, kind: Kind, parts: list[Any]) -> Any:
        if kind.fields is not None and not (
            len(parts) == len(kind.fields)
            and all(type(part) in allowed for part, allowed in zip(parts, kind.fields, strict=True))
        ):
            raise NotPlainError("malformed plain data")
        return kind.make(parts)

    def _special(self, tag: str, parts: list[Any]) -> Any:
        match tag, parts:
            case "i", [str(digits)]:
                return int(digits, 16)
            case "I", _:
                return iter(parts)
            case (("R" | "F" | "W"), [int(number)]) if self._remote is not None and number is not True:
                return self._remote(tag, number)
            case "T", [str(name)]:
                return kinds.NAMED_TYPES[name]
            case "N", [str(name), tuple(fields), *items]:
                return self._named_tuple(name, fields, items)
            case "e", [str(name), str(member)] if self._is_enum(name):
                return self._classes[name][member]  # type: ignore[index]
            case "o", [str(name), dict(state)] if name in self._classes and not self._is_enum(name):
                return _instance(self._classes[name], kinds.uncallable(state))
        if tag in arrays.TAGS:
            return arrays.make(tag, parts)
        raise NotPlainError("malformed plain data")

    def _is_enum(self, name: str) -> bool:
        return name in self._classes and issubclass(self._classes[name], enum.Enum)

    def _named_tuple(self, name: str, fields: tuple[Any, ...], items: list[Any]) -> Any:
        kind: Any = self._classes.get(name)
        if kind is None or _fields(kind) != fields:
            kinds.uncallable(dict(zip(fields, items, strict=False)))
            known = name.isidentifier() and not keyword.iskeyword(name) and len(name) <= 100
            kind = kinds.named_tuple(name if known else "Tuple", fields)
        return kind._make(items)


def _is_method(kind: type, name: str) -> bool:
    """Tell whether an attribute would hide a method that the test calls."""
    return isinstance(
        inspect.getattr_static(kind, name, None), (*FUNCTIONS, classmethod, staticmethod, property)
    )


def _instance(kind: type, state: dict[Any, Any]) -> Any:
    value: Any = object.__new__(kind)
    for name, item in state.items():
        if type(name) is not str or name.startswith("__") or _is_method(kind, name):
            raise NotPlainError("malformed plain data")
        object.__setattr__(value, name, item)
    return value
