"""Sampling and stop strings: nothing outside the nucleus, nothing lost, nothing too early."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_model.sampling import StopScanner, choose, first_stop, nucleus


@pytest.mark.parametrize(
    ("pieces", "stop", "shown", "stopped"),
    [
        pytest.param(["ab", "cd"], ["bc"], ["a", ""], True, id="across two pieces"),
        pytest.param(["ab", "d"], ["bc"], ["a", "bd"], False, id="held back, then shown"),
        pytest.param(["x\n\ny"], ["\n\n", "\n"], ["x"], True, id="the earliest place wins"),
        pytest.param(["aaab"], ["aab"], ["a"], True, id="an overlap with itself"),
        pytest.param(["abc"], [], ["abc"], False, id="no stop strings"),
    ],
)
def test_a_stop_string_is_never_shown(
    pieces: list[str], stop: list[str], shown: list[str], stopped: bool
) -> None:
    scanner = StopScanner(stop)
    results = [scanner.add(piece) for piece in pieces]
    assert [text for text, _ in results] == shown
    assert results[-1][1] == stopped


SMALL = st.text(alphabet="ab\n", max_size=12)


@given(st.lists(SMALL, max_size=8), st.lists(SMALL.filter(bool), max_size=4))
def test_stopping_piece_by_piece_is_stopping_the_whole_text(pieces: list[str], stop: list[str]) -> None:
    scanner, shown, stopped = StopScanner(stop), "", False
    for piece in pieces:
        text, stopped = scanner.add(piece)
        shown += text
        if stopped:
            break
    if not stopped:
        shown += scanner.finish()
    whole = "".join(pieces)
    pool = [whole.find(word) for word in stop if word in whole]
    assert stopped == bool(pool)
    if not pool:
        assert shown == whole
        return
    # The word that is complete first ends the text; among those complete in one piece the earliest start wins.
    assert whole.startswith(shown)
    assert not any(word in shown for word in stop)
    assert scanner.met in stop
    assert whole.startswith(scanner.met, len(shown))


@pytest.mark.parametrize("pieces", [["x\n\ny"], ["x\n", "\n"], ["x", "\n", "\ny"]])
def test_of_stop_strings_that_begin_at_one_place_the_one_that_is_whole_first_is_named(
    pieces: list[str],
) -> None:
    scanner = StopScanner(["\n\n", "\n"])
    assert any(scanner.add(piece)[1] for piece in pieces)
    assert scanner.met == "\n"


LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30).map(
    lambda x: np.array(x, np.float32)
)


@given(LOGITS, st.floats(0.05, 2), st.floats(0.01, 1), st.integers(0, 1 << 30))
def test_a_sampled_token_is_in_the_nucleus(
    logits: np.ndarray, temperature: float, top_p: float, seed: int
) -> None:
    token = choose(logits, temperature, top_p, np.random.default_rng(seed))
    scaled = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    weights = scaled / scaled.sum()
    likelier = weights[weights > weights[token]].sum()
    assert likelier < top_p + 1e-9
    assert token == choose(logits, temperature, top_p, np.random.default_rng(seed))


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    assert choose(np.array([0, 3, 3, 1], np.float32), 0.0, 1.0, None) == 1


def test_sampling_follows_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    random = np.random.default_rng(1)
    counts = np.bincount([choose(logits, 1.0, 1.0, random) for _ in range(4000)], minlength=3) / 4000
    assert np.allclose(counts, [0.5, 0.3, 0.2], atol=0.03)
    nucleus = {choose(logits, 1.0, 0.7, random) for _ in range(200)}
    assert nucleus == {0, 1}


@pytest.mark.slow
@given(st.lists(LOGITS, min_size=1, max_size=4), st.floats(0.01, 1), st.data())
def test_tensors_are_drawn_from_as_arrays_are(
    rows: list[np.ndarray], top_p: float, data: st.DataObject
) -> None:
    import torch

    width = max(map(len, rows))
    padded = [np.pad(row, (0, width - len(row)), constant_values=-np.inf) for row in rows]
    chances = torch.tensor(np.array(padded)).double().softmax(-1).sort(-1, descending=True).values
    uniforms = torch.tensor([data.draw(st.floats(0, 1, exclude_max=True)) for _ in rows]).double()
    drawn = nucleus(chances, uniforms, top_p)
    assert drawn.tolist() == nucleus(chances.numpy(), uniforms.numpy(), top_p).tolist()
    for row, place in zip(chances.tolist(), drawn.tolist(), strict=True):
        assert row[place] > 0 and sum(row[:place]) < top_p + 1e-12


def test_a_uniform_that_rounds_up_to_the_whole_mass_stays_in_the_nucleus() -> None:
    chances = np.array([[0.6, 0.4, 0.0, 0.0]])
    assert nucleus(chances, np.array([1.0]), 0.5).tolist() == [0]
    assert nucleus(chances, np.array([1.0]), 1.0).tolist() == [1]


@given(SMALL, st.lists(SMALL.filter(bool), max_size=4))
def test_a_text_ends_before_its_first_stop_string(text: str, stop: list[str]) -> None:
    cut = text[: first_stop(text, stop)]
    assert not any(word in cut for word in stop)
    assert cut == text or any(text.startswith(word, len(cut)) for word in stop)
