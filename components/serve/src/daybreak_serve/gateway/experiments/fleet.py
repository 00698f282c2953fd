"""Which revision answers whom, and what a gateway knows of each revision: metadata, tokenizer, engines.

On one machine there is one revision with one engine; in a cluster `cluster` brings both up to date. Owns no
HTTP and no watching.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from daybreak_contracts import names
from daybreak_contracts.routing import Routing, choose
from daybreak_model import fim
from daybreak_model.vocabulary import special_ids
from daybreak_serve.gateway.http.requests import RequestLimits
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint, EndpointPool
from daybreak_serve.gateway.pool.prompts import PromptComposer
from daybreak_serve.gateway.pool.readiness import Readiness
from daybreak_serve.gateway.pool.streams import EngineClient
from daybreak_serve.model_metadata import ModelMetadata
from daybreak_serve.modelfolder import Golden

MAX_ANSWER_TOKENS = 4096
"""Of an answer in a conversation: the most that a manifest may allow for completions, which are a few lines. Agents ask
for 8,000 to 64,000, and take an answer that was cut for an error."""


@dataclass(frozen=True)
class RevisionModel:
    """What prompts of one revision are composed with."""

    metadata: ModelMetadata
    composer: PromptComposer
    fallback_prompt: tuple[int, ...]
    """What an engine without a golden completion is asked."""

    @property
    def fim(self) -> fim.FimOrder:
        """Order of a fill-in-the-middle prompt."""
        return self.metadata.fim


def model_of(metadata: ModelMetadata, tokenizer: str) -> RevisionModel:
    """Return the model of model metadata and the text of its tokenizer.json."""
    fallback = metadata.empty_prompt_id
    if fallback is None:
        fallback = special_ids(tokenizer).get(names.END_OF_TEXT, 0)
    return RevisionModel(metadata, PromptComposer(tokenizer, metadata), (fallback,))


@dataclass
class ServedRevision:
    """One model by its digest."""

    digest: str
    pool: EndpointPool
    model: RevisionModel | None = None
    """None until an engine has shown its metadata."""


@dataclass
class ServingFleet:
    """All that requests can be sent to."""

    max_held: int
    chance: random.Random
    engine_timeout_s: float
    revisions: dict[str, ServedRevision] = field(default_factory=dict)
    routing: Routing | None = None

    def route(self, routing: Routing) -> bool:
        """Act by a routing document, unless a newer one is known; tell whether it is acted by."""
        if self.routing is not None and routing.version <= self.routing.version:
            return False
        self.routing = routing
        for digest in named(routing):
            if digest not in self.revisions:
                self.revisions[digest] = ServedRevision(digest, EndpointPool(self.max_held, self.chance))
        for digest in set(self.revisions) - set(named(routing)):
            self.revisions.pop(digest).pool.retire()
        return True

    def choices(self, user: str | None, groups: Collection[str]) -> list[ServedRevision]:
        """Return the revisions that may answer this user, in the order to try them.

        A user of the candidate may get the stable model when the candidate has no engine; never the reverse.
        """
        if self.routing is None:
            return []
        first = chosen(self.routing, user, groups)
        wanted = dict.fromkeys((first, self.routing.stable))
        return [self.revisions[digest] for digest in wanted if digest is not None]

    def limits(self, model_name: str, default_max_tokens: int) -> RequestLimits:
        """Return what a request may ask for: what every revision that may answer it can do."""
        routing = self.routing
        longest = routing.max_new_tokens if routing else default_max_tokens
        models = [revision.model for revision in self.revisions.values() if revision.model is not None]
        room = min((model.metadata.context_length - fim.MIN_PROMPT for model in models), default=longest)
        longest, answer = min(longest, room), min(MAX_ANSWER_TOKENS, room)
        return RequestLimits(model_name, min(default_max_tokens, longest), longest, answer)

    def new_endpoint(self, name: str, address: str, model: RevisionModel, max_concurrency: int) -> Endpoint:
        """Return an engine of a model; it is not asked anything yet."""
        metadata = model.metadata
        golden = (
            Golden(metadata.golden_prompt_ids, metadata.golden_token_ids)
            if metadata.golden_token_ids
            else None
        )
        client = EngineClient(address, timeout_s=self.engine_timeout_s, num_spare=max_concurrency)
        readiness = Readiness(client, golden, model.fallback_prompt)
        return Endpoint(name, client, readiness, max_concurrency)

    async def close(self) -> None:
        """Let all engines go."""
        for revision in self.revisions.values():
            await revision.pool.close()
            if revision.model is not None:
                await revision.model.composer.close()


def named(routing: Routing) -> list[str]:
    """Return the digests of a routing document."""
    return [digest for digest in dict.fromkeys((routing.stable, routing.candidate)) if digest is not None]


def chosen(routing: Routing, user: str | None, groups: Collection[str]) -> str | None:
    """Return the digest for a user.

    People without a name share one bucket and would all change models at one weight, so they get the candidate
    only when everyone does, or as staff.
    """
    if user is None:
        all_or_none = 100 if routing.weight == 100 else 0
        return choose(routing.model_copy(update={"weight": all_or_none}), "", groups)
    return choose(routing, user, groups)
