"""The supervisor: one small process that brings tester and candidate together for each sample and keeps the clocks.

Owns slots, limits of time, and the promise that nothing of a candidate is left when its verdict is given. Runs
neither tests nor candidates itself. Speaks frames of JSON with the judge's client on descriptor 0.
"""

from __future__ import annotations

import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from daybreak_evaluate.judge import kernel, tester
from daybreak_evaluate.judge.channel import Inbox, Outbox, encoded
from daybreak_evaluate.judge.clock import SampleClock
from daybreak_evaluate.judge.interpreter import start_interpreter
from daybreak_evaluate.judge.rootfs import (
    MAX_ENTRIES,
    empty_folder,
    open_slot,
    remove_scratch,
    site_folder,
    slot_folder,
    used_bytes,
)
from daybreak_evaluate.judge.sandbox import FIRST_UID, SandboxPlan, probe
from daybreak_evaluate.judge.values import TIMED_OUT, FailureKind, SampleVerdict, SandboxLimits, failed

POLL_S = 0.05
ZYGOTE_START_S = 240.0
"""For a zygote to say that it is ready: it may import numpy first, on a machine that may be busy."""
START_S = 60.0
"""For a candidate to be forked; the zygote alone waits up to 5 s for a free process."""
KILL_S = 30.0
"""For a killed candidate to be reaped; a zygote that takes longer stands still, and is replaced."""
MAX_ZYGOTES = 20
"""Zygotes that may be killed (by the kernel, for want of memory) before the judge gives up."""


@dataclasses.dataclass
class RunningSample:
    """One sample on its way."""

    serial: int
    job: int
    clock: SampleClock
    candidate_exited: bool = False
    verdict: SampleVerdict | None = None
    """What the tester said."""
    overruled: SampleVerdict | None = None
    """What the supervisor says instead, when a limit was passed."""
    starved: bool = False
    """A limit of wall time was passed while the machine was too busy to be sure."""
    cpu_s: float = 0.0
    begun_s: float = dataclasses.field(default_factory=time.monotonic)
    killed_s: float | None = None
    """When the zygote was told to kill the candidate."""


@dataclasses.dataclass
class Slot:
    """A place for one sample at a time, with its tester."""

    index: int
    pid: int = 0
    """The tester's; 0 when it has to be forked first."""
    control: socket.socket | None = None
    inbox: Inbox = dataclasses.field(default_factory=Inbox)
    outbox: Outbox | None = None
    sample: RunningSample | None = None


