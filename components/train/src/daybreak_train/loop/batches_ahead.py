"""Batches made ahead of the step, in processes of their own: a GPU that waits for text to be cut is a GPU idle.

Owns the processes' life: an error in one is the training's error, with its words; one that is killed ends the training
as an infrastructure failure; none outlives the training, however that ends. Owns no order and no objective: batches
come as asked for, and equal whatever the number of processes, because an objective draws by sample and not by process.

Processes and not threads: the transform is Python between calls of the tokenizer, and holds the interpreter lock while
the step would launch its kernels.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from daybreak_contracts.errors import TransientError

BATCHES_A_PROCESS = 2
LOST = "a process that makes batches ahead was ended from outside, most likely out of memory"
_PR_SET_PDEATHSIG = 1


class Maker(Protocol):
    """Makes a batch of what names it."""

    def __getitem__(self, wanted: Any) -> Any:
        """Return the batch."""


def made_ahead(
    make: Maker, wanted: Iterable[Any], processes: int, pin_memory: bool
) -> Generator[Any, None, None]:
    """Yield ``make[each]`` for each that is wanted, in order; with no processes it is made here, when asked for."""
    if processes == 0:
        for each in wanted:
            yield make[each]
        return
    loader: DataLoader[Any] = DataLoader(
        _Guarded(make),
        batch_size=None,
        sampler=wanted,
        collate_fn=_as_it_is,
        num_workers=processes,
        prefetch_factor=BATCHES_A_PROCESS,
        multiprocessing_context="fork",
        worker_init_fn=_LivesWith(os.getpid()),
        pin_memory=pin_memory,
        generator=torch.Generator(),  # its own: the loader draws from it and must not move the model's
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        batches = iter(loader)
    try:
        for batch in batches:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    except (ConnectionError, EOFError) as error:  # it died while its batch was handed over
        raise TransientError(f"{LOST}: {error}") from error
    finally:
        batches._shutdown_workers()  # type: ignore[attr-defined]  # now, and not when it happens to be collected


@contextlib.contextmanager
def lost_process_named() -> Iterator[None]:
    """Turn torch's error for a process that was killed into an infrastructure failure: it may come up at any line."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TransientError(f"{LOST}: {error}") from error


class _Guarded(Dataset[Any]):
    """Returns an error in place of raising it: torch would put a traceback into its message and lose its kind."""

    def __init__(self, make: Maker) -> None:
        self._make = make

    def __getitem__(self, wanted: Any) -> Any:
        try:
            return self._make[wanted]
        except Exception as error:  # noqa: BLE001 - whatever it is, the training must end by it
            try:
                pickle.loads(pickle.dumps(error))  # our own, a moment ago
            except Exception:  # noqa: BLE001 - an error that can't travel would be waited for without end
                return RuntimeError(f"{type(error).__name__}: {error}")
            return error


class _LivesWith:
    """Ties a process to its training: it ends with it, and not before it by a signal to the whole group."""

    def __init__(self, training: int) -> None:
        self._training = training
        self._asked = 0

    def __call__(self, worker: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._note)
        # the kernel ends this process when its parent ends, also by SIGKILL: it holds the run's lock as its parent does
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._training:
            os._exit(1)

    def _note(self, number: int, frame: object) -> None:
        """Outlive the first SIGTERM: torchrun sends it to the group, and the training wants to save first.

        The training's own comes when it is done with this process, and again when it ends.
        """
        self._asked += 1
        if self._asked > 1:
            os._exit(0)


def _as_it_is(batch: Any) -> Any:
    return batch
