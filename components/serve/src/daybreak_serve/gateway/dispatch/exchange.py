"""One HTTP request for completions and the texts that it asks for. Owns no work: `completions` does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from daybreak_model.fim import ComposedPrompt
from daybreak_model.repository_context import ALONE, NO_SURROUNDINGS
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect
from daybreak_serve.gateway.experiments.fleet import RevisionModel
from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage
from daybreak_serve.gateway.http.asgi_io import ResponseWriter
from daybreak_serve.gateway.http.cancellation import Cancellation, CancellationGroup
from daybreak_serve.gateway.http.manners import CompletionShaper
from daybreak_serve.gateway.http.problems import engine_failed
from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.gateway.pool.prompts import fitted

NO_PROMPT = ComposedPrompt((), 0)
TRUNCATED_HEADER = "x-daybreak-truncated"
"""Number of prompt tokens that were dropped; absent when none was."""
SUFFIX_HEADER = "x-daybreak-suffix"
CONTEXT_HEADER = "x-daybreak-context"
"""``ignored`` where the model never learned to fill in the middle."""
WARNING_HEADER = "x-daybreak-warning"
MAX_TOKENS_HEADER = "x-daybreak-max-tokens"
"""The number that was taken where more was asked for."""
REQUEST_ID_HEADER = "x-request-id"


@dataclass
class Flight:
    """One text on its way."""

    request: CompletionRequest
    cancellation: Cancellation
    index: int
    identity: CompletionIdentity
    shaper: CompletionShaper
    prompt: ComposedPrompt = NO_PROMPT
    text: list[str] = field(default_factory=list)
    """What the client sees of it."""
    reason: str = ""
    stop: str | None = None
    """The asked stop string that ended it."""
    digest: str = ""
    """Of the model that was asked last; empty before any was."""
    model: RevisionModel | None = None
    has_failed: bool = False
    engine_has_failed: bool = False
    """Whether an engine of that model, believed to be well, brought no answer."""
    model_began_s: float = 0.0
    """When it became that model's request: another one may have been asked before."""
    sent: list[str] = field(default_factory=list)
    """What a stream's client has of it, piece by piece."""
    behind: str = ""
    """What of that another engine has still to tell again."""

    def begin(self, model: RevisionModel, prompt: ComposedPrompt) -> None:
        """Begin the text, anew where an earlier engine told a part of it."""
        self.model, self.prompt = model, prompt
        self.text, self.stop, self.cancellation.num_tokens = [], None, 0
        self.shaper = CompletionShaper(self.request.prompt, self.request.suffix, self.request.mode)
        self.behind = "".join(self.sent)

    def choice(self, text: str, reason: str | None) -> CompletionChoice:
        """Return a text of it, or a piece, as a dialect tells it now."""
        num_prompt = len(self.prompt.token_ids)
        return CompletionChoice(self.index, text, reason, len(self.sent), num_prompt, self.stop)

    def unsent(self, text: str, *, is_over: bool) -> str:
        """Return what of a piece the client does not have; a text that is another than was sent is an `ApiProblem`."""
        if not self.behind:
            return text
        length = min(len(text), len(self.behind))
        is_same = text[:length] == self.behind[:length]
        self.behind = self.behind[length:]
        if not is_same or (is_over and self.behind):
            raise engine_failed("it went away, and another one tells another text")
        return text[length:]


@dataclass
class Exchange:
    """One HTTP request and the texts that it asks for."""

    request: CompletionRequest
    dialect: Dialect
    answer: ResponseWriter
    groups: tuple[str, ...]
    owner: str
    flights: list[Flight]
    began_s: float
    ttft_s: float | None = None
    outcome: str = ""

    @property
    def cancellation(self) -> CancellationGroup:
        return CancellationGroup([flight.cancellation for flight in self.flights])

    @property
    def identity(self) -> CompletionIdentity:
        return self.flights[0].identity

    @property
    def usage(self) -> Usage:
        """Tokens of all texts; a prompt counts once, as OpenAI counts it."""
        prompts = self.flights[:: self.request.num_choices]
        return Usage(
            sum(len(flight.prompt.token_ids) for flight in prompts),
            sum(flight.cancellation.num_tokens for flight in self.flights),
        )


def timed(exchange: Exchange, now_s: float) -> Usage:
    """Return tokens and times of an exchange that ends now."""
    return replace(exchange.usage, first_s=exchange.ttft_s or 0.0, total_s=now_s - exchange.began_s)


def repeatable(request: CompletionRequest, draw: Callable[[int], int]) -> CompletionRequest:
    """Return a stream's request with a seed where it has none: another engine can then tell the same text again."""
    options = request.options
    if not request.stream or options.temperature == 0 or options.seed is not None:
        return request
    return replace(request, options=replace(options, seed=draw(63)))


def headers_of(exchange: Exchange) -> dict[str, str]:
    """Return what is to be said about request and prompt."""
    flight, request = exchange.flights[0], exchange.request
    found = {REQUEST_ID_HEADER: exchange.identity.completion_id}
    asked = flight.request.options
    taken = fitted(asked, flight.prompt, flight.model.metadata) if flight.model else asked
    if request.max_tokens_cut or taken != asked:
        found[MAX_TOKENS_HEADER] = str(taken.max_tokens)
    if request.warnings:
        found[WARNING_HEADER] = "; ".join(request.warnings)
    if flight.prompt.num_dropped:
        found[TRUNCATED_HEADER] = str(flight.prompt.num_dropped)
    fim = flight.model.fim if flight.model else "None"
    if flight.request.suffix is not None and fim == "None":
        found[SUFFIX_HEADER] = "ignored"
    around = flight.request.around
    if around != NO_SURROUNDINGS and flight.model and flight.model.metadata.layout == ALONE:
        found[CONTEXT_HEADER] = "ignored"
    elif flight.prompt.num_files < len(around.files):
        found[CONTEXT_HEADER] = f"{flight.prompt.num_files} of {len(around.files)} files"
    return found