class Supervisor:
    """The loop of the process."""

    def __init__(
        self, client: socket.socket, plan: SandboxPlan, limits: SandboxLimits, num_slots: int
    ) -> None:
        self._client = client
        self._plan = plan
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._selector.register(client, selectors.EVENT_READ, self._read_client)
        self._inbox, self._outbox = Inbox(), Outbox(client)
        self._waiting: deque[dict[str, Any]] = deque()
        self._slots = [Slot(index) for index in range(num_slots)]
        self._next_serial = 0
        self._next_look = 0.0
        self._num_zygotes = 0
        self._open = True
        self._zygote, self._zygote_process = self._start_zygote()
        self._orders = Outbox(self._zygote)

    def run(self) -> None:
        """Serve until the client hangs up."""
        while self._open:
            self._fill_slots()
            timeout = POLL_S if any(slot.sample for slot in self._slots) else None
            self._ask_for_room()
            for key, mask in self._selector.select(timeout):
                if mask & selectors.EVENT_READ:
                    key.data(key.fileobj)
            self._flush()
            self._watch_clocks()
        for slot in self._slots:
            self._end_tester(slot)
        self._zygote.close()  # it kills what it has, then ends
        self._end_zygote()

    def _outboxes(self) -> Iterator[tuple[socket.socket, Outbox]]:
        yield self._client, self._outbox
        yield self._zygote, self._orders
        for slot in self._slots:
            if slot.control is not None and slot.outbox is not None:
                yield slot.control, slot.outbox

    def _ask_for_room(self) -> None:
        """Have the selector wake us where something is still to be sent."""
        for target, outbox in self._outboxes():
            wanted = selectors.EVENT_READ | (0 if outbox.is_empty else selectors.EVENT_WRITE)
            key = self._selector.get_key(target)
            if key.events != wanted:
                self._selector.modify(target, wanted, key.data)

    def _flush(self) -> None:
        for _, outbox in self._outboxes():
            outbox.flush()

    # the zygote

    def _start_zygote(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        self._num_zygotes += 1
        if self._num_zygotes > MAX_ZYGOTES:
            raise RuntimeError("the zygote was killed again and again")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {"plan": dataclasses.asdict(self._plan), "limits": dataclasses.asdict(self._limits)}
        with theirs:
            process = start_interpreter("zygote", json.dumps(settings), theirs, site_folder())
        ours.settimeout(ZYGOTE_START_S)
        try:
            ready = ours.recv(4096)
        except OSError:  # it stands still
            ready = b""
        if not ready:
            process.kill()
            raise RuntimeError(f"the zygote did not start, exit status {process.wait()}")
        self._selector.register(ours, selectors.EVENT_READ, self._read_zygote)
        return ours, process

    def _read_zygote(self, zygote: socket.socket) -> None:
        try:
            data = zygote.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._replace_zygote(zygote)
            return
        message = json.loads(data)
        serial = message.get("started", message.get("exited"))
        for slot in self._slots:
            if slot.sample is not None and slot.sample.serial == serial:
                if "started" in message:
                    slot.sample.clock.watch(message["pid"])
                else:
                    slot.sample.candidate_exited, slot.sample.cpu_s = True, message["cpu_s"]
                    self._finish(slot)
                return

    def _replace_zygote(self, zygote: socket.socket) -> None:
        """The zygote was killed, and its candidates with it: start another; their samples are judged again."""
        self._selector.unregister(zygote)
        zygote.close()
        self._orders.clear()
        self._end_zygote()
        self._zygote, self._zygote_process = self._start_zygote()
        self._orders = Outbox(self._zygote)
        for slot in self._slots:
            if slot.sample is not None and not slot.sample.candidate_exited:
                slot.sample.candidate_exited, slot.sample.starved = True, True
                slot.sample.overruled = failed(
                    "the sandbox was killed, perhaps for want of memory", FailureKind.MEMORY
                )
                self._finish(slot)

    def _end_zygote(self) -> None:
        """Wait for it to end; one that does not is killed, and the kernel kills its candidates with it."""
        try:
            self._zygote_process.wait(KILL_S)
        except subprocess.TimeoutExpired:
            self._zygote_process.kill()
            self._zygote_process.wait()

    # the client

    def _read_client(self, client: socket.socket) -> None:
        try:
            data = client.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._open = False
            return
        self._waiting.extend(self._inbox.feed(data))

    # the slots

    def _fill_slots(self) -> None:
        for slot in self._slots:
            if slot.sample is None and self._waiting:
                self._start_sample(slot, self._waiting.popleft())

    def _start_sample(self, slot: Slot, request: dict[str, Any]) -> None:
        orders = slot.outbox if slot.outbox is not None else self._start_tester(slot)
        self._next_serial += 1
        if self._plan.scratch:
            uid = FIRST_UID + slot.index if self._plan.change_user else None
            open_slot(self._plan.scratch, slot.index, uid)
        slot.sample = RunningSample(self._next_serial, request["id"], SampleClock(slot.pid))
        child_reader, tester_writer = os.pipe()
        tester_reader, child_writer = os.pipe()
        order = json.dumps({"spawn": slot.sample.serial, "slot": slot.index}).encode()
        self._orders.put(order, (child_reader, child_writer))
        orders.put(encoded(request["program"]), (tester_reader, tester_writer))

    def _start_tester(self, slot: Slot) -> Outbox:
        ours, theirs = socket.socketpair()
        slot.pid = os.fork()
        if slot.pid == 0:
            os.dup2(theirs.fileno(), 0)
            os.closerange(3, 1 << 16)
            tester.serve(socket.socket(fileno=0), self._limits)
        theirs.close()
        slot.control, slot.inbox, slot.outbox = ours, Inbox(), Outbox(ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda _: self._read_tester(slot, ours))
        return slot.outbox

    def _end_tester(self, slot: Slot) -> None:
        if slot.control is not None:
            os.kill(slot.pid, signal.SIGKILL)
            self._selector.unregister(slot.control)
            slot.control.close()
            os.waitpid(slot.pid, 0)
        if slot.outbox is not None:
            slot.outbox.clear()
        slot.control, slot.outbox, slot.pid = None, None, 0

    def _read_tester(self, slot: Slot, control: socket.socket) -> None:
        """Hear the verdict, then have the candidate killed."""
        if slot.control is not control:
            return  # it was ended in the same turn
        try:
            data = control.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        verdict = None
        if not data:
            self._end_tester(slot)
            verdict = failed("the test ended without a verdict", FailureKind.TEST)
        for document in slot.inbox.feed(data):
            verdict = SampleVerdict(document["passed"], document["result"], FailureKind(document["kind"]))
        if slot.sample is not None and verdict is not None:
            slot.sample.verdict = verdict
            self._kill_candidate(slot.sample)
            self._finish(slot)

    def _kill_candidate(self, sample: RunningSample) -> None:
        if not sample.candidate_exited:
            sample.killed_s = time.monotonic()
            self._orders.put(json.dumps({"kill": sample.serial}).encode())

    def _watch_clocks(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_S
        for slot in self._slots:
            sample = slot.sample
            if sample is None:
                continue
            if sample.killed_s is not None and now - sample.killed_s > KILL_S:
                self._zygote_process.kill()  # its end is heard next, and its samples judged again
            if sample.verdict is None:
                self._look_at(slot, sample, now)

    def _look_at(self, slot: Slot, sample: RunningSample, now: float) -> None:
        if not sample.clock.started:  # the candidate's time has not begun
            if now - sample.begun_s > START_S:
                self._overrule(
                    slot, sample, failed("no process could be started for it", FailureKind.MEMORY), True
                )
            return
        spent = sample.clock.read(now)
        if spent.is_over(self._limits.timeout_s):
            verdict = SampleVerdict(False, TIMED_OUT, FailureKind.TIMEOUT)
            self._overrule(slot, sample, verdict, spent.is_doubtful(self._limits.timeout_s))
        elif spent.num_tasks > self._limits.num_processes:
            message = f"more than {self._limits.num_processes} threads"
            self._overrule(slot, sample, failed(message, FailureKind.TOO_MANY_TASKS), False)
        elif self._plan.scratch:
            used = used_bytes(slot_folder(self._plan.scratch, slot.index))
            if used is None or used > self._limits.file_bytes:
                message = f"more than {self._limits.file_bytes} bytes of files, or {MAX_ENTRIES} files"
                self._overrule(slot, sample, failed(message, FailureKind.TOO_LARGE), False)

    def _overrule(self, slot: Slot, sample: RunningSample, verdict: SampleVerdict, starved: bool) -> None:
        sample.overruled = sample.verdict = verdict
        sample.starved = sample.starved or starved
        self._kill_candidate(sample)
        self._end_tester(slot)
        self._finish(slot)

    def _finish(self, slot: Slot) -> None:
        """Give the verdict once the test is over and the candidate's process is gone."""
        sample = slot.sample
        if sample is None or sample.verdict is None or not sample.candidate_exited:
            return
        if self._plan.scratch:
            empty_folder(slot_folder(self._plan.scratch, slot.index))
        verdict = sample.overruled or sample.verdict
        if sample.cpu_s >= self._limits.timeout_s:  # it was over between two looks
            verdict = SampleVerdict(False, TIMED_OUT, FailureKind.TIMEOUT)
        slot.sample = None
        document = {"passed": verdict.passed, "result": verdict.result, "kind": verdict.kind.value}
        self._outbox.put(
            encoded({"id": sample.job, **document, "cpu_s": sample.cpu_s, "starved": sample.starved})
        )


def main() -> None:
    """Start with the settings as JSON in the only argument: limits, number of slots, locks to leave out."""
    settings = json.loads(sys.argv[1])
    client = socket.socket(fileno=0)
    limits = SandboxLimits(**settings["limits"])
    plan = probe(settings["without"], settings["temporary"])
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    greeting = {"usable": plan.usable, "tier": dataclasses.asdict(plan.tier()), "scratch": plan.scratch}
    client.sendall(encoded(greeting))
    try:
        if plan.usable:
            Supervisor(client, plan, limits, settings["num_slots"]).run()
    finally:
        remove_scratch(plan.scratch)
