"""The next token from its logits, and where a text ends: greedy, temperature, top-p, stop strings.

Pure: randomness is an argument. The rules are written for numpy arrays and torch tensors alike; this module imports
no torch. Owns no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def choose(
    logits: NDArray[np.float32], temperature: float, top_p: float, random: np.random.Generator | None
) -> int:
    """Return a token id from logits of shape ``(vocabulary,)``.

    Ties go to the smaller id, as torch's argmax does.
    """
    if temperature == 0.0 or random is None:
        return int(np.argmax(logits))
    scaled = logits.astype(np.float64) / temperature
    chances = np.exp(scaled - scaled.max())
    chances /= chances.sum()
    order = np.argsort(-chances, kind="stable")
    place = nucleus(chances[order][None], np.array([random.random()]), top_p)[0]
    return int(order[place])


def nucleus(chances: Any, uniforms: Any, top_p: float) -> Any:
    """Draw the place of a token from the smallest set of likeliest ones with at least ``top_p`` of the mass.

    Nucleus sampling (Holtzman et al. 2019, arXiv 1904.09751), by the inverse of the cumulative distribution.
    ``chances`` (batch, vocabulary) are sorted, the likeliest first; ``uniforms`` (batch,) lie in [0, 1). Both are
    numpy arrays or both torch tensors, of 64-bit floats; so is what is returned, of integers.
    """
    cumulative = chances.cumsum(-1)
    kept = chances * (cumulative - chances < top_p)
    cumulative = kept.cumsum(-1)
    place = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(-1)
    return place.clip(None, (kept > 0).sum(-1) - 1)  # a uniform of nearly 1 may round up to the whole mass


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Return where the first stop string begins, None where there is none.

    >>> first_stop("a = 1\\n\\nb = 2", ["\\nb", "\\n"])
    5
    """
    return min((text.find(word) for word in stop if word in text), default=None)


class StopScanner:
    """Holds back the end of a growing text while it may be the start of a stop string: nothing of one is shown."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self.met: str | None = None
        """The stop string that ended the text; of those that begin at one place the shortest, which is whole first."""
        self._held = ""

    def add(self, text: str) -> tuple[str, bool]:
        """Return the text that may be shown now, and whether a stop string was met (the earliest one wins)."""
        if not self._stop:
            return text, False
        text = self._held + text
        end = first_stop(text, self._stop)
        if end is not None:
            self._held = ""
            self.met = min((word for word in self._stop if text.startswith(word, end)), key=len)
            return text[:end], True
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
