"""Fill in the middle: documents of a sample are cut in three and laid out so that the middle comes last.

Owns the two layouts of training; a model is asked in the first one only (``daybreak_model.fim``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import FillInTheMiddle
from daybreak_model.repository_context import FileMarks
from daybreak_model.vocabulary import special_ids
from daybreak_train.objectives.draws import below, draws
from daybreak_train.objectives.protocol import Tokens, TransformedSample, file_parts
from daybreak_train.objectives.token_codec import TokenCodec

NUM_MARKS = 3
"""Sentinels that a rearranged fragment has."""
LONGEST_CHARACTER = 4
"""Bytes of UTF-8, so the most tokens that one character can have."""
_SCALE = 1 << 53


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
    files: FileMarks | None = None
    """Where documents are packed by repository: a file is cut by itself, behind its path."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> TransformedSample:
        """Return the sample with some fragments rearranged, each of them whole with the end-of-text behind its middle.

        The sample keeps its length: what rearranging adds is taken from the end of the sample's last fragment.
        """
        if self.rate <= 0:
            return TransformedSample(tokens)
        out: list[int] = []
        marks, length = self.sentinels, len(tokens)
        for index, part in enumerate(file_parts(tokens, marks.end_of_text, marks.pad, self.files)):
            out.extend(part.opening)
            rearranged = self.rearranged(part.ids, (index, sample_id, epoch), length - len(out) - 1)
            out.extend(part.ids if rearranged is None else rearranged)
            # between files of a repository the next separator ends the middle: end-of-text would hide what comes before
            if part.is_ended or (rearranged is not None and not part.is_followed):
                out.append(marks.end_of_text)
            if len(out) >= length:
                break
        out = out[:length] + [marks.pad] * (length - len(out))
        return TransformedSample(np.array(out, dtype=tokens.dtype))

    def rearranged(self, ids: list[int], counter: tuple[int, int, int], room: int) -> list[int] | None:
        """Return one fragment in at most ``room`` tokens of another order; None where it stays as it is.

        A fragment that would be longer is cut at its end before it is cut in three, so that its middle always ends
        where the suffix begins. It stays when the draw says so, when its ids are not whole characters and when there
        is no room.
        """
        decide, first, second, layout = draws(self.seed, "fill-in-the-middle", counter)
        if not ids or below(decide, _SCALE) >= self.rate * _SCALE:
            return None
        is_spm = below(layout, _SCALE) < self.spm_share * _SCALE
        kept = len(ids) if len(ids) + NUM_MARKS <= room else room - NUM_MARKS
        while kept > 0:
            part = ids if kept == len(ids) else self._whole_characters(ids, kept)
            text = self.codec.decode(part)
            if text is None:
                return None  # the sample's edge cuts a character in two: such a part can't be written as text
            low, high = sorted((below(first, len(text) + 1), below(second, len(text) + 1)))
            prefix, middle, suffix = self.codec.encode_parts(part, text, (low, high))
            # parts have more tokens than the whole: a word that is cut is two
            excess = max(0, len(prefix) + len(middle) + len(suffix) + NUM_MARKS - room)
            if excess < len(suffix) or excess == 0:
                return self._laid_out(prefix, middle, self._shortened(suffix, excess), is_spm)
            kept -= excess
        return None

    def _whole_characters(self, ids: list[int], count: int) -> list[int]:
        """Return the first ``count`` ids, or a few less where the cut would divide a character."""
        parts = (ids[: max(0, count - back)] for back in range(LONGEST_CHARACTER))
        return next((part for part in parts if self.codec.decode(part) is not None), ids[:count])

    def _shortened(self, suffix: list[int], excess: int) -> list[int]:
        """Take ``excess`` tokens off the end, or a few more where the cut would divide a character."""
        if excess == 0:
            return suffix
        kept = len(suffix) - excess
        while self.codec.decode(suffix[:kept]) is None:
            kept -= 1
        return suffix[:kept]

    def _laid_out(self, prefix: list[int], middle: list[int], suffix: list[int], is_spm: bool) -> list[int]:
        marks = self.sentinels
        if is_spm:
            return [marks.prefix, marks.suffix, *suffix, marks.middle, *prefix, *middle]
        return [marks.prefix, *prefix, marks.suffix, *suffix, marks.middle, *middle]


def make(
    spec: FillInTheMiddle, tokenizer: Any, seed: int, files: FileMarks | None
) -> FillInTheMiddleObjective:
    """Return the objective that a manifest asks for."""
    sentinels = Sentinels.of(special_ids(str(tokenizer.to_str())))
    return FillInTheMiddleObjective(
        TokenCodec(tokenizer), sentinels, float(spec.rate), float(spec.spm_share), seed, files
    )


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
