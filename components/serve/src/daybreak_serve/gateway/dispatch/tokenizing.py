"""Text to tokens and back, and how many a conversation has: nothing is generated.

llama.cpp's ``/tokenize``, ``/detokenize`` and ``/apply-template``, vLLM's of the same names, Anthropic's
``/v1/messages/count_tokens`` and OpenAI's ``/v1/responses/input_tokens``. Under the same limits and in the same log as
completions, one request at a time: a megabyte of text takes a core for seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daybreak_serve.gateway.auth.caller import caller_of
from daybreak_serve.gateway.dialects import token_bodies
from daybreak_serve.gateway.dialects.dialect import Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.routes import MESSAGES, RESPONSES, TOKEN_PATHS
from daybreak_serve.gateway.dispatch.completions import FILE_HEADER, PROMPT_HEADER, Parts
from daybreak_serve.gateway.dispatch.exchange import REQUEST_ID_HEADER
from daybreak_serve.gateway.events.access import AccessRecord
from daybreak_serve.gateway.events.journal import user_hash
from daybreak_serve.gateway.experiments.fleet import RevisionModel, ServedRevision
from daybreak_serve.gateway.http import problems
from daybreak_serve.gateway.http.answers import as_json
from daybreak_serve.gateway.http.asgi_io import ClientDisconnected, header, read_body
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import RequestLimits
from daybreak_serve.gateway.http.turns import Turn


@dataclass(frozen=True)
class TokenQuestion:
    """A body, and whom it is asked of."""

    body: bytes
    headers: RequestHeaders
    limits: RequestLimits
    model: RevisionModel


TURN_S = 5.0
"""How long a question may wait for its turn: about as long as the longest one before it may take."""
Ask = Callable[[TokenQuestion], Awaitable[tuple[dict[str, Any], int]]]
"""Returns the answer, and how many tokens it is about."""


class TokenEndpoints:
    """Handlers of a gateway."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        max_held = parts.settings.max_held
        self._turn = Turn("questions about tokens", wait_s=TURN_S, max_waiting=max_held)

    def routes(self) -> list[Route]:
        """Return their paths, also below any base."""
        return [
            Route(base + path, self._endpoint(path, dialect), methods=["POST"])
            for path, dialect in TOKEN_PATHS.items()
            for base in ("", "/{base:path}")
        ]

    def _endpoint(self, path: str, dialect: Dialect) -> Callable[[Request], Awaitable[Response]]:
        ask, name = ASKED[path], path.strip("/")

        async def answer(request: Request) -> Response:
            parts, began_s, request_id = self._parts, self._parts.clock(), self._parts.new_id()
            try:
                body = await read_body(request.receive, request.scope, parts.settings.body_limit_bytes)
                revision = self._revision_of(request)
                found, num_tokens = await self._answered(request, body, revision, ask)
            except ClientDisconnected:
                return Response(status_code=499)
            except ApiProblem as problem:
                parts.access.refused(request_id, name, problem, parts.clock() - began_s)
                told = dialect.problem(problem)
                return Response(told, problem.status, problem.headers, "application/json")
            user = user_hash(caller_of(request.scope).user)
            seconds = parts.clock() - began_s
            record = AccessRecord(
                request_id, name, user, revision.digest, 200, "ok", num_tokens, 0, None, seconds
            )
            parts.access.answered(record)
            return Response(as_json(found), 200, {REQUEST_ID_HEADER: request_id}, "application/json")

        return answer

    def _revision_of(self, request: Request) -> ServedRevision:
        caller = caller_of(request.scope)
        for revision in self._parts.fleet.choices(caller.user, caller.groups):
            if revision.model is not None:
                return revision
        raise problems.no_engine("no engine has told its vocabulary yet")

    async def _answered(
        self, request: Request, body: bytes, revision: ServedRevision, ask: Ask
    ) -> tuple[dict[str, Any], int]:
        parts, scope, model = self._parts, request.scope, revision.model
        assert model is not None
        limits = parts.fleet.limits(parts.settings.model_name, parts.settings.default_max_tokens)
        headers = RequestHeaders(header(scope, FILE_HEADER), header(scope, PROMPT_HEADER))
        caller = caller_of(scope)
        owner = caller.user or (scope.get("client") or ("",))[0]
        admission = parts.consumptions.enter(owner, caller.groups, parts.moment())
        try:
            async with self._turn.taken():
                return await ask(TokenQuestion(body, headers, limits, model))
        finally:
            parts.consumptions.leave(admission)


async def _tokenized(question: TokenQuestion) -> tuple[dict[str, Any], int]:
    """Answer in both servers' words at once: llama.cpp's ``tokens``, vLLM's ``count`` and ``max_model_len``."""
    asked, composer = token_bodies.tokenize_body(question.body), question.model.composer
    if asked.talk is not None:
        request = token_bodies.conversation(asked.talk, question.limits)
        ids = await composer.ids_of_request(request)
    else:
        ids = await composer.ids_of_text(asked.text, with_marks=asked.with_marks, with_begin=asked.with_begin)
    tokens: list[Any] = ids
    found: dict[str, Any] = {"count": len(ids), "max_model_len": question.model.metadata.context_length}
    if asked.with_pieces or asked.with_strings:
        pieces = [token_bodies.piece_of(data) for data in composer.bytes_of(ids)]
        if asked.with_pieces:
            tokens = [{"id": index, "piece": piece} for index, piece in zip(ids, pieces, strict=True)]
        if asked.with_strings:
            found["token_strs"] = composer.spelled(ids)
    return found | {"tokens": tokens}, len(ids)


async def _detokenized(question: TokenQuestion) -> tuple[dict[str, Any], int]:
    """Answer with llama.cpp's ``content``, which is vLLM's ``prompt``."""
    composer = question.model.composer
    ids = token_bodies.detokenize_body(question.body, question.model.metadata.vocabulary_size)
    text = b"".join(composer.bytes_of(ids)).decode("utf-8", "replace")
    return {"content": text, "prompt": text}, len(ids)


async def _rendered(question: TokenQuestion) -> tuple[dict[str, Any], int]:
    request = token_bodies.conversation(token_bodies.template_body(question.body), question.limits)
    return {"prompt": await question.model.composer.text_of(request.messages)}, 0


async def _counted_messages(question: TokenQuestion) -> tuple[dict[str, Any], int]:
    num_tokens = await _count(question, MESSAGES)
    return {"input_tokens": num_tokens}, num_tokens


async def _counted_response(question: TokenQuestion) -> tuple[dict[str, Any], int]:
    num_tokens = await _count(question, RESPONSES)
    return {"object": "response.input_tokens", "input_tokens": num_tokens}, num_tokens


async def _count(question: TokenQuestion, dialect: Dialect) -> int:
    request = dialect.read(question.body, question.headers, question.limits)
    return len(await question.model.composer.ids_of_request(request))


ASKED: Mapping[str, Ask] = {
    "/tokenize": _tokenized,
    "/detokenize": _detokenized,
    "/apply-template": _rendered,
    "/messages/count_tokens": _counted_messages,
    "/responses/input_tokens": _counted_response,
}
