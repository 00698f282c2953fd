"""Bodies that belong to another path: told where, instead of an answer to an empty prompt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_serve.gateway.http.problems import invalid

BELONGS: Mapping[str, str] = {
    "messages": "/v1/chat/completions (Ollama's at /api/chat)",
    "input_prefix": "/infill",
    "input_suffix": "/infill",
    "inputs": "/generate",
    "prompt": "/v1/completions",
    "input": "/v1/responses (embeddings are not made here)",
}
"""Where a field is the text that a request is about."""


def refuse_misplaced(document: Mapping[str, Any], own: tuple[str, ...]) -> None:
    """Refuse a body with none of the fields of its own path, if it has another path's."""
    if any(document.get(name) is not None for name in own):
        return
    for name, path in BELONGS.items():
        if name not in own and document.get(name) is not None:
            raise invalid(f"{name} is read at {path}; this path reads {' and '.join(own)}", name)
