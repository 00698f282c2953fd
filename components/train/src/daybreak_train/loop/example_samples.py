"""``examples.json`` of a train artifact: held-out samples as the run's objective rearranges them."""

from __future__ import annotations

from typing import Any

from daybreak_contracts import names
from daybreak_train.loop.data_loading import Collator, held_out_batches
from daybreak_train.loop.run import Run
from daybreak_train.objectives.examples import ExampleWriter
from daybreak_train.objectives.next_token import NextTokenObjective
from daybreak_train.objectives.select import objective_for

EXAMPLES = "examples.json"
SAMPLES = 64
"""Looked through: seven denoisers and three layouts are all among them."""


def transformed_examples(run: Run) -> list[dict[str, Any]]:
    """Return one example of each layout of the run's objective. All ranks call it, each looks through its share."""
    tokenizer = run.inputs.tokenizer
    writer = ExampleWriter(
        objective_for(run.args.training.objective, tokenizer, run.args.seed),
        str(tokenizer.to_str()),
        tokenizer.token_to_id(names.END_OF_TEXT),
        tokenizer.token_to_id(names.FIM_PAD),
    )
    plain = Collator(NextTokenObjective(), run.sample_shape)
    for batch in held_out_batches(run.inputs.shards, run.placement, SAMPLES, 8, plain):
        for tokens, sample_id in zip(batch["tokens"].numpy(), batch["sample_ids"].tolist(), strict=True):
            writer.add(tokens, sample_id)
    return writer.examples()
