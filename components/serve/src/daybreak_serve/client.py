"""Asking a gateway: what ``daybreak complete`` does. Owns no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daybreak_contracts.errors import TransientError, UserError


@dataclass(frozen=True)
class Question:
    """A completion to ask for; see ``gateway/requests.py`` for the meaning of the fields."""

    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    user: str | None = None
    file: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the request's JSON: what was not said is left out."""
        said = {
            "prompt": self.prompt,
            "suffix": self.suffix,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stop": list(self.stop) or None,
            "user": self.user,
            "metadata": {"file": self.file} if self.file else None,
        }
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True)
class Completed:
    """An answer."""

    completion_id: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    truncated_tokens: int
    """Prompt tokens that found no place in the context."""


def complete(url: str, question: Question, timeout_s: float = 60.0) -> Completed:
    """Ask the gateway at ``http://host:port``. Its refusal is a UserError, its absence a TransientError."""
    import httpx

    try:
        with httpx.Client(timeout=timeout_s, trust_env=False) as client:
            response = client.post(f"{url.rstrip('/')}/v1/completions", json=question.body())
    except httpx.TransportError as error:
        raise TransientError(
            f"{url}: no gateway answers ({error}), start one with `daybreak serve`"
        ) from error
    if response.status_code != 200:
        kind = TransientError if response.status_code in (429, 503) else UserError
        raise kind(f"{url}: {_message(response)}")
    document = response.json()
    choice, usage = document["choices"][0], document["usage"]
    return Completed(
        completion_id=document["id"],
        text=choice["text"],
        finish_reason=choice["finish_reason"],
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
        truncated_tokens=int(response.headers.get("x-daybreak-truncated", 0)),
    )


def _message(response: Any) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"answered {response.status_code}, is this a gateway?"
