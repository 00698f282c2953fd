"""Walks a model and the plain value it should hold side by side, whether or not the value fits."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from daybreak_contracts.manifests.problems import Location
from daybreak_contracts.resources.fields import Resource


def part_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model that a field's type holds, if any, and whether it holds a list of them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return part_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        chosen = [part for part in typing.get_args(annotation) if part is not type(None)]
        return part_of(chosen[0])
    if origin is tuple:
        return part_of(typing.get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False


def fields_of(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the name a manifest gives them."""
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def model_at(kind: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel] | None:
    """Return the model at a location, or None where there is a plain value or nothing known."""
    here: type[BaseModel] | None = kind
    for step in location:
        if isinstance(step, int):
            continue
        field = fields_of(here).get(step) if here is not None else None
        here = part_of(field.annotation)[0] if field is not None else None
    return here


def field_at(kind: type[BaseModel], location: Location) -> FieldInfo | None:
    """Return the field at a location, for an item of a list what its items are; None where nothing is known."""
    names = [step for step in location if isinstance(step, str)]
    above = model_at(kind, names[:-1]) if names else None
    field = fields_of(above).get(names[-1]) if above is not None else None
    if field is None or location[-1] == names[-1]:
        return field
    item = _item_of(field.annotation)
    return FieldInfo.from_annotation(item) if item is not None else None


def _item_of(annotation: Any) -> Any:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated or origin in (typing.Union, types.UnionType):
        return _item_of(inner[0])
    return inner[0] if origin is tuple else None


def places_of(kind: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and path of every field below a model, as ``spec.training.tokens``."""
    for alias, field in fields_of(kind).items():
        part, is_list = part_of(field.annotation)
        path = f"{above}.{alias}" if above else alias
        if part is not None:
            yield from places_of(part, f"{path}[]" if is_list else path)
        yield alias, path


def without_absent(kind: type[BaseModel], value: Any) -> Any:
    """Drop fields that hold nothing, as an API server does; free-form parts stay as they are."""
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        field = fields_of(kind).get(name)
        if item is None and field is not None and name != "metadata":
            continue
        part, is_list = part_of(field.annotation) if field is not None else (None, False)
        if part is None:
            kept[name] = item
        elif is_list and isinstance(item, list):
            kept[name] = [without_absent(part, one) for one in item]
        else:
            kept[name] = without_absent(part, item)
    return kept


def broken_rules_below(kind: type[BaseModel], value: Any) -> Iterator[tuple[Location, str]]:
    """Yield (location, sentence) for each rule that a value breaks, also where other fields are wrong."""
    yield from _broken(kind, value, ())


def _broken(kind: type[BaseModel], value: Any, location: Location) -> Iterator[tuple[Location, str]]:
    if not isinstance(value, dict):
        return
    if issubclass(kind, Resource):
        shape = _shape(kind, value)
        for rule in kind.rules:
            try:
                if not rule.holds(shape):
                    yield (*location, rule.at) if rule.at else location, rule.sentence(shape)
            except (AttributeError, TypeError, ValueError, ArithmeticError, IndexError):
                continue  # it asks for a field that is wrong itself, which is said anyway
    for name, field in fields_of(kind).items():
        part, is_list = part_of(field.annotation)
        if part is None or name not in value:
            continue
        items = value[name] if is_list and isinstance(value[name], list) else None
        if items is None:
            yield from _broken(part, value[name], (*location, name))
        else:
            for at, item in enumerate(items):
                yield from _broken(part, item, (*location, name, at))


def _shape(kind: type[BaseModel], value: Any) -> Any:
    """Return something with the attributes of the model and the values as they are."""
    if not isinstance(value, dict):
        return value
    attributes = {}
    for name, field in kind.model_fields.items():
        alias = field.alias or name
        part, is_list = part_of(field.annotation)
        if alias not in value:
            if not field.is_required():
                attributes[name] = field.get_default(call_default_factory=True)
        elif part is not None and is_list and isinstance(value[alias], list):
            attributes[name] = [_shape(part, item) for item in value[alias]]
        elif part is not None:
            attributes[name] = _shape(part, value[alias])
        else:
            attributes[name] = value[alias]
    return SimpleNamespace(**attributes)
