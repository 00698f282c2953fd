"""The greedy choice: nothing goes without a kept file like it, nothing stays beside a preferred file like it."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.duplicates import keepers
from daybreak_data.duplicates.keepers import Keepers, Member, jaccard
from daybreak_data.duplicates.signatures import NUM_PERMUTATIONS, signatures_of
from daybreak_data.duplicates.word_grams import gram_sets
from tests.data.duplicates import test_signatures as planted

THRESHOLD = 0.7


def members_of(texts: list[str]) -> list[Member]:
    array = pa.array(texts)
    _, bands, sketches = signatures_of(array)
    return [
        Member(number, np.frombuffer(sketch, np.uint8), np.array(keys, np.int64), grams)
        for number, (keys, sketch, grams) in enumerate(
            zip(bands.to_pylist(), sketches.to_pylist(), gram_sets(array, 5), strict=True)
        )
    ]


def families(count: int, copies: int, seed: int) -> list[str]:
    """Real files and changed copies of copies, in any order."""
    chance = random.Random(seed)
    texts = []
    for original in planted.python_files(count, seed):
        copy = original
        for _ in range(copies):
            copy = planted.mutated(copy, chance.choice((0.02, 0.05, 0.1)), chance)
            texts.append(copy)
    return chance.sample(texts, len(texts))


@pytest.mark.slow
@pytest.mark.parametrize(
    "compared", [pytest.param(1024, id="with all kept"), pytest.param(0, id="with those that share a band")]
)
def test_what_goes_is_like_a_kept_file_and_what_stays_is_like_none(
    monkeypatch: pytest.MonkeyPatch, compared: int
) -> None:
    monkeypatch.setattr(keepers, "ALL_COMPARED", compared)
    texts = families(20, copies=6, seed=3)
    choice = Keepers(THRESHOLD)
    kept: list[int] = []
    missed = gone = 0
    for member in members_of(texts):
        keeper, likeness = choice.place(member)
        similarities = [planted.jaccard(texts[member.path_id], texts[other]) for other in kept]
        if keeper == member.path_id:
            kept.append(keeper)
            missed += any(similarity >= 0.8 for similarity in similarities)
        else:
            gone += 1
            assert keeper in kept
            assert likeness == pytest.approx(planted.jaccard(texts[member.path_id], texts[keeper]))
            assert likeness >= THRESHOLD
    assert gone > 40
    assert missed <= 0.05 * gone


SETS = st.sets(st.integers(0, 30), max_size=30)


@given(SETS, SETS, st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_similarity_is_that_of_the_sets(left: set[int], right: set[int], least: float) -> None:
    arrays = [np.array(sorted(side), np.uint64) for side in (left, right)]
    true = len(left & right) / len(left | right) if left and right else 0.0
    found = jaccard(arrays[0], arrays[1], least)
    assert found == true or (found == 0.0 and true < least)


@given(st.lists(SETS, max_size=12))
def test_the_choice_is_the_first_independent_set(sets: list[set[int]]) -> None:
    """Against a definition in plain Python, with sketches that hide nothing."""
    sketch, bands = np.zeros(NUM_PERMUTATIONS, np.uint8), np.zeros(0, np.int64)
    choice, expected = Keepers(THRESHOLD), []
    for number, own in enumerate(sets):
        keeper, _ = choice.place(Member(number, sketch, bands, np.array(sorted(own), np.uint64)))
        like = [i for i in expected if own and len(own & sets[i]) >= THRESHOLD * len(own | sets[i])]
        assert keeper == (like[0] if like else number)
        if not like:
            expected.append(number)
