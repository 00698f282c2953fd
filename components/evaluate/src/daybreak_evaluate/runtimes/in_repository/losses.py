"""Functions of a repository that were found and make no task, by reason: a person sees what more tests would bring.

Owns the words.
"""

from __future__ import annotations

from collections import Counter

UNREACHED = "no test that passes reaches it"
OUT_OF_SIZE = "its body is too short or too long"
MISSED = "the tests pass without its body"
UNSTEADY = "the tests fail with its own body put back"
NOT_TRIED = "as many as wanted were found before"


class Losses(Counter[str]):
    """Counts by reason."""

    def said(self) -> str:
        """Return a sentence for a person; empty where nothing was lost."""
        parts = [f"{count} ({reason})" for reason, count in self.most_common() if count > 0]
        return f"not kept: {', '.join(parts)}" if parts else ""
