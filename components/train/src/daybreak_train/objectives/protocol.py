"""What an objective is, and the labels of a sample. Owns no loading and no loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daybreak_model.repository_context import FileMarks, files_of

IGNORED = -100
"""Label of a position that is not trained on (the convention of ``cross_entropy``)."""
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class TransformedSample:
    """What the model is trained on when it meets one sample."""

    tokens: Tokens
    is_target: NDArray[np.bool_] | None = None
    """Which tokens the model is to predict; None: all of them. Padding is never predicted."""


class SampleObjective(Protocol):
    """Maps one sample of token ids to one of the same length, and says which of its tokens are predicted."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> TransformedSample:
        """Return what the model is trained on when it meets this sample in this epoch."""


def labels_of(sample: TransformedSample, pad_id: int) -> Tokens:
    """Return the label of every position: the token after it, where that is one to predict, else ``IGNORED``."""
    wanted = sample.tokens != pad_id
    if sample.is_target is not None:
        wanted &= sample.is_target
    labels = np.full_like(sample.tokens, IGNORED)
    labels[..., :-1] = np.where(wanted, sample.tokens, IGNORED)[..., 1:]
    return labels


def fragments_of(tokens: Tokens, end_of_text: int, pad: int) -> list[tuple[list[int], bool]]:
    """Return the parts of documents that a sample is packed of, and whether each is ended by end-of-text here.

    The last one may go on in the next sample, the first may have begun in the one before. Padding is left out: at the
    end of a sample, and where a document was taken back.
    """
    filled = tokens[tokens != pad]
    ids: list[int] = filled.tolist()
    found, start = [], 0
    for position in np.flatnonzero(filled == end_of_text).tolist():
        found.append((ids[start:position], True))
        start = position + 1
    if start < len(ids):
        found.append((ids[start:], False))
    return found


@dataclass(frozen=True)
class FilePart:
    """A part of a file in a sample."""

    opening: list[int]
    """Repository, separator and path before it: part of no file's text, so never moved."""
    ids: list[int]
    is_ended: bool
    """Whether end-of-text stands behind it here."""
    is_followed: bool
    """Whether the next file of the repository stands behind it here."""


def file_parts(tokens: Tokens, end_of_text: int, pad: int, marks: FileMarks | None) -> list[FilePart]:
    """Return the parts of files that a sample is packed of; without marks a document is a file."""
    fragments = fragments_of(tokens, end_of_text, pad)
    if marks is None:
        return [FilePart([], ids, is_ended, is_followed=False) for ids, is_ended in fragments]
    found = []
    for ids, is_ended in fragments:
        files = files_of(ids, marks)
        last = len(files) - 1
        found += [
            FilePart(opening, text, is_ended and place == last, is_followed=place < last)
            for place, (opening, text) in enumerate(files)
        ]
    return found
