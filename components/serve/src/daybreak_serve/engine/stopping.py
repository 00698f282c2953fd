"""Stop strings in a text that grows: nothing of a stop string is ever shown.

Pure. Owns neither tokens nor the decision to end.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopScanner:
    """Holds back the end of the text while it may still be the start of a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""

    def add(self, text: str) -> tuple[str, bool]:
        """Return the text that may be shown now, and whether a stop string was met (the earliest one wins)."""
        if not self._stop:
            return text, False
        text = self._held + text
        places = [place for place in (text.find(word) for word in self._stop) if place >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        keep = max(_overlap(text, word) for word in self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def finish(self) -> str:
        """Return what was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, word: str) -> int:
    """Return the length of the longest end of the text that is a start of the word."""
    for length in range(min(len(text), len(word) - 1), 0, -1):
        if text.endswith(word[:length]):
            return length
    return 0
