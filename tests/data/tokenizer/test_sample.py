"""The sample: caps per language, held-out documents, independence of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.tokenizer.sample import HELD_OUT_BYTES, Index, language_caps, plan_sample, scrambled

SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=60)


def index_of(sizes: list[int], languages: list[int], order: list[int] | None = None) -> Index:
    places = np.arange(len(sizes)) if order is None else np.array(order)
    ids = np.array([(number * 7919) % 100_003 for number in range(len(sizes))], np.int64)
    return Index(ids[places], np.array(languages, np.int32)[places], np.array(sizes, np.int64)[places])


@given(SIZES, st.integers(1, 200_000), st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_sample_is_disjoint_bounded_and_independent_of_order(sizes, budget, seed, rng) -> None:  # type: ignore[no-untyped-def]
    languages = [number % 3 for number in range(len(sizes))]
    order = list(range(len(sizes)))
    rng.shuffle(order)
    sample = plan_sample(index_of(sizes, languages), ["a", "b", "c"], budget, seed)
    shuffled = plan_sample(index_of(sizes, languages, order), ["a", "b", "c"], budget, seed)
    assert np.array_equal(sample.learned, shuffled.learned)
    assert np.array_equal(sample.measured, shuffled.measured)
    assert set(sample.learned.tolist()).isdisjoint(sample.measured.tolist())
    known = index_of(sizes, languages)
    taken = known.sizes[np.isin(known.path_ids, sample.learned)].sum()
    assert taken <= budget + 3 * max(sizes), "each language may pass its cap by the document that reaches it"


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1), st.integers(1, 10**9))
def test_caps_use_the_whole_budget_when_there_is_enough(available: dict[str, int], budget: int) -> None:
    caps = language_caps(available, budget)
    assert set(caps) == set(available)
    assert all(0 < caps[name] <= available[name] * (1 + 1e-9) for name in caps)
    assert sum(caps.values()) == pytest.approx(min(budget, sum(available.values())))


def test_rare_languages_get_more_than_their_share() -> None:
    caps = language_caps({"python": 1_000_000, "go": 10_000}, 50_000)
    assert caps["go"] / 50_000 == pytest.approx(1 / (1 + 100**0.7))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([10], 0, id="a-single-document-is-learned-from"),
        pytest.param([10, 10], 1, id="of-two-one-is-measured"),
        pytest.param([10] * 1000, 20, id="two-per-cent-of-many"),
        pytest.param([HELD_OUT_BYTES // 4] * 1000, 4, id="no-more-than-the-cap-in-bytes"),
    ],
)
def test_how_many_documents_are_held_out(sizes: list[int], expected: int) -> None:
    sample = plan_sample(index_of(sizes, [0] * len(sizes)), ["python"], 1 << 40, seed=1)
    assert len(sample.measured) == expected
    assert len(sample.learned) == len(sizes) - expected


def test_seeds_choose_different_samples() -> None:
    index = index_of([100] * 500, [0] * 500)
    chosen = [plan_sample(index, ["python"], 10_000, seed).learned.tolist() for seed in (0, 1)]
    assert chosen[0] != chosen[1]


def test_the_hash_is_splitmix64() -> None:
    # First output of the reference generator with seed 0 (prng.di.unimi.it/splitmix64.c) is the finaliser of its step.
    step = np.array([0x9E3779B97F4A7C15 - (1 << 64)], np.int64)
    assert int(scrambled(step, 0)[0]) == 0xE220A8397B1DCDAF
