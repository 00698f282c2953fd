"""What an objective makes of real text, as text: one example of each layout, for people to read.

Owns the choice of examples and their form in ``examples.json``; whoever wants to see a batch of a run takes replay.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from daybreak_contracts import names
from daybreak_model.vocabulary import special_ids, token_bytes
from daybreak_train.objectives.protocol import SampleObjective, Tokens, TransformedSample

SHORTEST = 48
"""Tokens of an example: enough to see spans in. Of those that have them the shortest is shown."""


class ExampleWriter:
    """Collects one fragment of each layout out of samples."""

    def __init__(self, objective: SampleObjective, tokenizer_json: str, end_of_text: int, pad: int) -> None:
        """Take the objective to show and what is needed to show ids as text."""
        self._objective = objective
        self._bytes = token_bytes(tokenizer_json, special_as_text=True)
        ids = special_ids(tokenizer_json)
        self._special = {index for name, index in ids.items() if name not in names.SENTINEL_TOKENS}
        self._end_of_text, self._pad = end_of_text, pad
        self._found: dict[tuple[int, ...], tuple[int, dict[str, Any]]] = {}

    def add(self, tokens: Tokens, sample_id: int) -> None:
        """Look through one sample, as it is met in the first epoch."""
        sample = self._objective(tokens, 0, sample_id)
        for start, end in self._fragments(sample):
            ids = sample.tokens[start:end].tolist()
            layout = tuple(itertools.takewhile(self._special.__contains__, ids))
            known, _ = self._found.get(layout, (len(sample.tokens) + 1, {}))
            if SHORTEST <= len(ids) < known:
                example = {"layout": self._text(layout), "parts": self._parts(sample, start, end)}
                self._found[layout] = len(ids), example

    def examples(self) -> list[dict[str, Any]]:
        """Return what was found: ``layout`` (its first special tokens) and ``parts`` of ``text`` and ``isTarget``."""
        return [example for _, (_, example) in sorted(self._found.items())]

    def _fragments(self, sample: TransformedSample) -> Iterable[tuple[int, int]]:
        """Yield the places of the fragments, each with its end-of-text."""
        start = 0
        for place, token in enumerate(sample.tokens.tolist()):
            if token == self._pad:
                break
            if token == self._end_of_text:
                yield start, place + 1
                start = place + 1

    def _parts(self, sample: TransformedSample, start: int, end: int) -> list[dict[str, Any]]:
        ids = sample.tokens[start:end].tolist()
        wanted = [True] * len(ids) if sample.is_target is None else sample.is_target[start:end].tolist()
        groups = itertools.groupby(zip(ids, wanted, strict=True), key=lambda item: item[1])
        return [
            {"text": self._text([token for token, _ in group]), "isTarget": is_target}
            for is_target, group in groups
        ]

    def _text(self, ids: Sequence[int]) -> str:
        return b"".join(self._bytes[token] for token in ids).decode(errors="replace")
