"""Completion requests: bytes to a value, or a `ApiProblem` that names field, rule and value. Pure.

Takes OpenAI's ``/v1/completions`` shape. What it cannot do it refuses rather than ignores.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from daybreak_serve.engine.protocol import MAX_STOP_STRINGS, GenerationOptions
from daybreak_serve.gateway.http.problems import ApiProblem, invalid

MAX_NAME_CHARACTERS = 512
"""Of ``user`` and file names; longer ones are no names."""


@dataclass(frozen=True)
class RequestLimits:
    """What a gateway allows."""

    model_name: str
    default_max_tokens: int
    max_tokens: int


@dataclass(frozen=True)
class CompletionRequest:
    """A request that can be answered."""

    prompt: str
    suffix: str | None
    options: GenerationOptions
    stream: bool
    include_usage: bool
    user: str | None
    file: str | None


# Fields whose only accepted value is the one that asks for nothing.
_UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "n": (1, None),
    "best_of": (1, None),
    "logprobs": (None,),
    "echo": (False, None),
    "presence_penalty": (0, None),
    "frequency_penalty": (0, None),
    "logit_bias": (None, {}),
}
_FIELDS = frozenset(
    {
        "model",
        "prompt",
        "suffix",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "user",
        "metadata",
        *_UNSUPPORTED,
    }
)


def parse(body: bytes, file_header: str | None, limits: RequestLimits) -> CompletionRequest:
    """Return the request of a body and the ``X-Daybreak-File`` header, or raise a `ApiProblem`.

    The header wins over ``metadata.file``. ``temperature`` is 0 unless asked for: an editor wants the likeliest.
    """
    document = parse_object(body)
    _check_fields(document)
    _check_model(document.get("model"), limits.model_name)
    stream = _boolean(document, "stream")
    max_tokens = _integer(document, "max_tokens", limits.default_max_tokens, 1, limits.max_tokens)
    return CompletionRequest(
        prompt=_prompt(document.get("prompt", "")),
        suffix=_text(document, "suffix"),
        options=GenerationOptions(
            max_tokens=max_tokens,
            temperature=_number(document, "temperature", 0.0, (0.0, 2.0)),
            top_p=_number(document, "top_p", 1.0, (0.0, 1.0), low_open=True),
            seed=_seed(document),
            stop=_stop(document.get("stop")),
        ),
        stream=stream,
        include_usage=_include_usage(document.get("stream_options"), stream),
        user=_name(document.get("user"), "user"),
        file=_name(file_header or _metadata_file(document.get("metadata")), "metadata.file"),
    )


def identified(request: CompletionRequest, user_header: str | None) -> CompletionRequest:
    """Return the request with the user that the edge names; that one wins over the ``user`` of the body."""
    user = _name(user_header, "X-Daybreak-User")
    return request if user is None else replace(request, user=user)


def groups_of(groups_header: str | None) -> tuple[str, ...]:
    """Return the groups that the edge names: separated by commas.

    >>> groups_of("staff, berlin")
    ('staff', 'berlin')
    """
    return tuple(filter(None, (group.strip() for group in (groups_header or "").split(","))))


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; anything else is a `ApiProblem` with the reason."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, got {_kind(document)}")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_fields(document: Mapping[str, Any]) -> None:
    for name in document:
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise invalid(f"unknown field {name!r}{hint}", name)
    for name, accepted in _UNSUPPORTED.items():
        value = document.get(name, accepted[0])
        if value not in accepted or (isinstance(value, bool) and name != "echo"):
            raise invalid(f"{name}={value!r} is not supported, leave it out", name)


def _check_model(model: Any, known: str) -> None:
    if model is None or model == known:
        return
    if not isinstance(model, str):
        raise invalid(f"model must be a string, got {_kind(model)}", "model")
    message = f"the model {model!r} does not exist, this gateway serves {known!r}"
    raise ApiProblem(404, message, param="model", code="model_not_found")


def _prompt(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        raise invalid(f"prompt must be a string or a list of one string, got {_kind(value)}", "prompt")
    return _utf8(value, "prompt")


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string, got {_kind(value)}", name)
    return _utf8(value, name)


def _utf8(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON's \ud800 escapes can spell half a character
        raise invalid(f"{name} holds half a surrogate pair at character {error.start}", name) from error
    return value


def _name(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string, got {_kind(value)}", name)
    if len(value) > MAX_NAME_CHARACTERS:
        raise invalid(f"{name} must have at most {MAX_NAME_CHARACTERS} characters, got {len(value)}", name)
    return _utf8(value, name)


def _metadata_file(metadata: Any) -> Any:
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise invalid(f"metadata must be an object, got {_kind(metadata)}", "metadata")
    return metadata.get("file")


def _boolean(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{name} must be true or false, got {_kind(value)}", name)
    return bool(value)


def _integer(document: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{name} must be an integer, got {_kind(value)}", name)
    if not low <= value <= high:
        raise invalid(f"{name} must be between {low} and {high}, got {value}", name)
    return value


def _number(
    document: Mapping[str, Any],
    name: str,
    default: float,
    bounds: tuple[float, float],
    *,
    low_open: bool = False,
) -> float:
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"{name} must be a number, got {_kind(value)}", name)
    low, high = bounds
    if not low <= value <= high or (low_open and value == low) or not math.isfinite(value):
        raise invalid(f"{name} must be between {low:g} and {high:g}, got {value}", name)
    return float(value)


def _seed(document: Mapping[str, Any]) -> int | None:
    if document.get("seed") is None:
        return None
    return _integer(document, "seed", 0, 0, (1 << 63) - 1)


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise invalid("stop must be a string or a list of strings, none of them empty", "stop")
    if len(words) > MAX_STOP_STRINGS:
        raise invalid(f"stop takes at most {MAX_STOP_STRINGS} strings, got {len(words)}", "stop")
    return tuple(_utf8(word, "stop") for word in words)


def _include_usage(value: Any, stream: bool) -> bool:
    if value is None:
        return False
    if not stream:
        raise invalid("stream_options needs stream: true", "stream_options")
    if not isinstance(value, dict):
        raise invalid(f"stream_options must be an object, got {_kind(value)}", "stream_options")
    return _boolean(value, "include_usage")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number"}
    return kinds.get(type(value), "null" if value is None else "a number")
