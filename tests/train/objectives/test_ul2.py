"""UL2's denoisers corrupt as much as the paper says, lose nothing of what fits, and are the same whoever asks."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Objective
from daybreak_contracts.resources.training import UL2_DENOISERS, Denoiser
from daybreak_train.objectives.draws import raw_draws
from daybreak_train.objectives.protocol import IGNORED, fragments_of, labels_of
from daybreak_train.objectives.select import objective_for
from daybreak_train.objectives.span_corruption import (
    expanded_length,
    joined,
    span_counts,
    span_mask,
    split_by_mask,
)
from daybreak_train.objectives.ul2 import ControlTokens, Ul2Objective, continued, fitted

SENTINELS = tuple(range(10, 110))
CONTROL = ControlTokens(end_of_text=0, pad=4, modes={"R": 7, "S": 8, "X": 9}, sentinels=SENTINELS)
FIRST = 200
"""Ids from here on are text."""
RATES = st.sampled_from([0.15, 0.25, 0.5, 0.8])
SPANS = st.sampled_from([1, 3, 8, 64])


def ul2(
    *denoisers: Denoiser, seed: int = 5, mode_tokens: bool = True, control: ControlTokens = CONTROL
) -> Ul2Objective:
    return Ul2Objective(control, denoisers or UL2_DENOISERS, mode_tokens, seed)


def sample_of(*lengths: int, context: int) -> np.ndarray:
    """Documents of these lengths one behind another, each ended, cut or padded to the context."""
    ids = [token for length in lengths for token in (*range(FIRST, FIRST + length), 0)]
    return np.array(ids[:context] + [4] * (context - len(ids)))


def mask_of(length: int, corruption: float, mean_span: int, counter: int = 0) -> np.ndarray:
    return span_mask(
        length, *span_counts(length, corruption, mean_span), raw_draws(1, "m", (counter, 0, 0), length)
    )


def runs(mask: np.ndarray) -> list[int]:
    """Lengths of the masked spans."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(int), [0]))))
    return (edges[1::2] - edges[::2]).tolist()


def test_the_two_halves_are_those_of_t5() -> None:
    # t5/data/preprocessors_test.py, test_denoise: density 0.3, mean length 3; sentinels count down from 25 there
    text = [3, 2, 20, 4, 3, 2, 8, 13, 2, 3, 2, 23, 7, 19, 22, 3, 2, 7, 2]
    assert span_counts(len(text), 0.3, 3) == (6, 2)
    mask = np.zeros(len(text), dtype=bool)
    mask[[4, *range(14, 19)]] = True
    inputs, targets = split_by_mask(text, mask, [25, 24])
    assert inputs == [3, 2, 20, 4, 25, 2, 8, 13, 2, 3, 2, 23, 7, 19, 24]
    assert targets == [25, 3, 24, 22, 3, 2, 7, 2]


def test_lengths_are_those_of_t5() -> None:
    # random_spans_helper: 568 tokens at 0.15 and 3 become 512 of input and 114 of targets, an end-of-text on each
    num_masked, num_spans = span_counts(568, 0.15, 3)
    assert (568 - num_masked + num_spans + 1, num_masked + num_spans + 1) == (512, 114)
    assert expanded_length(568, 0.15, 3) + 2 == 512 + 114


@pytest.mark.parametrize("denoiser", [d for d in UL2_DENOISERS if d.mean_span], ids=repr)
def test_rates_and_spans_are_those_of_the_paper(denoiser: Denoiser) -> None:
    # arXiv 2205.05131, table 1, at the paper's 512 tokens
    assert denoiser.mean_span is not None
    lengths: list[int] = []
    for counter in range(50):
        mask = mask_of(512, float(denoiser.corruption), denoiser.mean_span, counter)
        assert abs(int(mask.sum()) - 512 * float(denoiser.corruption)) <= 0.5
        lengths += runs(mask)
    num_masked, num_spans = span_counts(512, float(denoiser.corruption), denoiser.mean_span)
    assert len(lengths) == 50 * num_spans, "spans never touch"
    # to a whole number of spans: at 64 and .15 one of 77 tokens
    assert num_masked / (num_spans + 0.5) <= denoiser.mean_span <= num_masked / (num_spans - 0.5)
    assert num_spans == 1 or len(set(lengths)) > 3, "lengths are drawn"


def test_the_default_is_the_seven_of_the_paper() -> None:
    table = [(d.kind, d.mean_span, float(d.corruption), d.weight) for d in UL2_DENOISERS]
    assert table == [
        ("R", 3, 0.15, 1),
        ("R", 8, 0.15, 1),
        ("S", None, 0.25, 1),
        ("X", 3, 0.5, 1),
        ("X", 8, 0.5, 1),
        ("X", 64, 0.15, 1),
        ("X", 64, 0.5, 1),
    ]


