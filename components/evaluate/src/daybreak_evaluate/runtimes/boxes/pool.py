"""Boxes as a runtime uses them: jobs in, outcomes out.

Owns the warden's process and the order of outcomes. A job whose wall time ran out on a busy machine is done once more,
alone.
"""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate.judge.channel import ChannelClosedError, Correspondence, SilentPeerError
from daybreak_evaluate.judge.client import START_S, STOP_S
from daybreak_evaluate.judge.clock import longest_s
from daybreak_evaluate.judge.values import Tier
from daybreak_evaluate.runtimes.boxes.values import BoxStep, Job, StepOutcome, as_document, outcome_from

GONE = "the process that keeps the sandboxes is gone, perhaps for want of memory or processes; run again"


def patience_s(jobs: Iterable[Job]) -> float:
    """Return after which silence the warden is taken for dead: none of these jobs takes as long."""
    return max((sum(_longest_s(step) for step in job.steps) for job in jobs), default=0.0) + START_S


def _longest_s(step: BoxStep) -> float:
    boxes = (step.box, step.partner) if step.partner else (step.box,)
    return max(longest_s(box.limits.cpu_s) for box in boxes)


class BoxPool:
    """Some slots, started and stopped by ``with``."""

    def __init__(
        self,
        places: Sequence[str],
        workers: int,
        moved: Sequence[tuple[str, str]] = (),
        patience: Callable[[Iterable[Job]], float] = patience_s,
    ) -> None:
        self._places = list(places)
        self._moved = list(moved)
        self._workers = workers
        self._patience = patience
        self._running: dict[int, Job] = {}
        self._warden: Correspondence | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._own_user = False
        self._memory = ""

    @property
    def tier(self) -> Tier:
        """How commands are held; there is one tier, since below it the pool does not start."""
        user = "a user namespace of its own" if self._own_user else "a user of its own"
        details = (
            "own pid, mount, network, IPC and host-name namespaces",
            "seccomp: no sockets, no mounts, no namespaces, no reading of other processes",
            user,
            self._memory,
        )
        return Tier(2, "namespaces and seccomp", details)

    def __enter__(self) -> BoxPool:
        ours, theirs = socket.socketpair()
        settings = {"places": self._places, "moved": self._moved, "num_slots": self._workers}
        source = str(Path(__file__).parents[3])
        boot = (
            f"import sys; sys.path.insert(0, {source!r}); "
            "from daybreak_evaluate.runtimes.boxes import warden; warden.main()"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", boot, json.dumps(settings)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._warden = Correspondence(ours)
        try:
            greeting = self._receive()
        except BaseException:
            self._stop()
            raise
        self._own_user, self._memory = greeting["own_user"], greeting["memory"]
        if greeting["trouble"]:
            self._stop()
            raise UserError(
                f"no sandbox for compilers and programs here ({greeting['trouble']}): allow user namespaces, or run "
                "as root of a container that may mount; other languages than Python need it"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._warden is not None:
            self._warden.close()
        if self._process is not None:
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:  # it takes its boxes with it
                self._process.kill()
                self._process.wait()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[int, tuple[StepOutcome, ...]]]:
        """Yield the index of each job and the outcomes of its steps, in the order in which jobs are done."""
        waiting = enumerate(jobs)
        doubtful: list[tuple[int, Job]] = []
        more = True
        while more or self._running:
            while more and len(self._running) < 2 * self._workers:
                index, job = next(waiting, (-1, None))
                if job is None:
                    more = False
                else:
                    self._submit(index, job)
            if self._running:
                index, job, outcomes = self._result()
                if outcomes[-1].starved:
                    doubtful.append((index, job))
                else:
                    yield index, outcomes
        for index, job in doubtful:
            self._submit(index, job)
            _, _, outcomes = self._result()
            yield index, outcomes

    def _submit(self, index: int, job: Job) -> None:
        assert self._warden is not None
        self._running[index] = job
        self._warden.send({"id": index, "job": as_document(job)})

    def _result(self) -> tuple[int, Job, tuple[StepOutcome, ...]]:
        reply = self._receive()
        outcomes = tuple(outcome_from(each) for each in reply["outcomes"])
        if outcomes[-1].trouble:
            raise TransientError(f"a sandbox could not be made: {outcomes[-1].trouble}")
        return reply["id"], self._running.pop(reply["id"]), outcomes

    def _receive(self) -> dict[str, Any]:
        assert self._warden is not None and self._process is not None
        try:
            return self._warden.receive(self._patience(self._running.values()))
        except SilentPeerError as error:
            self._process.kill()  # it may never hear that we hang up; its boxes end with it
            raise TransientError(f"the process that keeps the sandboxes {error}, run again") from error
        except ChannelClosedError as error:
            raise TransientError(GONE) from error


@functools.cache
def reached_tier() -> Tier:
    """Return how commands are held on this machine, by starting a pool that runs nothing, once a process."""
    with BoxPool([], 1) as pool:
        return pool.tier
