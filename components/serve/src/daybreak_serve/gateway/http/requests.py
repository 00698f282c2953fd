"""Completion requests: bytes to a value, or an `ApiProblem` that names field, value and remedy. Pure.

Takes OpenAI's ``/v1/completions`` shape, as a strict pydantic model; other shapes are brought into it (`dialects`).
Strict about what a field means, liberal about limits: what is more than can be had is cut, what is not known is left
out, and the answer says so in a header.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daybreak_model.repository_context import NO_SURROUNDINGS, ContextFile, Surroundings
from daybreak_serve.engine.protocol import MAX_STOP_STRINGS, GenerationOptions
from daybreak_serve.gateway.http.manners import CompletionMode
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.sentinels import decompose

MAX_NAME_CHARACTERS = 512
"""Of ``user`` and file names; longer ones are no names."""
MAX_CONTEXT_FILES = 64
MAX_SEED = (1 << 63) - 1
UNBOUND = -1
"""``max_tokens`` for as many as there can be, of LM Studio, LangChain and llama.cpp."""
MAX_CHOICES = 16
"""Texts of one answer: prompts times ``n``."""
SHOWN_NAMES, SHOWN_NAME_CHARACTERS = 8, 40
"""Unknown fields that a warning names: a stranger's may be a megabyte long."""
HALF_A_CHARACTER = "holds half a surrogate pair, send whole characters"


@dataclass(frozen=True)
class RequestLimits:
    """What a gateway allows."""

    model_name: str
    default_max_tokens: int
    max_tokens: int
    max_answer_tokens: int = 0
    """Of an answer in a conversation, where that is more."""


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation."""

    role: str
    content: str
    is_begun: bool = False
    """The last one, of the model: it goes on from there instead of saying another."""


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
    mode: CompletionMode | None = None
    """Where the text ends, if the request says."""
    num_choices: int = 1
    more_prompts: tuple[str, ...] = ()
    echo: str | None = None
    """What stands before the text: the prompt as it was sent, if that was asked for."""
    is_text: bool = False
    """The prompt is text, whatever marks it begins with."""
    messages: tuple[ChatMessage, ...] = ()
    """A conversation instead of a prompt."""
    max_tokens_cut: bool = False
    """More tokens were asked for than there can be."""
    warnings: tuple[str, ...] = ()
    """What was not done as it was asked."""

    def singles(self) -> list[CompletionRequest]:
        """Return one request a text, in OpenAI's order: all texts of the first prompt, then of the next.

        A seed counts up from text to text, so that equal requests have equal answers and ``n`` texts differ.
        """
        if self.num_choices == 1 and not self.more_prompts:
            return [self]
        found = []
        for prompt in (self.prompt, *self.more_prompts):
            composed = composed_of(self, prompt)
            for number in range(self.num_choices):
                seed = None if self.options.seed is None else (self.options.seed + number) & MAX_SEED
                options = replace(self.options, seed=seed)
                found.append(replace(composed, options=options, num_choices=1, more_prompts=()))
        return found


def composed_of(request: CompletionRequest, prompt: str) -> CompletionRequest:
    """Return the request with this prompt, taken apart where an editor has composed it itself."""
    if request.echo is not None:
        request = replace(request, echo=prompt)
    found = None if request.suffix or request.is_text else decompose(prompt)
    if found is None:
        return replace(request, prompt=prompt)
    around = Surroundings(
        found.files or request.around.files,
        found.path or request.around.path,
        found.repository or request.around.repository,
    )
    return replace(request, prompt=found.prefix, suffix=found.suffix, around=around)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _whole_characters(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON's \ud800 escapes can spell half a character
        raise ValueError(HALF_A_CHARACTER) from error
    return value


Text = Annotated[str, AfterValidator(_whole_characters)]


def _whole_number(value: Any) -> Any:
    """Return a number without a fraction as an integer: JSON has one kind of number, and some languages write 64.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