@pytest.mark.slow
def test_every_place_of_a_short_text_is_masked_as_often_as_another() -> None:
    # T5's own masks always cover the end of a short text
    counts = sum(mask_of(10, 0.2, 2, counter).astype(int) for counter in range(4500))
    expected = 4500 / 9  # one span of two tokens at nine places
    assert np.all(np.abs(counts - np.array([1, *[2] * 8, 1]) * expected) < 4 * (2 * expected) ** 0.5)


@given(length=st.integers(1, 700), corruption=RATES, mean_span=SPANS, counter=st.integers(0, 2**40))
def test_the_inverse_returns_the_text(length: int, corruption: float, mean_span: int, counter: int) -> None:
    mask = mask_of(length, corruption, mean_span, counter)
    num_masked, num_spans = span_counts(length, corruption, mean_span)
    assert (len(mask), int(mask.sum()), len(runs(mask))) == (length, num_masked, num_spans)
    ids, sentinels = list(range(1000, 1000 + length)), list(range(num_spans))
    inputs, targets = split_by_mask(ids, mask, sentinels)
    assert joined(inputs, targets, sentinels) == ids
    assert len(inputs) + len(targets) == expanded_length(length, corruption, mean_span)


@given(
    length=st.integers(1, 5000),
    room=st.integers(0, 3000),
    corruption=RATES,
    mean_span=SPANS,
    mode=st.booleans(),
)
def test_parts_fill_the_room_and_have_enough_sentinels(
    length: int, room: int, corruption: float, mean_span: int, mode: bool
) -> None:
    overhead = 1 + mode
    parts = fitted(
        length, room, corruption=corruption, mean_span=mean_span, overhead=overhead, num_sentinels=100
    )
    needed = sum(expanded_length(part, corruption, mean_span) + overhead for part in parts)
    assert needed <= room or not parts
    assert all(span_counts(part, corruption, mean_span)[1] <= 100 for part in parts)
    assert sum(parts) == length or room - needed <= 4 + overhead, "nothing is left out that has room"


def test_the_layout_is_mode_text_with_sentinels_then_sentinels_with_spans() -> None:
    out = ul2(Denoiser(kind="X", mean_span=3, corruption="0.5"))(sample_of(20, context=40), 0, 0)
    ids, end = out.tokens.tolist(), out.tokens.tolist().index(0)
    split = ids.index(SENTINELS[0], ids.index(SENTINELS[0]) + 1)
    assert ids[0] == CONTROL.modes["X"]
    assert joined(ids[1:split], ids[split:end], SENTINELS) == list(range(FIRST, FIRST + 20))
    assert set(ids[end + 1 :]) == {CONTROL.pad}
    assert out.is_target is not None
    assert out.is_target.tolist() == [False] * split + [True] * (end + 1 - split) + [False] * (39 - end)
    labels = labels_of(out, CONTROL.pad).tolist()
    assert [token for token in labels if token != IGNORED] == ids[split : end + 1], "loss on targets only"
    assert labels[split - 1] == SENTINELS[0], "the last token of the text says that the targets begin"


def test_an_s_denoiser_continues_its_text() -> None:
    out = ul2(Denoiser(kind="S", corruption="0.25"))(sample_of(20, context=40), 0, 3)
    assert out.tokens.tolist() == [8, *range(FIRST, FIRST + 20), 0, *[4] * 18]
    assert out.is_target is not None
    assert 2 <= int(out.is_target.sum()) <= 11
    assert out.is_target[21]


def test_an_s_denoiser_of_a_text_that_goes_on_does_not_say_it_ends() -> None:
    out = ul2(Denoiser(kind="S", corruption="0.25"))(sample_of(100, context=64), 0, 3)
    assert out.tokens.tolist() == [8, *range(FIRST, FIRST + 63)]
    assert out.is_target is not None
    assert out.is_target[-1]


@pytest.mark.parametrize("corruption", [0.1, 0.25, 0.5, 0.8])
def test_an_s_denoiser_continues_its_corruption_on_average(corruption: float) -> None:
    raws = raw_draws(0, "s", (0, 0, 0), 4000)
    shares = [continued(1000, corruption, int(raw)) / 1000 for raw in raws]
    assert np.mean(shares) == pytest.approx(corruption, abs=0.01)
    assert len(set(shares)) > 100


