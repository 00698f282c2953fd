"""Says in plain words what pydantic found wrong, and guesses what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from daybreak_contracts.manifests.model_tree import fields_of, model_at, places_of
from daybreak_contracts.manifests.problems import Location, value_text
from daybreak_contracts.resources.descriptions import field_descriptions
from daybreak_contracts.resources.fields import PATTERNS_IN_WORDS
from daybreak_contracts.resources.languages import LANGUAGE_ERROR, spellings
from daybreak_contracts.resources.near_names import did_you_mean


@dataclass(frozen=True)
class Said:
    """The words for one mistake."""

    message: str
    got: str = ""
    remedy: str = ""


def sentence(kind: type[BaseModel], location: Location, detail: Mapping[str, Any]) -> Said:
    """Return the words for one error of pydantic at a location of an object of this kind."""
    value, context = detail["input"], detail.get("ctx", {})
    if detail["type"] == "missing":
        return Said("is required", remedy=_purpose(kind, location))
    if detail["type"] == "extra_forbidden":
        return Said("unknown field", remedy=_known_field(kind, location))
    if detail["type"] in ("literal_error", "enum"):
        known = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return Said(f"must be one of {', '.join(known)}", value_text(value), did_you_mean(str(value), known))
    if detail["type"] == LANGUAGE_ERROR:
        return Said(str(detail["msg"]), value_text(value), did_you_mean(str(value), spellings()))
    words = _WORDS.get(detail["type"])
    message = words(context) if words is not None else str(detail["msg"])
    return Said(message, value_text(value), _type_remedy(detail["type"], value))


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda _: "must be text",
    "int_type": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "model_type": lambda _: "must be a mapping",
    "model_attributes_type": lambda _: "must be a mapping",
    "dict_type": lambda _: "must be a mapping",
    "tuple_type": lambda _: "must be a list",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "string_pattern_mismatch": lambda context: f"must be {PATTERNS_IN_WORDS[context['pattern']]}",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "too_short": lambda context: f"must have at least {context['min_length']} item",
    "too_long": lambda context: f"must have at most {context['max_length']} items",
}
"""Type of a pydantic error to the rule that it means; the types are those our models can raise."""


def _type_remedy(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'write it in quotes: "{value}"'
    if kind == "string_type" and isinstance(value, bool):
        return "write it in quotes, yes and no are truth values in YAML"
    if kind == "tuple_type" and isinstance(value, str | int):
        return f"write [{value}]"
    if kind == "int_type" and isinstance(value, str) and value.strip().isdigit():
        return "write it without quotes"
    return ""


def _purpose(kind: type[BaseModel], location: Location) -> str:
    above = model_at(kind, location[:-1])
    if above is None:
        return ""
    for name, field in above.model_fields.items():
        if (field.alias or name) == location[-1]:
            return field_descriptions(above).get(name, "").rstrip(".")
    return ""


def _known_field(kind: type[BaseModel], location: Location) -> str:
    """Guess the field that was meant: one beside it of nearly this name, or one of this name elsewhere."""
    name, above = str(location[-1]), model_at(kind, location[:-1])
    beside = list(fields_of(above)) if above is not None else []
    guess = did_you_mean(name, beside)
    if guess:
        return guess
    everywhere = dict(places_of(kind))
    for near in (to_camel(name), *difflib.get_close_matches(name, everywhere, n=1, cutoff=0.8)):
        if near in everywhere:
            return f"did you mean {everywhere[near]}?"
    return f"known here: {', '.join(beside)}" if beside else ""
