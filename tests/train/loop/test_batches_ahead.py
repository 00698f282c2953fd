"""Batches made ahead are the batches made in series, and their processes live and die with the training."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from daybreak_contracts import artifacts
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.resources.run import Objective
from daybreak_train.loop.batches_ahead import lost_process_named, made_ahead
from daybreak_train.loop.data_loading import Batch, Collator, SampleShape, Shards, TrainStream
from daybreak_train.loop.sample_order import StreamPosition
from daybreak_train.objectives.select import objective_for
from daybreak_train.pod.environment import ProcessPlacement

SHAPE = SampleShape(context_length=64, vocabulary_size=512, pad_id=4)
START = StreamPosition(0, 17)
"""Three batches before the end of an epoch."""


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def children() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


@pytest.fixture
def batches(made: Any, middle: Objective, tokenizer: Any, tmp_path: Path) -> Callable[[int], list[Batch]]:
    shards = Shards(made.shards, artifacts.load(made.shards), tmp_path / "cache")

    def take(processes: int) -> list[Batch]:
        collate = Collator(objective_for(middle, tokenizer, 3), SHAPE)
        stream = TrainStream(shards, ProcessPlacement(), 64, 5, collate, processes_ahead=processes)
        found = list(itertools.islice(stream.batches(START), 8))
        stream.close()
        return found

    return take


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_bytes(batches: Callable[[int], list[Batch]]) -> None:
    before, generator = children(), torch.get_rng_state()
    in_series = batches(0)
    assert torch.equal(torch.get_rng_state(), generator), "the model's random numbers are left alone"
    for processes in (1, 2):
        ahead = batches(processes)
        for one, other in zip(in_series, ahead, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), generator)
    assert children() == before, "a closed stream leaves no process"


class Squares:
    """What is made of a number; some can't be."""

    def __getitem__(self, wanted: int) -> torch.Tensor:
        if wanted == 3:
            raise UserError("three: is not a number here, use another")
        if wanted == 5:
            raise ValueError(lambda: None)  # can't be sent to another process
        if wanted == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.tensor(wanted**2)


# torch raises for a killed process at any line: inside hypothesis's note of a collection, Python swallows it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        pytest.param(3, UserError, "^three: is not a number here, use another$", id="the-users-error"),
        pytest.param(5, RuntimeError, "^ValueError: <function", id="an-error-that-cannot-travel"),
        pytest.param(
            7, TransientError, "ended from outside, most likely out of memory", id="a-process-is-killed"
        ),
    ],
)
def test_what_goes_wrong_ahead_ends_the_training_by_its_own_words(
    bad: int, kind: type[Exception], message: str
) -> None:
    made = made_ahead(Squares(), iter([1, 2, bad, 4]), 1, pin_memory=False)
    with pytest.raises(kind, match=message), lost_process_named():
        assert [int(batch) for batch in made] == []
    made.close()
    until(lambda: not children())


TRAINING = """
import itertools, multiprocessing, signal, time
from daybreak_train.loop.batches_ahead import made_ahead

class Squares:
    def __getitem__(self, wanted):
        return wanted**2

made = made_ahead(Squares(), itertools.repeat(2), 2, pin_memory=False)
next(made), next(made)  # both processes are at work
signal.signal(signal.SIGTERM, lambda number, frame: print(next(made), flush=True))
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
while True:
    time.sleep(0.01)
"""
"""A training that never ends."""


@pytest.mark.slow
def test_processes_ahead_outlive_a_sigterm_to_the_group_and_not_the_training() -> None:
    """In a process of its own: a fork of one that has computed with torch can wait for ever."""
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert training.stdout is not None
    with training.stdout:
        ahead = training.stdout.readline().split()
        assert len(ahead) == 2
        os.killpg(training.pid, signal.SIGTERM)
        assert training.stdout.readline().strip() == "4", "the training goes on to its checkpoint"
        os.kill(training.pid, signal.SIGKILL)
        training.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ahead), 10)
