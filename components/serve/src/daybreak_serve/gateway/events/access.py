"""The access log: one line of JSON a request, with what on-call people ask for and never a word of anybody's code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_serve.gateway.events.journal import user_hash
from daybreak_serve.gateway.http.problems import ApiProblem


@dataclass(frozen=True)
class AccessRecord:
    """One request that was read."""

    request_id: str
    dialect: str
    user: str | None
    """A pseudonym."""
    model_digest: str
    status: int
    outcome: str
    """``ok``, or the code of the problem, or why it was given up."""
    num_prompt_tokens: int
    num_tokens: int
    ttft_s: float | None
    seconds: float


class AccessLog:
    """Writes lines."""

    def __init__(self, write: Callable[[str], object], wall_clock: Callable[[], float]) -> None:
        self._write = write
        self._wall_clock = wall_clock

    def answered(self, record: AccessRecord) -> None:
        """Note a request that was answered or given up."""
        self._line(
            {
                "id": record.request_id,
                "dialect": record.dialect,
                "user": record.user,
                "model": names.short(record.model_digest) if record.model_digest else "",
                "status": record.status,
                "outcome": record.outcome,
                "promptTokens": record.num_prompt_tokens,
                "tokens": record.num_tokens,
                "ttftMs": None if record.ttft_s is None else round(1000 * record.ttft_s, 1),
                "ms": round(1000 * record.seconds, 1),
            }
        )

    def refused(self, request_id: str, dialect: str, problem: ApiProblem, seconds: float) -> None:
        """Note a request that could not be read; the field that was wrong, not its value."""
        self._line(
            {
                "id": request_id,
                "dialect": dialect,
                "status": problem.status,
                "outcome": problem.code or problem.type,
                "field": problem.param,
                "ms": round(1000 * seconds, 1),
            }
        )

    def denied(self, path: str, problem: ApiProblem, about: Mapping[str, str]) -> None:
        """Note a request that was not let in: why, and who it seems to be, the user by the pseudonym."""
        named = {**about, "user": user_hash(about["user"])} if "user" in about else about
        why = {"outcome": problem.code or problem.type, "reason": problem.message}
        self._line({"path": path[:100], "status": problem.status, **why, **named})

    def _line(self, document: dict[str, object]) -> None:
        self._write(json.dumps({"time": round(self._wall_clock(), 3), **document}) + "\n")
