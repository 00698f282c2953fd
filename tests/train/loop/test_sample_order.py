"""Every number of processes sees the same batches, and none sees a sample twice in an epoch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_train.loop import sample_order
from daybreak_train.loop.sample_order import StreamPosition, epoch_order, global_batches, share_of
from daybreak_train.pod.environment import ProcessPlacement

SIZES = [40, 7, 300, 1, 128]
WORLDS = [(1, 1), (2, 1), (3, 1), (2, 2), (4, 1), (3, 8), (24, 1)]
"""Machines and processes on each."""


def placements(machines: int, local: int) -> list[ProcessPlacement]:
    world = machines * local
    return [ProcessPlacement(rank, world, rank % local, local) for rank in range(world)]


@pytest.mark.parametrize(("machines", "local"), WORLDS, ids=str)
@pytest.mark.parametrize("batch", [24, 32, 64])
def test_shares_are_a_partition_that_is_one_apart_at_most(machines: int, local: int, batch: int) -> None:
    ids = np.arange(1000, 1000 + batch)
    parts = [share_of(ids, placement) for placement in placements(machines, local)]
    assert sorted(np.concatenate(parts).tolist()) == ids.tolist()
    assert {len(part) for part in parts} <= {batch // len(parts), -(-batch // len(parts))}


def test_machines_that_divide_the_paths_read_paths_of_their_own() -> None:
    paths = np.arange(256) % sample_order.CANONICAL_NODES
    of_machine = [
        set(
            np.concatenate(
                [share_of(paths, each) for each in placements(4, 2) if each.rank // 2 == machine]
            ).tolist()
        )
        for machine in range(4)
    ]
    assert sum(len(found) for found in of_machine) == sample_order.CANONICAL_NODES


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(0, 99), st.integers(0, 5))
def test_an_epoch_is_every_sample_once(sizes: list[int], seed: int, epoch: int) -> None:
    assert sorted(epoch_order(sizes, seed, epoch).tolist()) == list(range(sum(sizes)))


@pytest.mark.parametrize("count", [64, 65, 127, 1000])
def test_a_large_data_set_shows_every_sample_once_too(count: int) -> None:
    assert sorted(sample_order._across_paths(count, 64).tolist()) == list(range(count))


@given(st.integers(0, 60))
def test_any_step_can_be_gone_on_from(step: int) -> None:
    per_epoch = sum(SIZES) // 32
    whole = [ids.tolist() for _, ids in itertools.islice(global_batches(SIZES, 32, 3, StreamPosition()), 64)]
    rest = global_batches(SIZES, 32, 3, StreamPosition.at_step(step, per_epoch))
    assert [ids.tolist() for _, ids in itertools.islice(rest, 64 - step)] == whole[step:]


def test_the_order_is_the_one_that_runs_were_trained_with() -> None:
    assert epoch_order([10, 6], 5, 1).tolist() == [2, 3, 10, 13, 6, 12, 4, 15, 8, 9, 0, 5, 14, 11, 1, 7]
