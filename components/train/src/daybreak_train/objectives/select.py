"""Which objective a manifest asks for: a new objective is a file beside this one and a line here."""

from __future__ import annotations

from typing import Any

from daybreak_contracts.resources.run import Objective as ObjectiveSpec
from daybreak_model.vocabulary import special_ids
from daybreak_train.objectives.fill_in_the_middle import FillInTheMiddleObjective, Sentinels
from daybreak_train.objectives.next_token import NextTokenObjective
from daybreak_train.objectives.protocol import SampleObjective
from daybreak_train.objectives.token_codec import TokenCodec


def objective_for(spec: ObjectiveSpec, tokenizer: Any, seed: int) -> SampleObjective:
    """Return the objective that the manifest asks for; ``tokenizer`` is a ``tokenizers.Tokenizer``."""
    wanted = spec.fill_in_the_middle
    if wanted is None or float(wanted.rate) <= 0:
        return NextTokenObjective()
    sentinels = Sentinels.of(special_ids(str(tokenizer.to_str())))
    return FillInTheMiddleObjective(
        codec=TokenCodec(tokenizer),
        sentinels=sentinels,
        rate=float(wanted.rate),
        spm_share=float(wanted.spm_share),
        seed=seed,
    )
