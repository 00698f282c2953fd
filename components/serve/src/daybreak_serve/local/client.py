"""Asking a gateway: what ``daybreak complete`` does. Owns no server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.errors import TransientError, UserError


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


def complete(
    url: str,
    *,
    prompt: str,
    suffix: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    file: str | None = None,
    timeout_s: float = 60.0,
) -> Completed:
    """Ask the gateway at ``http://host:port``. Its refusal is a UserError, its absence a TransientError."""
    import httpx

    body: dict[str, Any] = {
        "prompt": prompt,
        "suffix": suffix,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "metadata": {"file": file} if file else None,
    }
    said = {name: value for name, value in body.items() if value is not None}
    base = url.rstrip("/").removesuffix("/v1")
    try:
        # SSL_CERT_FILE may name authorities of one's own
        verify = httpx.create_ssl_context() if base.startswith("https:") else True
        with httpx.Client(timeout=timeout_s, trust_env=False, verify=verify) as client:
            response = client.post(f"{base}/v1/completions", json=said, headers=_authorization(os.environ))
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise UserError(f"{url}: not a URL, use http://host:port") from error
    except httpx.TransportError as error:
        raise TransientError(
            f"{url}: no gateway answers ({error}), start one with `daybreak serve`"
        ) from error
    return _completed(url, response)


def _authorization(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the header with the key of ``DAYBREAK_API_KEY``, if there is one."""
    key = environment.get("DAYBREAK_API_KEY", "")
    return {"authorization": f"Bearer {key}"} if key else {}


def _completed(url: str, response: Any) -> Completed:
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
