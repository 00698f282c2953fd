"""UL2: a mixture of denoisers, laid out for a decoder.

Tay et al. 2022 (arXiv 2205.05131, section 3.1 and table 1). Owns the mixture and how its examples fit into a sample
(docs/decisions/0075-ul2-for-a-decoder.md); where spans lie is ``span_corruption``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.training import Denoiser, Ul2
from daybreak_model.repository_context import FileMarks
from daybreak_model.vocabulary import special_ids
from daybreak_train.objectives import span_corruption
from daybreak_train.objectives.draws import below, draws, raw_draws
from daybreak_train.objectives.protocol import Tokens, TransformedSample, fragments_of

Counter = tuple[int, int, int]
_SCALE = 1 << 53


@dataclass(frozen=True)
class ControlTokens:
    """Ids of the tokens that the layout needs."""

    end_of_text: int
    pad: int
    modes: Mapping[str, int]
    """By a denoiser's kind."""
    sentinels: tuple[int, ...]

    @classmethod
    def of(cls, token_ids: Mapping[str, int]) -> ControlTokens:
        """Look the ids up by their names; a missing one is a UserError."""
        wanted = (names.END_OF_TEXT, names.FIM_PAD, *names.MODE_TOKENS.values(), *names.SENTINEL_TOKENS)
        missing = [name for name in wanted if name not in token_ids]
        if missing:
            raise UserError(
                f"the tokenizer has no token {missing[0]}: train it with this project's special tokens"
            )
        return cls(
            end_of_text=token_ids[names.END_OF_TEXT],
            pad=token_ids[names.FIM_PAD],
            modes={kind: token_ids[name] for kind, name in names.MODE_TOKENS.items()},
            sentinels=tuple(token_ids[name] for name in names.SENTINEL_TOKENS),
        )


@dataclass
class _Row:
    """What a sample becomes, as far as it is made."""

    ids: list[int]
    is_target: list[bool]

    def add(self, ids: Sequence[int], *, is_target: bool) -> None:
        self.ids.extend(ids)
        self.is_target.extend([is_target] * len(ids))


@dataclass(frozen=True)
class Ul2Objective:
    """Each fragment of a document becomes one denoiser's example, or several where one has too few sentinels.

    R and X: mode, text with a sentinel for each masked span, then sentinel and span, one after another, end-of-text.
    S: mode, text. Only what follows the corrupted text, or S's continuation, is predicted.
    """

    control: ControlTokens
    denoisers: tuple[Denoiser, ...]
    mode_tokens: bool
    seed: int

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> TransformedSample:
        """Return the sample denoised; what does not fit behind the sentinels is cut from its end."""
        length, row = len(tokens), _Row([], [])
        fragments = fragments_of(tokens, self.control.end_of_text, self.control.pad)
        for index, (ids, is_ended) in enumerate(fragments):
            room = length - len(row.ids)
            if ids and room > 0:
                self._denoise(row, ids, is_ended, (index, sample_id, epoch), room)
        row.add([self.control.pad] * (length - len(row.ids)), is_target=False)
        return TransformedSample(np.array(row.ids, dtype=tokens.dtype), np.array(row.is_target, dtype=bool))

    def _denoise(self, row: _Row, ids: list[int], is_ended: bool, counter: Counter, room: int) -> None:
        which, where, *_ = draws(self.seed, "ul2", counter)
        chosen = self.drawn(which)
        mode = [self.control.modes[chosen.kind]] if self.mode_tokens else []
        if chosen.mean_span is None:
            row.add(mode, is_target=False)
            if len(mode) + len(ids) + is_ended > room:
                ids, is_ended = ids[: room - len(mode)], False
            self._continue(row, ids, is_ended, continued(len(ids), float(chosen.corruption), where))
            return
        corruption, mean_span = float(chosen.corruption), chosen.mean_span
        lengths = fitted(
            len(ids),
            room,
            corruption=corruption,
            mean_span=mean_span,
            overhead=len(mode) + 1,
            num_sentinels=len(self.control.sentinels),
        )
        start = 0
        for number, length in enumerate(lengths):
            part = ids[start : start + length]
            start += length
            raws = raw_draws(self.seed, f"ul2-spans-{number}", counter, length)
            num_masked, num_spans = span_corruption.span_counts(length, corruption, mean_span)
            mask = span_corruption.span_mask(length, num_masked, num_spans, raws)
            inputs, targets = span_corruption.split_by_mask(part, mask, self.control.sentinels)
            row.add([*mode, *inputs], is_target=False)
            row.add([*targets, self.control.end_of_text], is_target=True)

    def _continue(self, row: _Row, ids: list[int], is_ended: bool, num_targets: int) -> None:
        """Add a text whose end is to be said; it ends with end-of-text only where its document does."""
        row.add(ids[: len(ids) - num_targets], is_target=False)
        row.add(ids[len(ids) - num_targets :], is_target=True)
        row.add([self.control.end_of_text] * is_ended, is_target=True)

    def drawn(self, raw: int) -> Denoiser:
        """Return the denoiser that a draw stands for, by weight."""
        place = below(raw, sum(denoiser.weight for denoiser in self.denoisers))
        for denoiser in self.denoisers:
            place -= denoiser.weight
            if place < 0:
                return denoiser
        raise AssertionError("a draw is below the sum of the weights")


def make(spec: Ul2, tokenizer: Any, seed: int, files: FileMarks | None) -> Ul2Objective:
    """Return the objective that a manifest asks for; manifests ask for it with documents that stand alone."""
    if files is not None:
        raise UserError("objective ul2 takes shards of data.layout File: run the shard step with it")
    control = ControlTokens.of(special_ids(str(tokenizer.to_str())))
    return Ul2Objective(control, spec.denoisers, spec.mode_tokens, seed)


def continued(length: int, corruption: float, raw: int) -> int:
    """Return how many of ``length`` tokens an S denoiser continues: evenly between none and twice its corruption.

    Above one half between ``2 corruption - 1`` and all, so that the mean is the corruption either way.
    """
    low, high = max(0.0, 2 * corruption - 1), min(1.0, 2 * corruption)
    share = low + (high - low) * (raw >> 11) / _SCALE
    return min(length, max(1, round(length * share))) if length else 0


def fitted(
    length: int, room: int, *, corruption: float, mean_span: int, overhead: int, num_sentinels: int
) -> list[int]:
    """Return the lengths of the parts that a fragment is corrupted in: all of it, or as much as fits into ``room``.

    Each part costs two sentinels a span and ``overhead`` tokens, and has at most ``num_sentinels`` spans.
    """

    def parts(kept: int) -> list[int]:
        _, num_spans = span_corruption.span_counts(kept, corruption, mean_span)
        count = max(1, -(-num_spans // num_sentinels))
        while span_corruption.span_counts(-(-kept // count), corruption, mean_span)[1] > num_sentinels:
            count += 1
        return [kept // count + (place < kept % count) for place in range(count)]

    kept = min(length, room - overhead)
    while kept > 0:
        found = parts(kept)
        needed = sum(
            span_corruption.expanded_length(part, corruption, mean_span) + overhead for part in found
        )
        if needed <= room:
            return found
        kept -= max(
            1, (needed - room) // 3
        )  # a token more costs at most three: itself and a span's two sentinels
    return []
