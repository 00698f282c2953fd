"""``examples.json`` of a train artifact: held-out samples as the run's objective rearranges them."""

from __future__ import annotations

from typing import Any

from daybreak_contracts import names, storage
from daybreak_contracts.layouts.shards import HELD_OUT
from daybreak_model.token_rows import TokenRows
from daybreak_train.loop.data_loading import held_out_ids
from daybreak_train.loop.run import Run
from daybreak_train.objectives.examples import ExampleWriter

EXAMPLES = "examples.json"
SAMPLES = 64
"""Looked through: seven denoisers and three layouts are all among them."""


def transformed_examples(run: Run) -> list[dict[str, Any]]:
    """Return one example of each layout of the run's objective; rank 0 alone writes them."""
    if not run.placement.is_leader:
        return []
    tokenizer = run.inputs.tokenizer
    writer = ExampleWriter(
        run.objective(),
        str(tokenizer.to_str()),
        tokenizer.token_to_id(names.END_OF_TEXT),
        tokenizer.token_to_id(names.FIM_PAD),
    )
    rows = TokenRows(storage.join(run.args.shards, HELD_OUT))
    for sample_id in held_out_ids(run.inputs.shards, SAMPLES):
        writer.add(rows[sample_id], sample_id)
    return writer.examples()
