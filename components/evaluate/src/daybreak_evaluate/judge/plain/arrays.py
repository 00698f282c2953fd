"""Arrays of numpy: bytes, type and shape; numpy is imported when the first one comes."""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

from daybreak_evaluate.judge.plain.kinds import NotPlainError

TAGS = ("np", "no")
"""An array of numbers or text by its bytes; one of objects item by item."""
_NUMBERS = re.compile(r"[<>|=]?(?:[?biufc]\d{0,2}|[SU]\d{1,6}|[mM]8(?:\[[a-zA-Z]{1,2}\])?)\Z")


def parts(value: Any) -> tuple[str, tuple[Any, ...]] | None:
    """Return tag and parts of an array; None for everything else. A number of numpy is a number of Python."""
    if type(value).__module__ != "numpy" and not any(
        base.__module__ == "numpy" and base.__name__ == "ndarray" for base in type(value).__mro__
    ):
        return None
    if not hasattr(value, "dtype") or not hasattr(value, "tobytes") or getattr(value, "ndim", 0) == 0:
        return None
    if value.dtype.hasobject:
        return "no", (tuple(value.shape), value.ravel().tolist())
    if not _NUMBERS.match(value.dtype.str):
        raise NotPlainError("an array of records is not plain data")
    return "np", (value.dtype.str, tuple(value.shape), value.tobytes())


def is_scalar(value: Any) -> bool:
    """Tell whether it is one value of numpy: ``item()`` is the Python value that it equals."""
    return (
        type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and hasattr(value, "item")
    )


def make(tag: str, given: list[Any]) -> Any:
    """Make an array."""
    match tag, given:
        case "np", [str(kind), tuple(shape), bytes(data)] if _NUMBERS.match(kind) and _is_shape(shape):
            return numpy().frombuffer(data, kind).reshape(shape).copy()
        case "no", [tuple(shape), list(items)] if _is_shape(shape):
            made = numpy().empty(len(items), dtype=object)
            for index, item in enumerate(items):
                made[index] = item  # one by one: numpy would take lists apart
            return made.reshape(shape)
    raise NotPlainError("malformed plain data")


def _is_shape(shape: tuple[Any, ...]) -> bool:
    return len(shape) <= 32 and all(type(size) is int and size >= 0 for size in shape)


@functools.cache
def numpy() -> Any:
    """Return the module, of the same folder of packages that the candidate has it from."""
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise NotPlainError(f"an array of numpy, which is not here ({error})") from error