@pytest.mark.slow
def test_denoisers_are_drawn_by_weight_within_three_sigma() -> None:
    weights = {"R": 2, "S": 1, "X": 4}
    count, seen = 4000, Counter[int]()
    objective = ul2()
    for sample in range(count):
        seen[int(objective(sample_of(12, context=40), 0, sample).tokens[0])] += 1
    for kind, weight in weights.items():
        share = weight / 7
        assert abs(seen[CONTROL.modes[kind]] - share * count) < 3 * (count * share * (1 - share)) ** 0.5


def test_a_long_document_is_corrupted_in_parts_that_have_enough_sentinels() -> None:
    denoiser = Denoiser(kind="X", mean_span=3, corruption="0.5")
    out = ul2(denoiser)(sample_of(2500, context=2048), 0, 0)
    parts = fragments_of(out.tokens, 0, 4)
    assert len(parts) == 3, "some 1,530 tokens in 255 spans"
    assert all(ids[0] == CONTROL.modes["X"] and is_ended for ids, is_ended in parts)
    text: list[int] = []
    for ids, _ in parts:
        split = ids.index(SENTINELS[0], ids.index(SENTINELS[0]) + 1)
        text += joined(ids[1:split], ids[split:], SENTINELS)
    assert text == list(range(FIRST, FIRST + len(text)))
    assert len(text) > 1500
    assert int((out.tokens == CONTROL.pad).sum()) < 6


@pytest.mark.parametrize("context", [64, 512])
@pytest.mark.parametrize("kind", ["R", "X"])
def test_every_span_of_a_sample_is_whole_and_followed_by_end_of_text(context: int, kind: str) -> None:
    denoisers = [d for d in UL2_DENOISERS if d.kind == kind]
    for sample in range(60):
        tokens = sample_of(30 + sample, 7, 200, context=context)
        for ids, is_ended in fragments_of(ul2(*denoisers)(tokens, 0, sample).tokens, 0, 4):
            assert is_ended
            split = ids.index(SENTINELS[0], ids.index(SENTINELS[0]) + 1)
            text = joined(ids[1:split], ids[split:], SENTINELS)
            assert text == list(range(FIRST, FIRST + len(text)))


def test_the_same_sample_is_the_same_whoever_asks_and_when() -> None:
    tokens, objective = sample_of(90, 40, 300, context=256), ul2()
    first = [objective(tokens, epoch, sample) for epoch in (0, 1) for sample in range(5)]
    again = [objective(tokens, epoch, sample) for epoch in (1, 0) for sample in reversed(range(5))]
    order = [*again[9:4:-1], *again[4::-1]]
    assert [row.tokens.tolist() for row in first] == [row.tokens.tolist() for row in order]
    assert len({tuple(row.tokens) for row in first}) == 10
    assert not np.array_equal(ul2(seed=6)(tokens, 0, 0).tokens, first[0].tokens)


def test_samples_never_change() -> None:
    # golden: a change here changes the data of every run that is resumed
    rows = [ul2()(sample_of(90, 40, 300, context=256), 1, sample) for sample in range(20)]
    made = [(row.tokens.tolist(), row.is_target.tolist()) for row in rows if row.is_target is not None]
    assert hashlib.sha256(repr(made).encode()).hexdigest()[:16] == "7e046928fe411175"


@given(ids=st.lists(st.integers(0, 511), max_size=80), sample=st.integers(0, 1000))
def test_any_ids_at_all_keep_their_length(ids: list[int], sample: int) -> None:
    tokens = np.array(ids, dtype=np.int64)
    out = ul2()(tokens, 0, sample)
    assert out.tokens.shape == tokens.shape
    assert out.is_target is not None
    assert out.is_target.shape == tokens.shape


def test_without_mode_tokens_none_is_there() -> None:
    out = ul2(mode_tokens=False)(sample_of(200, 60, context=256), 0, 0)
    assert set(out.tokens.tolist()).isdisjoint(CONTROL.modes.values())


def test_the_manifest_asks_for_it(tokenizer: Tokenizer) -> None:
    objective = objective_for(Objective.model_validate({"ul2": {"modeTokens": False}}), tokenizer, 3)
    assert isinstance(objective, Ul2Objective)
    assert (len(objective.denoisers), objective.mode_tokens, objective.seed) == (7, False, 3)
    assert objective.control.sentinels == tuple(map(tokenizer.token_to_id, names.SENTINEL_TOKENS))


def test_a_tokenizer_without_sentinels_is_refused() -> None:
    with pytest.raises(UserError, match=r"no token <\|mode_r\|>"):
        ControlTokens.of({names.END_OF_TEXT: 0, names.FIM_PAD: 4})
