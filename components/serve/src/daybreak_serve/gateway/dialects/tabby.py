"""Tabby's client protocol: ``segments`` in ``/v1/completions``, and its events. Pure.

By TabbyML/tabby ``crates/tabby/src/services/completion.rs`` and ``event.rs``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_serve.gateway.dialects.dialect import CompletionChoice, RequestHeaders
from daybreak_serve.gateway.dialects.openai import OpenAiCompletions
from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage, as_json
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read

EVENTS: Mapping[str, str] = {"view": "shown", "select": "accepted", "dismiss": "dismissed"}
SNIPPETS = (
    "relevant_snippets_from_recently_opened_files",
    "relevant_snippets_from_changed_files",
    "declarations",
)
"""The least near first, as our prompt wants them; each list has its best first."""


class TabbyCompletions(OpenAiCompletions):
    """``/v1/completions`` with segments."""

    name = "tabby"

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = parse_object(body)
        segments = document.get("segments")
        if not isinstance(segments, dict) or not isinstance(segments.get("prefix"), str):
            raise invalid("segments must be an object with prefix", "segments")
        path = segments.get("filepath")
        context = [file for name in SNIPPETS for file in _files(segments.get(name))]
        found = {
            "prompt": segments["prefix"],
            "suffix": segments.get("suffix") or "",
            "user": document.get("user"),
            "temperature": document.get("temperature"),
            "seed": document.get("seed"),
            "path": path,
            "context": context[-64:] or None,
            "metadata": {"file": path} if path else None,
        }
        return read(found, headers.file, limits, "text")

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return id and texts."""
        found = [{"index": choice.index, "text": choice.text} for choice in choices]
        return as_json({"id": identity.completion_id, "choices": found})

    def problem(self, problem: ApiProblem) -> bytes:
        """Return OpenAI's error object; Tabby's clients read the status alone."""
        return problem.body()


def is_tabby(document: Any) -> bool:
    """Tell whether a body of ``/v1/completions`` is Tabby's."""
    return isinstance(document, dict) and "segments" in document and "prompt" not in document


def event_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return one of Tabby's events in our words; None for one that says nothing of a suggestion."""
    kind = EVENTS.get(str(document.get("type")))
    if kind is None or not isinstance(document.get("completion_id"), str):
        return None
    return {"completion_id": document["completion_id"], "event": kind}


def translated(body: bytes) -> bytes | None:
    """Return an event's body in our words; None for one of Tabby's with nothing to note."""
    if b'"type"' not in body or b'"event' in body:
        return body
    document = parse_object(body)
    if "type" not in document:
        return body
    found = event_of(document)
    return None if found is None else json.dumps(found).encode()


def _files(snippets: Any) -> list[dict[str, Any]]:
    if not isinstance(snippets, list):
        return []
    return [
        {"path": snippet.get("filepath"), "text": snippet.get("body")}
        for snippet in reversed(snippets)
        if isinstance(snippet, dict)
    ]
