"""The next token from logits: greedy, or nucleus sampling with a temperature.

Pure: randomness is an argument. Owns no model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def choose(
    logits: NDArray[np.float32], temperature: float, top_p: float, random: np.random.Generator | None
) -> int:
    """Return a token id from logits of shape ``(vocabulary,)``.

    Nucleus sampling (arXiv 1904.09751): the smallest set of most likely tokens whose mass reaches ``top_p``.
    Ties go to the smaller id, as torch's argmax does.
    """
    if temperature == 0.0 or random is None:
        return int(np.argmax(logits))
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    mass = np.cumsum(weights[order])
    size = int(np.searchsorted(mass, top_p, side="left")) + 1
    nucleus = order[:size]
    place = np.searchsorted(np.cumsum(weights[nucleus]), random.random() * mass[min(size, len(mass)) - 1])
    return int(nucleus[min(int(place), len(nucleus) - 1)])
