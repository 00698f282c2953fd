"""Guesses what a value that does not fit its field was meant as; a guess is said only where it would be taken.

People write `24h` for seconds, `50MB` for bytes, `65%` for a ratio, `/data` for a folder's mapping. Every guess is
checked by the field's own type before it is said, so nobody is sent to a second refusal. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from daybreak_contracts.manifests.field_words import field_named
from daybreak_contracts.manifests.model_tree import fields_of, part_of

SECONDS: dict[str, int] = {
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
COUNTS = {"m": 10**6, "b": 10**9, "bn": 10**9, "g": 10**9, "t": 10**12}
BINARY_COUNTS = frozenset({"contextLength", "vocabularySize"})
"""Where `2k` means 2,048: nobody trains with a context of 2,000."""
MAX_DEPTH = 3
"""Mappings that a guess may put around a value."""


def remedy(field: FieldInfo | None, name: str, value: Any) -> str:
    """Return what to write in place of a value of the wrong type or form, or nothing where no guess fits.

    Args:
        field: The field it was given for, if that is known.
        name: The field's name in a manifest; its end says the unit.
        value: What was given.
    """
    if field is None or isinstance(value, bool):
        return ""
    part, is_list = part_of(field.annotation)
    for guess in _guesses(part, is_list, name, value):
        if guess != value and _fits(field, guess):
            return f"write {_flow(guess)}"
    return ""


def seconds(text: str) -> Decimal | None:
    """Return the seconds of a duration as people write them: `24h`, `1h30m`, `7 days`, `PT1H`."""
    short = re.sub(r"\s+|,", "", text.lower())
    iso = re.fullmatch(r"p((?:\d+[wd])*)t?([\d.hms]*)", short)
    short = iso[1] + iso[2] if iso else short
    found = re.findall(r"([\d.]+)([a-z]+)", short)
    if not found or "".join(number + unit for number, unit in found) != short:
        return None
    total = Decimal(0)
    for number, unit in found:
        name, amount = _singular(unit), _decimal(number)
        if amount is None or (name != "ms" and name not in SECONDS):
            return None
        total += amount / 1000 if name == "ms" else amount * SECONDS[name]
    return total


def _singular(unit: str) -> str:
    whole = {
        "second": "s",
        "minute": "min",
        "hour": "h",
        "day": "d",
        "week": "w",
        "millisecond": "ms",
        "hr": "h",
    }
    short = unit.removesuffix("s") if len(unit) > 2 else unit
    return whole.get(short, short)


def _guesses(part: type[BaseModel] | None, is_list: bool, name: str, value: Any) -> Iterator[Any]:
    if is_list and not isinstance(value, list | dict):
        for one in [value] if not isinstance(value, str) else [value, *_pieces(value)]:
            items = list(one) if isinstance(one, tuple) else [one]
            yield [_wrapped(part, item) if part is not None else item for item in items]
        return
    if part is not None:
        if isinstance(value, str):
            yield _wrapped(part, value)
        return
    if isinstance(value, str):
        yield from _numbers(name, value.strip())
        yield from _texts(value)
    if isinstance(value, int | float | str):
        yield from _decimals(str(value).strip())


def _pieces(text: str) -> Iterator[tuple[Any, ...]]:
    pieces = tuple(piece for piece in re.split(r"[\s,;]+", text.strip()) if piece)
    if len(pieces) > 1:
        yield tuple(int(piece) for piece in pieces) if all(map(str.isdigit, pieces)) else pieces


def _wrapped(part: type[BaseModel], text: Any, depth: int = MAX_DEPTH) -> Any:
    """Put a text into the first field of a model that takes it, or name the field that it nearly is."""
    fields = fields_of(part)
    candidates: list[Any] = []
    meant = field_named(str(text), fields)
    if meant is not None:
        candidates.append({meant: {}})
    for alias, field in fields.items():
        inner, is_list = part_of(field.annotation)
        if inner is None:
            candidates.append({alias: text})
        elif not is_list and depth > 1:
            candidates.append({alias: _wrapped(inner, text, depth - 1)})
    return next((one for one in candidates if _is_valid(part, one)), None)


def _numbers(name: str, text: str) -> Iterator[int]:
    plain = re.sub(r"(?<=\d)[ _,'](?=\d)", "", text)
    if plain.isdigit():
        yield int(plain)
        return
    amount: Decimal | None
    if "Seconds" in name:
        amount = seconds(plain)
    elif name.endswith("Ms"):
        amount = seconds(plain)
        amount = None if amount is None else amount * 1000
    elif name.endswith("Bytes"):
        amount = _bytes(plain)
    else:
        amount = _count(plain, thousand=1024 if name in BINARY_COUNTS else 1000)
    if amount is not None and amount == amount.to_integral_value():
        yield int(amount)


def _bytes(text: str) -> Decimal | None:
    found = re.fullmatch(r"(?i)([\d.]+)\s*([kmgtp]?)(i?)(b|bytes?)?", text)
    number = _decimal(found[1]) if found else None
    if found is None or number is None:
        return None
    scale: int = (1024 if found[3] else 1000) ** POWERS[found[2].lower()]
    return number * scale


def _count(text: str, thousand: int) -> Decimal | None:
    found = re.fullmatch(
        r"(?i)([\d.]+)\s*(k|m|b|bn|g|t|million|billion|thousand|trillion)?\s*(tokens?)?", text
    )
    number = _decimal(found[1]) if found else None
    if found is None or number is None:
        return None
    unit = (found[2] or "").lower()
    unit = {"thousand": "k", "million": "m", "billion": "b", "trillion": "t"}.get(unit, unit)
    return number * (thousand if unit == "k" else COUNTS.get(unit, 1))


def _texts(text: str) -> Iterator[str]:
    """Yield the text as other forms: without what stands around it, in small letters, with dashes, with a scheme."""
    bare = text.strip().rstrip("/")
    dashed = re.sub(r"[\s_]+", "-", bare)
    yield from (text.strip(), bare, bare.lower(), dashed, dashed.lower())
    if re.fullmatch(r"[A-Za-z0-9.-]+\.[A-Za-z]{2,}(:\d+)?(/\S*)?", bare):
        yield f"https://{bare.lower()}"


def _decimals(text: str) -> Iterator[str]:
    percent = text.endswith("%")
    bare = text.strip("%$€ ")
    number = _decimal(bare.replace(",", ".") if bare.count(",") == 1 else bare)
    if number is None:
        return
    if not percent:
        yield format(number, "f")
    yield format(number / 100, "f")


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _fits(field: FieldInfo, value: Any) -> bool:
    return _accepts(_adapter(field), value)


def _is_valid(part: type[BaseModel], value: Any) -> bool:
    return _accepts(_model_adapter(part), value)


def _accepts(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value, by_alias=True, by_name=False)
    except ValidationError:
        return False
    return True


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = field.annotation
    for each in field.metadata:
        kind = Annotated[kind, each]
    return TypeAdapter(kind)


@cache
def _model_adapter(part: type[BaseModel]) -> TypeAdapter[Any]:
    return TypeAdapter(part)


def _flow(value: Any) -> str:
    """Return a value as one writes it in a manifest, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    text = text.removesuffix("\n").removesuffix("\n...")
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text
