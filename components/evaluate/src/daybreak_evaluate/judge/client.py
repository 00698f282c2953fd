"""The judge as a suite uses it: programs in, verdicts out.

Owns the supervisor process and the order of verdicts. Samples whose wall time ran out on a busy machine are judged once
more, alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate.judge.cgroup import MEMBERSHIPS, ROOT, allowance, num_workers
from daybreak_evaluate.judge.channel import ChannelClosedError, Correspondence, SilentPeerError
from daybreak_evaluate.judge.clock import longest_s
from daybreak_evaluate.judge.interpreter import start_interpreter
from daybreak_evaluate.judge.rootfs import remove_scratch
from daybreak_evaluate.judge.values import FailureKind, Program, SampleVerdict, SandboxLimits, Tier, failed

MAX_TIMEOUT_S = 3600.0
MAX_WORKERS = 512
MIN_MEMORY_BYTES = 128 << 20
START_S = 300.0
"""The supervisor tries the locks and starts the zygote, which may import numpy, on a machine that may be busy."""
STOP_S = 60.0


def patience_s(limits: SandboxLimits) -> float:
    """Return after which silence the supervisor is taken for dead: no sample and no replaced zygote takes as long."""
    return longest_s(limits.timeout_s) + START_S


class Judge:
    """A sandbox, started and stopped by ``with``."""

    def __init__(
        self, limits: SandboxLimits | None = None, workers: int = 0, *, without: Sequence[str] = ()
    ) -> None:
        self.limits = limits if limits is not None else SandboxLimits()
        if not (math.isfinite(self.limits.timeout_s) and 0 < self.limits.timeout_s <= MAX_TIMEOUT_S):
            raise UserError(
                f"timeout must be above 0 and at most {MAX_TIMEOUT_S:g} s, got {self.limits.timeout_s}"
            )
        if self.limits.memory_bytes < MIN_MEMORY_BYTES:
            raise UserError(
                f"memory must be at least {MIN_MEMORY_BYTES >> 20} MiB, which an interpreter takes, "
                f"got {self.limits.memory_bytes} bytes"
            )
        if not 0 <= workers <= MAX_WORKERS:
            raise UserError(f"workers must be from 0 to {MAX_WORKERS}, got {workers}")
        self._workers = workers if workers else default_workers(self.limits)
        self._without = list(without)
        self._supervisor: Correspondence | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tier: Tier | None = None
        self._scratch = ""

    @property
    def tier(self) -> Tier:
        """How strongly candidates are held."""
        if self._tier is None:
            raise RuntimeError("the judge has not been started")
        return self._tier

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        if self._process is None:
            raise RuntimeError("the judge has not been started")
        return self._process.pid

    def __enter__(self) -> Judge:
        ours, theirs = socket.socketpair()
        settings = {
            "limits": dataclasses.asdict(self.limits),
            "num_slots": self._workers,
            "without": self._without,
            "temporary": tempfile.gettempdir(),
        }
        packages = sysconfig.get_path("purelib")
        with theirs:
            self._process = start_interpreter("supervisor", json.dumps(settings), theirs, packages)
        self._supervisor = Correspondence(ours)
        try:
            greeting = self._receive()
        except BaseException:
            self._stop()
            raise
        tier, self._scratch = greeting["tier"], greeting["scratch"]
        self._tier = Tier(tier["level"], tier["name"], tuple(tier["details"]))
        if not greeting["usable"]:
            self._stop()
            raise UserError(
                "the judge cannot lock candidates in here: this kernel gives neither namespaces nor seccomp "
                f"({'; '.join(self._tier.details)}); run it where one of them is allowed"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.close()
        if self._process is not None:
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:  # it takes its testers, zygote and candidates with it
                self._process.kill()
                self._process.wait()
        remove_scratch(self._scratch)  # where the supervisor was killed before it could

    def judge(self, programs: Iterable[Program]) -> Iterator[tuple[int, SampleVerdict]]:
        """Yield the index and verdict of each program, in the order in which they are done."""
        waiting = iter(enumerate(programs))
        running: dict[int, Program] = {}
        doubtful: list[tuple[int, Program]] = []
        more = True
        while more or running:
            while more and len(running) < 2 * self._workers:
                index, program = next(waiting, (-1, None))
                if program is None:
                    more = False
                elif (verdict := self._refuse(program)) is not None:
                    yield index, verdict
                else:
                    running[index] = program
                    self._submit(index, program)
            if running:
                reply = self._receive()
                program = running.pop(reply["id"])
                if reply["starved"]:
                    doubtful.append((reply["id"], program))
                else:
                    yield reply["id"], _verdict(reply)
        for index, program in doubtful:
            self._submit(index, program)
            yield index, _verdict(self._receive())

    def _refuse(self, program: Program) -> SampleVerdict | None:
        size = len(program.source.encode("utf-8", "surrogatepass"))
        if size > self.limits.source_bytes:
            message = f"the program has {size} bytes, more than {self.limits.source_bytes} are not run"
            return failed(message, FailureKind.TOO_LARGE)
        return None

    def _submit(self, index: int, program: Program) -> None:
        assert self._supervisor is not None
        self._supervisor.send({"id": index, "program": dataclasses.asdict(program)})

    def _receive(self) -> dict[str, Any]:
        assert self._supervisor is not None
        try:
            return self._supervisor.receive(patience_s(self.limits))
        except SilentPeerError as error:
            raise TransientError(f"the judge's process {error}, run again") from error
        except ChannelClosedError as error:
            message = "the judge's process is gone, perhaps for want of memory or processes; run again"
            raise TransientError(message) from error


def _verdict(reply: dict[str, Any]) -> SampleVerdict:
    return SampleVerdict(reply["passed"], reply["result"], FailureKind(reply["kind"]), reply["cpu_s"])


def default_workers(limits: SandboxLimits | None = None) -> int:
    """Return how many samples to judge at once here: what cores and memory of this machine and this pod allow."""
    each = (limits if limits is not None else SandboxLimits()).memory_bytes * 5 // 4
    try:
        memberships = MEMBERSHIPS.read_text()
    except OSError:  # a kernel without control groups
        memberships = ""
    return num_workers(each, len(os.sched_getaffinity(0)), _available_bytes(), allowance(memberships, ROOT))


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 1 << 40
