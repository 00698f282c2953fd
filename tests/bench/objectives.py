"""What the objectives make of real code: how many middles lose their end, what UL2 leaves out, tokens per second.

The peer lays a sample out as bigcode-project/Megatron-LM does (``permute``): rearranged first, then cut to its length.
"""

from __future__ import annotations

import dataclasses
import sysconfig
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from daybreak_contracts.resources.run import FillInTheMiddle
from daybreak_contracts.resources.training import Ul2
from daybreak_data.tokenizer.step import padded, train
from daybreak_model.vocabulary import TextEncoder
from daybreak_train.objectives import fill_in_the_middle, ul2
from daybreak_train.objectives.fill_in_the_middle import FillInTheMiddleObjective
from daybreak_train.objectives.protocol import SampleObjective, Tokens, fragments_of
from tests.bench.row import Row

VOCABULARY, SEED = 8192, 7
TOKENS = 768_000
ROOM_FOR_ALL = 1 << 20


def measure() -> list[Row]:
    """Measure both objectives at contexts of 512 and 2,048."""
    texts = _texts(900)
    tokenizer = Tokenizer.from_str(padded(str(train(iter(texts[::3]), VOCABULARY).to_str())))
    encoder = TextEncoder(tokenizer.to_str())
    ids = [token for text in texts for token in (*encoder.encode(text), 0)][:TOKENS]
    rows: list[Row] = []
    for context in (512, 2048):
        samples = np.array(ids[: len(ids) // context * context]).reshape(-1, context)
        rows += _fill_in_the_middle(tokenizer, samples, context)
        rows += _ul2(tokenizer, samples, context)
    return rows


def _texts(count: int) -> list[str]:
    """Source files of this environment, spread evenly over it."""
    paths = sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py"))
    texts = [
        path.read_bytes().decode(errors="ignore") for path in paths[:: max(1, len(paths) // (3 * count))]
    ]
    return [text for text in texts if 200 < len(text) < 200_000][:count]


def _fill_in_the_middle(tokenizer: Tokenizer, samples: NDArray[np.int64], context: int) -> list[Row]:
    objective = fill_in_the_middle.make(FillInTheMiddle(), tokenizer, SEED)
    speed, outs = _timed(objective, samples)
    roomy = _Truncating(objective)
    peers = [roomy(row, 0, sample) for sample, row in enumerate(samples)]
    what = f"middles without their end, context {context:,}"
    name = "rearranged, then cut, as bigcode's Megatron-LM"
    return [
        Row(what, _share_cut(outs, objective), "%", "0", name, _share_cut(peers, objective)),
        Row(f"fill in the middle, context {context:,}, one core", speed, "tokens/s", ""),
    ]


class _Truncating:
    """The objective as it was: laid out in full, then cut to the sample's length."""

    def __init__(self, objective: FillInTheMiddleObjective) -> None:
        self._objective = objective

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        marks, out = self._objective.sentinels, list[int]()
        for index, (ids, is_ended) in enumerate(fragments_of(tokens, marks.end_of_text, marks.pad)):
            rearranged = self._objective.rearranged(ids, (index, sample_id, epoch), ROOM_FOR_ALL)
            out += [*(ids if rearranged is None else rearranged), *[marks.end_of_text] * is_ended]
        return np.array(out[: len(tokens)])


def _share_cut(outs: list[Tokens], objective: FillInTheMiddleObjective) -> float:
    marks = objective.sentinels
    found = [part for out in outs for part in fragments_of(out, marks.end_of_text, marks.pad)]
    ended = [is_ended and marks.middle in ids for ids, is_ended in found if ids[:1] == [marks.prefix]]
    return 100 * (1 - sum(ended) / len(ended))


def _ul2(tokenizer: Tokenizer, samples: NDArray[np.int64], context: int) -> list[Row]:
    objective = ul2.make(Ul2(), tokenizer, SEED)
    speed, outs = _timed(objective, samples)
    control = dataclasses.astuple(objective.control)
    special = [control[0], control[1], *control[2].values(), *control[3]]
    kept = sum(int(np.isin(out, special, invert=True).sum()) for out in outs)
    left_out = 100 * (1 - kept / int((samples != objective.control.end_of_text).sum()))
    return [
        Row(f"UL2: tokens that find no place, context {context:,}", left_out, "%", ""),
        Row(f"UL2, context {context:,}, one core", speed, "tokens/s", ""),
    ]


def _timed(objective: SampleObjective, samples: NDArray[np.int64]) -> tuple[float, list[Tokens]]:
    start = time.perf_counter()
    outs = [objective(row, 0, sample).tokens for sample, row in enumerate(samples)]
    return samples.size / (time.perf_counter() - start), outs
