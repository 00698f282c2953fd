"""Fill in the middle: documents of a sample are cut in three and laid out so that the middle comes last.

Owns the two layouts of training; a model is asked in the first one only (``daybreak_model.fim``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_train.objectives.draws import below, draws
from daybreak_train.objectives.protocol import Tokens
from daybreak_train.objectives.token_codec import TokenCodec


@dataclass(frozen=True)
class Sentinels:
    """Ids of the tokens that the layout needs."""

    end_of_text: int
    prefix: int
    middle: int
    suffix: int
    pad: int

    @classmethod
    def of(cls, token_ids: Mapping[str, int]) -> Sentinels:
        """Look the ids up by their names; a missing one is a UserError."""
        wanted = (names.END_OF_TEXT, names.FIM_PREFIX, names.FIM_MIDDLE, names.FIM_SUFFIX, names.FIM_PAD)
        missing = [name for name in wanted if name not in token_ids]
        if missing:
            raise UserError(
                f"the tokenizer has no token {missing[0]}: train it with this project's special tokens"
            )
        return cls(*(token_ids[name] for name in wanted))


@dataclass(frozen=True)
class FillInTheMiddleObjective:
    """Character-level, context-level fill in the middle as StarCoder trained it.

    Bavarian et al. 2022 (arXiv 2207.14255); layout and cuts of bigcode-project/Megatron-LM ``permute``: each
    document inside the sample is cut at two uniform character positions, its three parts are tokenised again and
    laid out prefix-suffix-middle, or (variant 2) suffix-prefix-middle.
    """

    codec: TokenCodec
    sentinels: Sentinels
    rate: float
    spm_share: float
    seed: int

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        """Return the sample with some documents rearranged, cut or padded to its own length."""
        if self.rate <= 0:
            return tokens
        out: list[int] = []
        for index, (document, ended) in enumerate(self._documents(tokens)):
            out.extend(self.document(document, (index, sample_id, epoch)))
            if ended:
                out.append(self.sentinels.end_of_text)
        length = len(tokens)
        out = out[:length] + [self.sentinels.pad] * (length - len(out))
        return np.array(out, dtype=tokens.dtype)

    def document(self, ids: list[int], counter: tuple[int, int, int]) -> list[int]:
        """Return one document's ids, rearranged if the draw says so and the ids are whole characters."""
        decide, first, second, layout = draws(self.seed, "fill-in-the-middle", counter)
        if not ids or below(decide, self._scale) >= self.rate * self._scale:
            return ids
        text = self.codec.decode(ids)
        if text is None:
            return ids  # the sample's edge cuts a character in two: such a part can't be written as text
        low, high = sorted((below(first, len(text) + 1), below(second, len(text) + 1)))
        prefix, middle, suffix = (
            self.codec.encode(part) for part in (text[:low], text[low:high], text[high:])
        )
        marks = self.sentinels
        if below(layout, self._scale) < self.spm_share * self._scale:
            return [marks.prefix, marks.suffix, *suffix, marks.middle, *prefix, *middle]
        return [marks.prefix, *prefix, marks.suffix, *suffix, marks.middle, *middle]

    def _documents(self, tokens: Tokens) -> Iterator[tuple[list[int], bool]]:
        ids: list[int] = tokens.tolist()
        while ids and ids[-1] == self.sentinels.pad:
            ids.pop()
        start = 0
        for position, token in enumerate(ids):
            if token == self.sentinels.end_of_text:
                yield ids[start:position], True
                start = position + 1
        if start < len(ids):
            yield ids[start:], False

    @cached_property
    def _scale(self) -> int:
        return 1 << 53


def restore(ids: Sequence[int], sentinels: Sentinels, spm: bool) -> tuple[list[int], list[int], list[int]]:
    """Return prefix, middle and suffix of one rearranged document: the inverse of the two layouts.

    In variant 2 prefix and middle follow each other without a mark, so the prefix comes back empty and the middle
    holds both; their concatenation is the document's beginning either way.
    """
    ids = list(ids)
    if spm:
        end = ids.index(sentinels.middle)
        return [], ids[end + 1 :], ids[2:end]
    split, end = ids.index(sentinels.suffix), ids.index(sentinels.middle)
    return ids[1:split], ids[end + 1 :], ids[split + 1 : end]
