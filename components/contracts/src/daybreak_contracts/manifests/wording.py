"""Says in plain words what pydantic found wrong, and guesses what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from daybreak_contracts import names
from daybreak_contracts.manifests import meant
from daybreak_contracts.manifests.field_words import fields_meant, language_meant
from daybreak_contracts.manifests.model_tree import field_at, fields_of, model_at, places_of
from daybreak_contracts.manifests.problems import Location, value_text
from daybreak_contracts.resources.descriptions import field_descriptions
from daybreak_contracts.resources.fields import PATTERNS_IN_WORDS
from daybreak_contracts.resources.languages import LANGUAGE_ERROR, spellings
from daybreak_contracts.resources.near_names import did_you_mean, nearest

LONGEST_ENDING = 3
"""Letters of a word that is near to too many languages to guess one."""


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
        return Said(str(detail["msg"]), value_text(value), _language(str(value)))
    words = _WORDS.get(detail["type"])
    message = words(context) if words is not None else str(detail["msg"])
    return Said(message, value_text(value), _type_remedy(kind, location, detail["type"], value))


def not_served(kind: str) -> str:
    """Return the sentence for a runtime that can be named and that nothing speaks to."""
    return f"the gateway does not speak to {kind} yet (use {' or '.join(names.RUNTIMES)})"


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


def _type_remedy(kind: type[BaseModel], location: Location, error: str, value: Any) -> str:
    if error == "string_type" and isinstance(value, bool):
        return "write it in quotes, yes and no are truth values in YAML"
    return meant.remedy(field_at(kind, location), _name_of(location), value)


def _language(word: str) -> str:
    by_ending = language_meant(word)
    if by_ending is not None:
        return f"did you mean {by_ending}?"
    return did_you_mean(word, spellings()) if len(word) > LONGEST_ENDING else ""


def _name_of(location: Location) -> str:
    return next((step for step in reversed(location) if isinstance(step, str)), "")


def _purpose(kind: type[BaseModel], location: Location) -> str:
    above = model_at(kind, location[:-1])
    if above is None:
        return ""
    for name, field in above.model_fields.items():
        if (field.alias or name) == location[-1]:
            return field_descriptions(above).get(name, "").rstrip(".")
    return ""


def _known_field(kind: type[BaseModel], location: Location) -> str:
    """Guess the field that was meant: one beside it that other tools call so or nearly so, or one elsewhere."""
    name, above = str(location[-1]), model_at(kind, location[:-1])
    beside = list(fields_of(above)) if above is not None else []
    everywhere = list(places_of(kind))
    near = difflib.get_close_matches(name, {alias for alias, _ in everywhere}, n=1, cutoff=0.8)
    guess = (
        next((word for word in (to_camel(name), *fields_meant(name)) if word in beside), None)
        or _elsewhere([to_camel(name)], everywhere, location)
        or nearest(name, beside)
        or _elsewhere([*fields_meant(name), *near], everywhere, location)
    )
    if guess:
        return f"did you mean {guess}?"
    return f"known here: {', '.join(beside)}" if beside else ""


def _elsewhere(wanted: list[str], everywhere: list[tuple[str, str]], location: Location) -> str | None:
    """Return where one of these fields stands: the only such place, or the nearest below the part that is meant."""
    for name in wanted:
        places = [path for alias, path in everywhere if alias == name]
        best = max(places, key=lambda path: _shared(path, location), default="")
        if len(places) == 1 or (best and _shared(best, location) >= len(location) - 1):
            return best
    return None


def _shared(path: str, location: Location) -> int:
    """Return how many steps a place has in common with a location, from the top."""
    steps = [step for step in location if isinstance(step, str)]
    pairs = zip(path.replace("[]", "").split("."), steps, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
