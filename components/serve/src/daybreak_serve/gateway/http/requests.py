"""Completion requests: bytes to a value, or an `ApiProblem` that names field, value and remedy. Pure.

Takes OpenAI's ``/v1/completions`` shape, as a strict pydantic model. What it cannot do it refuses rather than ignores.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daybreak_model.repository_context import NO_SURROUNDINGS, ContextFile, Surroundings
from daybreak_serve.engine.protocol import MAX_STOP_STRINGS, GenerationOptions
from daybreak_serve.gateway.http.problems import ApiProblem, invalid

MAX_NAME_CHARACTERS = 512
"""Of ``user`` and file names; longer ones are no names."""
MAX_CONTEXT_FILES = 64
MAX_SEED = (1 << 63) - 1
HALF_A_CHARACTER = "holds half a surrogate pair, send whole characters"


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
    around: Surroundings = NO_SURROUNDINGS
    """Other files of the repository, and the path of this one."""


def _only_prompt(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _whole_characters(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON's \ud800 escapes can spell half a character
        raise ValueError(HALF_A_CHARACTER) from error
    return value


Text = Annotated[str, AfterValidator(_whole_characters)]
NameText = Annotated[Text, Field(max_length=MAX_NAME_CHARACTERS)]
StopText = Annotated[Text, Field(min_length=1)]
StopTexts = Annotated[tuple[StopText, ...], Field(max_length=MAX_STOP_STRINGS), BeforeValidator(_as_tuple)]
Zero = Annotated[float, Field(ge=0, le=0)]
One = Annotated[float, Field(ge=1, le=1)]


class StreamOptions(BaseModel):
    """OpenAI's ``stream_options``; what it may hold besides asks for nothing here."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    include_usage: bool | None = None