NameText = Annotated[Text, Field(max_length=MAX_NAME_CHARACTERS)]
StopText = Annotated[Text, Field(min_length=1)]
StopTexts = Annotated[tuple[StopText, ...], BeforeValidator(_as_tuple)]
Prompts = Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_CHOICES), BeforeValidator(_as_tuple)]
IGNORED = frozenset({"best_of", "logprobs", "presence_penalty", "frequency_penalty", "logit_bias", "top_k"})
"""Fields of OpenAI and its kin that change nothing here; with a value that asks for something the answer says so."""
ASKS_FOR_NOTHING: tuple[Any, ...] = (None, 0, False, 1, {}, [], -1)


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


class CompletionManners(BaseModel):
    """How the text is to behave in an editor."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    mode: CompletionMode | None = None


class CompletionBody(BaseModel):
    """The JSON object of a request, as it is sent. null is what is left out, but for the prompt."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    model: str | None = None
    prompt: Prompts = ("",)
    suffix: Text | None = None
    max_tokens: Annotated[WholeNumber, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[WholeNumber, Field(ge=0, le=MAX_SEED)] | None = None
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
    completion: CompletionManners | None = None
    n: Annotated[WholeNumber, Field(ge=1, le=MAX_CHOICES)] | None = None
    echo: bool | None = None


_A_NAME = f"a string of at most {MAX_NAME_CHARACTERS} characters"
RULES: Mapping[str, str] = {
    "model": "a string",
    "prompt": f"a string or a list of 1 to {MAX_CHOICES} strings, not of token ids",
    "suffix": "a string",
    "max_tokens": "an integer of at least 1",
    "temperature": "a number between 0 and 2",
    "top_p": "a number between 0 and 1, not 0",
    "seed": f"an integer between 0 and {MAX_SEED}",
    "stop": "a string or a list of strings, none of them empty",
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
    "completion": "an object",
    "completion.mode": "Line or Block",
    "n": f"an integer between 1 and {MAX_CHOICES}",
    "echo": "true or false",
}
"""What each field must be, as its problem says it."""


KNOWN_FIELDS = tuple(CompletionBody.model_fields)


def parse(
    body: bytes, file_header: str | None, limits: RequestLimits, prompt_header: str | None = None
) -> CompletionRequest:
    """Return the request of a body and two headers, or raise an `ApiProblem`.

    ``X-Daybreak-File`` wins over ``metadata.file``; ``X-Daybreak-Prompt`` says ``composed`` or ``text`` where the
    rule of `sentinels` would be wrong. ``temperature`` is 0 unless asked for: an editor wants the likeliest.
    """
    return read(parse_object(body), file_header, limits, prompt_header)


def read(
    document: dict[str, Any], file_header: str | None, limits: RequestLimits, prompt_header: str | None = None
) -> CompletionRequest:
    """Return the request of a JSON object; see `parse`."""
    if document.get("max_tokens") == UNBOUND:
        document = {**document, "max_tokens": limits.max_tokens}
    try:
        found = CompletionBody.model_validate(document)
    except ValidationError as error:
        raise problem_of(error, RULES) from error
    if found.stream_options is not None and not found.stream:
        raise invalid("stream_options needs stream: true", "stream_options")
    num_choices = found.n or 1
    if num_choices * len(found.prompt) > MAX_CHOICES:
        asked = f"{len(found.prompt)} prompts with n={num_choices}"
        raise invalid(f"prompts times n must be at most {MAX_CHOICES}, got {asked}; send fewer at once", "n")
    stop, asked_tokens = found.stop or (), found.max_tokens or limits.default_max_tokens
    named_file = found.metadata.file if found.metadata else None
    request = CompletionRequest(
        prompt=found.prompt[0],
        suffix=found.suffix,
        options=GenerationOptions(
            max_tokens=min(asked_tokens, limits.max_tokens),
            temperature=found.temperature or 0.0,
            top_p=1.0 if found.top_p is None else found.top_p,
            seed=found.seed,
            stop=stop[:MAX_STOP_STRINGS],
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
        mode=found.completion.mode if found.completion else None,
        num_choices=num_choices,
        more_prompts=found.prompt[1:],
        echo=found.prompt[0] if found.echo else None,
        is_text=prompt_header == "text",
        max_tokens_cut=asked_tokens > limits.max_tokens,
        warnings=tuple(_warnings(found, limits)),
    )
    return _composed_as_said(request, prompt_header)


def _composed_as_said(request: CompletionRequest, prompt_header: str | None) -> CompletionRequest:
    """Take the first prompt apart where it is composed; further ones are when they are asked."""
    if prompt_header not in (None, "composed", "text"):
        raise invalid("X-Daybreak-Prompt must be composed or text", "X-Daybreak-Prompt")
    found = request if request.more_prompts else composed_of(request, request.prompt)
    if prompt_header == "composed" and found == request:
        known = "a mark for the prefix first, then those for suffix and middle, all of one family"
        raise invalid(
            f"X-Daybreak-Prompt says composed, but the prompt has no marks that are known: {known}", "prompt"
        )
    return found


def _warnings(found: CompletionBody, limits: RequestLimits) -> Iterator[str]:
    """Yield what is not done as asked; texts of the request are shortened and made harmless for a header."""
    if found.max_tokens is not None and found.max_tokens > limits.max_tokens:
        yield f"max_tokens was cut to {limits.max_tokens}"
    if found.stop is not None and len(found.stop) > MAX_STOP_STRINGS:
        yield f"only the first {MAX_STOP_STRINGS} stop strings count"
    if found.model not in (None, "", limits.model_name):
        yield f"{limits.model_name} answers for model {_printable(str(found.model))}"
    extra = found.model_extra or {}
    ignored = [name for name, value in extra.items() if name in IGNORED and value not in ASKS_FOR_NOTHING]
    unknown = [name for name in extra if name not in IGNORED]
    if ignored:
        yield f"ignored: {', '.join(sorted(ignored))}"
    if unknown:
        shown = [_with_guess(name) for name in unknown[:SHOWN_NAMES]]
        more = f" and {len(unknown) - SHOWN_NAMES} more" if len(unknown) > SHOWN_NAMES else ""
        yield f"unknown and ignored: {', '.join(shown)}{more}"


def _with_guess(name: str) -> str:
    """Return an unknown field's name with the known one that was perhaps meant."""
    shown = _printable(name)
    near = difflib.get_close_matches(shown, KNOWN_FIELDS, n=1, cutoff=0.8)
    return f"{shown} (did you mean {near[0]}?)" if near else shown


def _printable(text: str) -> str:
    cut = text[:SHOWN_NAME_CHARACTERS]
    return "".join(character if " " < character <= "~" else "?" for character in cut)


def identified(request: CompletionRequest, user_header: str | None) -> CompletionRequest:
    """Return the request with the user that the edge names; that one wins over the ``user`` of the body."""
    user = _header_name(user_header, "X-Daybreak-User")
    return request if user is None else replace(request, user=user)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; anything else is an `ApiProblem` with the reason."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not valid JSON: {error}" if body else "the body is empty") from error
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, got {_shown(document)}")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _header_name(value: str | None, name: str) -> str | None:
    if value and len(value) > MAX_NAME_CHARACTERS:
        raise invalid(f"{name} must be {_A_NAME}, got {len(value)}; shorten it", name)
    return value or None


def problem_of(found: ValidationError, rules: Mapping[str, str]) -> ApiProblem:
    """Return the answer to the first field that is wrong."""
    error = found.errors(include_url=False)[0]
    place = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    if error["type"] in ("string_unicode", "value_error"):
        return invalid(f"{place} {HALF_A_CHARACTER}", place)
    got = "nothing" if error["type"] == "missing" else _shown(error["input"])
    return invalid(f"{place} must be {rules[place]}, got {got}", place)


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
