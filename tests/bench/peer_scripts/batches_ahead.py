"""How fast batches are made: fill-in-the-middle over the standard library's source, in series and ahead of the step.

``python batches_ahead.py`` prints one JSON object. ``series`` is what one core does; ``whole`` the same with every part
of a cut document tokenised again, as a codec that does not know the tokenizer's pattern does it; ``ahead/N`` is how
many tokens a second come out with N processes ahead, by the clock on the wall.
"""

from __future__ import annotations

import itertools
import json
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np

from daybreak_contracts import names
from daybreak_contracts.resources.run import Objective
from daybreak_data.tokenizer.step import train
from daybreak_train.loop.batches_ahead import made_ahead
from daybreak_train.loop.data_loading import COLUMN, Batch, Collator, SampleShape
from daybreak_train.objectives.select import objective_for

VOCABULARY, SAMPLES, BATCH = 8192, 384, 16
SPEC = Objective.model_validate({"fillInTheMiddle": {"rate": "0.5", "spmShare": "0.5"}})


class Made:
    """Makes batches of rows that are already in memory."""

    def __init__(self, rows: Any, collate: Collator) -> None:
        self._rows, self._collate = rows, collate

    def __getitem__(self, wanted: int) -> Batch:
        numbers = range(wanted * BATCH, (wanted + 1) * BATCH)
        return self._collate([{COLUMN: self._rows[at], "sample_id": at, "epoch": 0} for at in numbers])


def main() -> None:
    texts = [
        path.read_text(errors="ignore")
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:150]
    ]
    tokenizer = train(iter(texts), VOCABULARY)
    end = tokenizer.token_to_id(names.END_OF_TEXT)
    ids = [token for text in texts for token in [*tokenizer.encode(text).ids, end]]
    found: dict[str, float] = {"bytes a token": sum(len(text.encode()) for text in texts) / len(ids)}
    for context in (512, 2048):
        rows = np.array((ids * 4)[: SAMPLES * context]).reshape(SAMPLES, context)
        shape = SampleShape(context, tokenizer.get_vocab_size(), tokenizer.token_to_id(names.FIM_PAD))
        objective: Any = objective_for(SPEC, tokenizer, 3)
        made = Made(rows, Collator(objective, shape))
        found[f"series/{context}"] = in_series(made, context)
        if context == 2048:
            found |= {f"ahead/{number}": by_the_wall(made, context, number) for number in (0, 1, 2)}
        objective.codec._begins_words_at_blanks = False
        found[f"whole/{context}"] = in_series(made, context)
    print(json.dumps(found))


def in_series(made: Made, context: int) -> float:
    """Return tokens per second of processor time."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for number in range(SAMPLES // BATCH):
            made[number]
        best = min(best, time.process_time() - began)
    return SAMPLES * context / best


def by_the_wall(made: Made, context: int, processes: int) -> float:
    """Return tokens per second of a step that does nothing but take batches; the processes' start is left out."""
    batches = made_ahead(made, itertools.cycle(range(SAMPLES // BATCH)), processes, pin_memory=False)
    next(batches)
    taken = 3 * SAMPLES // BATCH
    began = time.perf_counter()
    for _ in range(taken):
        next(batches)
    seconds = time.perf_counter() - began
    batches.close()
    return taken * BATCH * context / seconds


if __name__ == "__main__":
    main()