class RequestMetadata(BaseModel):
    """OpenAI's ``metadata``: free for clients, of which the file's name is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    file: NameText | None = None


class ContextBody(BaseModel):
    """Another file of the repository."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    path: NameText
    text: Text


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class CompletionBody(BaseModel):
    """The JSON object of a request, as it is sent. null is what is left out, but for the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str | None = None
    prompt: Annotated[Text, BeforeValidator(_only_prompt)] = ""
    suffix: Text | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    stop: StopTexts | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: NameText | None = None
    metadata: RequestMetadata | None = None
    context: (
        Annotated[tuple[ContextBody, ...], Field(max_length=MAX_CONTEXT_FILES), BeforeValidator(_listed)]
        | None
    ) = None
    path: NameText | None = None
    repository: NameText | None = None
    # Accepted only with the value that asks for nothing.
    n: One | None = None
    best_of: One | None = None
    logprobs: None = None
    echo: Literal[False] | None = None
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None


UNSUPPORTED = frozenset(
    {"n", "best_of", "logprobs", "echo", "presence_penalty", "frequency_penalty", "logit_bias"}
)
_A_NAME = f"a string of at most {MAX_NAME_CHARACTERS} characters"
RULES: Mapping[str, str] = {
    "model": "a string",
    "prompt": "a string or a list of one string",
    "suffix": "a string",
    "max_tokens": "an integer between 1 and {max_tokens}",
    "temperature": "a number between 0 and 2",
    "top_p": "a number between 0 and 1, not 0",
    "seed": f"an integer between 0 and {MAX_SEED}",
    "stop": f"a string or a list of at most {MAX_STOP_STRINGS} strings, none of them empty",
    "stream": "true or false",
    "stream_options": "an object",
    "stream_options.include_usage": "true or false",
    "user": _A_NAME,
    "metadata": "an object",
    "metadata.file": _A_NAME,
    "context": f"a list of at most {MAX_CONTEXT_FILES} objects with path and text",
    "context.path": _A_NAME,
    "context.text": "a string",
    "path": _A_NAME,
    "repository": _A_NAME,
}
"""What each field must be, as its problem says it."""


def parse(body: bytes, file_header: str | None, limits: RequestLimits) -> CompletionRequest:
    """Return the request of a body and the ``X-Daybreak-File`` header, or raise an `ApiProblem`.

    The header wins over ``metadata.file``. ``temperature`` is 0 unless asked for: an editor wants the likeliest.
    """
    document = parse_object(body)
    try:
        found = CompletionBody.model_validate(document)
    except ValidationError as error:
        raise _problem_of(error, limits) from error
    _check_model(found.model, limits.model_name)
    max_tokens = limits.default_max_tokens if found.max_tokens is None else found.max_tokens
    if max_tokens > limits.max_tokens:
        raise _broken_rule("max_tokens", max_tokens, limits)
    if found.stream_options is not None and not found.stream:
        raise invalid("stream_options needs stream: true", "stream_options")
    named_file = found.metadata.file if found.metadata else None
    return CompletionRequest(
        prompt=found.prompt,
        suffix=found.suffix,
        options=GenerationOptions(
            max_tokens=max_tokens,
            temperature=found.temperature or 0.0,
            top_p=1.0 if found.top_p is None else found.top_p,
            seed=found.seed,
            stop=found.stop or (),
        ),
        stream=bool(found.stream),
        include_usage=bool(found.stream_options and found.stream_options.include_usage),
        user=found.user or None,
        file=_header_name(file_header, "X-Daybreak-File") or named_file or None,
        around=Surroundings(
            tuple(ContextFile(file.path, file.text) for file in found.context or ()),
            found.path or None,
            found.repository or None,
        ),
    )


def identified(request: CompletionRequest, user_header: str | None) -> CompletionRequest:
    """Return the request with the user that the edge names; that one wins over the ``user`` of the body."""
    user = _header_name(user_header, "X-Daybreak-User")
    return request if user is None else replace(request, user=user)


def groups_of(groups_header: str | None) -> tuple[str, ...]:
    """Return the groups that the edge names: separated by commas.

    >>> groups_of("staff, berlin")
    ('staff', 'berlin')
    """
    return tuple(filter(None, (group.strip() for group in (groups_header or "").split(","))))


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; anything else is an `ApiProblem` with the reason."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, got {_shown(document)}")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_model(model: str | None, known: str) -> None:
    if model is None or model == known:
        return
    message = f"the model {model!r} does not exist, this gateway serves {known!r}"
    raise ApiProblem(404, message, param="model", code="model_not_found")


def _header_name(value: str | None, name: str) -> str | None:
    if value and len(value) > MAX_NAME_CHARACTERS:
        raise invalid(f"{name} must be {_A_NAME}, got {len(value)}; shorten it", name)
    return value or None


def _problem_of(found: ValidationError, limits: RequestLimits) -> ApiProblem:
    """Return the answer to the first field that is wrong."""
    error = found.errors(include_url=False)[0]
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, CompletionBody.model_fields, n=1)
        return invalid(
            f"unknown field {field!r}, {f'did you mean {near[0]!r}?' if near else 'leave it out'}", field
        )
    if field in UNSUPPORTED:
        return invalid(f"{field}={error['input']!r} is not supported, leave it out", field)
    place = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    if error["type"] in ("string_unicode", "value_error"):
        return invalid(f"{place} {HALF_A_CHARACTER}", place)
    return _broken_rule(place, error["input"], limits)


def _broken_rule(place: str, value: Any, limits: RequestLimits) -> ApiProblem:
    rule = RULES[place].format(max_tokens=limits.max_tokens)
    return invalid(f"{place} must be {rule}, got {_shown(value)}", place)


def _shown(value: Any) -> str:
    """Return a number as it is, of all else the kind: texts are people's code, and long."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return str(value)[:40]
    kinds: dict[type, str] = {dict: "an object", list: "a list", tuple: "a list"}
    if isinstance(value, str):
        return "an empty string" if not value else f"a string of {len(value)} characters"
    return kinds.get(type(value), "null")
