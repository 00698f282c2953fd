"""Who is held out and where each document lies: decisions on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts.shards import HELD_OUT, TRAIN
from daybreak_data.shards.plan import (
    FILE,
    REPOSITORY,
    Documents,
    choose_split,
    make_plan,
    num_partitions,
)
from daybreak_data.tokenizer.sample import Longs

UNITS = st.lists(
    st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 10**7)), min_size=2, unique_by=lambda u: u[0]
)


@given(UNITS, st.floats(0.001, 0.499))
def test_each_side_gets_a_unit_and_the_held_out_one_stays_small(
    units: list[tuple[int, int]], share: float
) -> None:
    hashes = np.array([unit for unit, _ in units], np.uint64)
    sizes = np.array([size for _, size in units], np.int64)
    cut, never = choose_split(hashes, sizes, share)
    held_out = (hashes <= np.uint64(cut)) & ~np.isin(hashes, np.array(never, np.uint64))
    assert 0 < held_out.sum() < len(units)
    target = share * sizes.sum()
    if (sizes <= target).any():
        assert sizes[held_out].sum() <= 2 * target
        assert (sizes[held_out] <= target).all()
    else:
        assert sizes[held_out].sum() == sizes.min()


def test_a_held_out_repository_stays_so_when_others_come_behind_it() -> None:
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 1 << 62, 500).astype(np.uint64))
    sizes = rng.integers(1000, 2000, len(hashes))
    cut, _ = choose_split(hashes, sizes, 0.05)
    behind = np.concatenate([hashes, hashes + np.uint64(1 << 63)])
    later, _ = choose_split(behind, np.concatenate([sizes, sizes]), 0.05)
    assert later > cut, "more is held out, and all that was before"


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [
        pytest.param(0, 1, id="nothing"),
        pytest.param(8 << 20, 1, id="a-small-corpus-is-not-cut"),
        pytest.param(60 << 20, 7, id="first-light"),
        pytest.param(1 << 30, 16, id="a-gigabyte"),
        pytest.param(192 << 30, 1024, id="a-large-corpus-gets-full-shards"),
    ],
)
def test_partitions_follow_the_size_of_the_data(num_bytes: int, expected: int) -> None:
    assert num_partitions(num_bytes) == expected


def known(repositories: list[str], ids: Longs) -> Documents:
    return Documents(repositories, ["a"] * len(ids), ["c"] * len(ids), ids)


def place_all(repositories: list[str], sizes: list[int], seed: int = 0) -> dict[int, tuple[str, str, int]]:
    ids = np.array([(number + 1) * 1_000_003 for number in range(len(sizes))], np.int64)
    documents = known(repositories, ids)
    plan = make_plan(documents, np.array(sizes, np.int64), 0.1, seed)
    found = plan.place(documents)
    assert found.rows.tolist() == list(range(len(ids))), "without a mixture each is written once"
    return {
        int(ids[i]): (repositories[i], plan.name(int(found.parts[i]))[0], int(found.places[i]))
        for i in range(len(repositories))
    }


def test_a_repository_is_on_one_side_as_a_whole() -> None:
    repositories = [f"r{number % 40}" for number in range(1000)]
    placed = place_all(repositories, [100] * 1000)
    sides: dict[str, set[str]] = {}
    for repository, side, _ in placed.values():
        sides.setdefault(repository, set()).add(side)
    assert all(len(side) == 1 for side in sides.values())
    assert sum(side == {HELD_OUT} for side in sides.values()) == 4, "a tenth of forty equal ones"


def test_places_do_not_depend_on_the_order_of_documents() -> None:
    repositories = [f"r{number % 7}" for number in range(50)]
    ids = np.arange(1, 51, dtype=np.int64) * 99_991
    sizes = np.arange(50, dtype=np.int64) + 5
    plan = make_plan(known(repositories, ids), sizes, 0.2, 3)
    turned = make_plan(known(repositories[::-1], ids[::-1]), sizes[::-1], 0.2, 3)
    assert plan == turned


def test_one_repository_alone_is_split_by_file_and_says_so() -> None:
    ids = np.arange(1, 101, dtype=np.int64)
    plan = make_plan(known(["mine"] * 100, ids), np.full(100, 10), 0.1, 0)
    assert plan.split.unit == FILE
    assert "only one repository (mine)" in plan.split.note
    parts = plan.place(known(["mine"] * 100, ids)).parts
    held_out = sum(plan.name(int(part))[0] == HELD_OUT for part in parts)
    assert held_out == 10


@pytest.mark.parametrize("count", [0, 1], ids=["none", "one"])
def test_too_few_documents_to_split_is_the_users_fault(count: int) -> None:
    with pytest.raises(UserError, match=rf"^{count} document\(s\) are left to make shards of, at least two"):
        make_plan(known(["r"] * count, np.arange(count, dtype=np.int64)), np.full(count, 10), 0.1, 0)


def test_two_repositories_are_enough() -> None:
    ids = np.array([1, 2], np.int64)
    plan = make_plan(known(["a", "b"], ids), np.array([10, 10_000]), 0.02, 0)
    parts = plan.place(known(["a", "b"], ids)).parts
    assert plan.split.unit == REPOSITORY
    assert [plan.name(int(part))[0] for part in parts] == [HELD_OUT, TRAIN], "the small one is held out"
