"""What an engine counts of its work; Triton shows it as metrics. Owns no metric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """What the engine did since it started."""

    requests: int = 0
    prompt_tokens: int = 0
    reused_prompt_tokens: int = 0
    tokens: int = 0
    cancelled: int = 0
    wasted_tokens: int = 0
    """Tokens of requests that were cancelled."""
