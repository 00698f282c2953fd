"""What an objective is, and the labels of a sample. Owns no loading and no loss."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""Label of a position that is not trained on (the convention of ``cross_entropy``)."""
Tokens = NDArray[np.int64]


class SampleObjective(Protocol):
    """Maps one sample of token ids to one of the same length."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        """Return what the model is trained on when it meets this sample in this epoch."""


def labels_of(tokens: Tokens, pad_id: int) -> Tokens:
    """Return the label of every position: the token after it; padding and the last position are ignored."""
    labels = np.full_like(tokens, IGNORED)
    labels[..., :-1] = tokens[..., 1:]
    labels[labels == pad_id] = IGNORED
    return labels
