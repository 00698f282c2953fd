"""Next token: the sample as it is."""

from __future__ import annotations

from typing import Any

from daybreak_contracts.resources.run import NextToken
from daybreak_model.repository_context import FileMarks
from daybreak_train.objectives.protocol import Tokens, TransformedSample


class NextTokenObjective:
    """Plain left-to-right training: the sample as it is."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> TransformedSample:
        """Return the tokens unchanged."""
        return TransformedSample(tokens)


def make(spec: NextToken, tokenizer: Any, seed: int, files: FileMarks | None) -> NextTokenObjective:
    """Return the objective that a manifest asks for."""
    return NextTokenObjective()
