"""The warden: one small process that runs jobs in boxes, as many at once as it was told, and keeps their limits.

Owns slots, scratch folders, the order of a job's steps, and the promise that nothing of a job is left when its outcome
is told. Never waits for a box or for its client: every write is buffered, every read comes when there is something.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daybreak_evaluate.judge import kernel
from daybreak_evaluate.judge.channel import Inbox, Outbox, encoded
from daybreak_evaluate.runtimes.boxes import confinement
from daybreak_evaluate.runtimes.boxes.confinement import BoxIdentity, Streams, start_box
from daybreak_evaluate.runtimes.boxes.groups import BoxGroup, BoxGroups, find_groups
from daybreak_evaluate.runtimes.boxes.kept_programs import KeptPrograms
from daybreak_evaluate.runtimes.boxes.meter import TreeMeter
from daybreak_evaluate.runtimes.boxes.root import RootPlan, plan_root
from daybreak_evaluate.runtimes.boxes.streams import (
    HEAD_BYTES,
    KeptOutput,
    proof,
    same_output,
    standard_input,
)
from daybreak_evaluate.runtimes.boxes.values import (
    CANDIDATE_OUT,
    TEST_OUT,
    Box,
    BoxStep,
    Job,
    Overrun,
    StepOutcome,
    as_document,
    job_from,
)

POLL_S = 0.05
SCRATCH = "/sys/kernel"
"""Any folder that is there: only the warden's mount namespace sees the scratch file systems over it."""
BLOCK = 1 << 16


@dataclass
class RunningBox:
    """One box on its way."""

    box: Box
    pid: int
    pidfd: int
    meter: TreeMeter
    outputs: dict[int, KeptOutput]
    """By descriptor; gone when the stream has ended."""
    kept: tuple[KeptOutput, KeptOutput, KeptOutput]
    """Output, error, trouble."""
    started: float
    group: BoxGroup | None = None
    """Limits its memory; without one the meter does."""
    status: int | None = None
    cpu_s: float = 0.0
    overrun: Overrun = Overrun.NONE
    starved: bool = False


@dataclass
class JobSlot:
    """A place for one job at a time."""

    index: int
    job_id: int = -1
    job: Job = field(default_factory=lambda: Job(()))
    steps: deque[BoxStep] = field(default_factory=deque)
    outcomes: list[StepOutcome] = field(default_factory=list)
    step: BoxStep | None = None
    boxes: list[RunningBox] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """Where its jobs' /build and /out lie."""
        return f"{SCRATCH}/{self.index}"


class Warden:
    """The loop of the process."""

    def __init__(
        self, client: socket.socket, plan: RootPlan, num_slots: int, own_user: bool, *, groups: BoxGroups
    ) -> None:
        self._client = client
        self._plan = plan
        self._own_user = own_user
        self._groups = groups
        self._num_boxes = 0
        self._kept = KeptPrograms()
        self._selector = selectors.DefaultSelector()
        self._inbox = Inbox()
        self._outbox = Outbox(client)
        self._selector.register(client, selectors.EVENT_READ, self._serve_client)
        self._waiting: deque[tuple[int, Job]] = deque()
        self._slots = [JobSlot(index) for index in range(num_slots)]
        self._next_look = 0.0
        self._open = True

    def run(self) -> None:
        """Serve until the client hangs up."""
        while self._open:
            for slot in self._slots:
                if slot.job_id < 0 and self._waiting:
                    self._start_job(slot, *self._waiting.popleft())
            busy = any(slot.boxes for slot in self._slots)
            for key, mask in self._selector.select(POLL_S if busy else None):
                key.data(mask)
            self._watch_limits()
            for slot in self._slots:
                self._advance(slot)
        for slot in self._slots:
            for running in slot.boxes:
                self._kill(running)
        self._groups.sweep()

    def tell(self, message: dict[str, Any]) -> None:
        """Send a frame to the client, when it can take it."""
        self._outbox.put(encoded(message))
        self._listen()

    def _listen(self) -> None:
        events = selectors.EVENT_READ | (0 if self._outbox.is_empty else selectors.EVENT_WRITE)
        self._selector.modify(self._client, events, self._serve_client)

    def _serve_client(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._outbox.flush()
            self._listen()
        if not mask & selectors.EVENT_READ:
            return
        try:
            data = self._client.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._open = False
            return
        for message in self._inbox.feed(data):
            self._waiting.append((message["id"], job_from(message["job"])))

    # jobs

    def _start_job(self, slot: JobSlot, job_id: int, job: Job) -> None:
        slot.job_id, slot.job, slot.steps, slot.outcomes = job_id, job, deque(job.steps), []
        Path(slot.folder).mkdir(exist_ok=True)
        safe = kernel.MS_NOSUID | kernel.MS_NODEV
        options = f"size={job.folder_bytes},nr_inodes=65536,mode=755"
        kernel.mount("tmpfs", slot.folder, "tmpfs", safe, options)
        for name in ("build", CANDIDATE_OUT, TEST_OUT):
            folder = Path(slot.folder, name)
            folder.mkdir()
            folder.chmod(0o777)
        for _ in range(job.num_kept if self._kept.put_into(slot.folder, job.kept) else 0):
            slot.steps.popleft()
            slot.outcomes.append(StepOutcome(0, 0.0, 0.0))
        self._next_step(slot)

    def _next_step(self, slot: JobSlot) -> None:
        slot.step = slot.steps.popleft()
        boxes = [slot.step.box, *([slot.step.partner] if slot.step.partner else [])]
        pipes = [os.pipe(), os.pipe()] if slot.step.partner else []
        ends = [(pipes[0][0], pipes[1][1]), (pipes[1][0], pipes[0][1])] if pipes else [()]
        try:
            for box, extra in zip(boxes, ends, strict=True):
                slot.boxes.append(self._start_box(slot, box, extra))
        except OSError as error:
            for running in slot.boxes:
                self._kill(running)
            slot.boxes = []
            self._end_job(slot, StepOutcome(1, 0.0, 0.0, trouble=str(error)))
        finally:
            for descriptor in (each for pipe in pipes for each in pipe):
                os.close(descriptor)

    def _start_box(self, slot: JobSlot, box: Box, extra: tuple[int, ...]) -> RunningBox:
        stdin = standard_input(box)
        readers, writers = zip(*(os.pipe() for _ in range(3)), strict=True)
        shared = [(f"{slot.folder}/{box.out}", "/out", box.builds)]
        if box.builds:
            shared.append((f"{slot.folder}/build", "/build", True))
        try:
            self._num_boxes += 1
            group = self._groups.make(str(self._num_boxes), _memory_of(box))
            held = BoxIdentity(None if self._own_user else confinement.FIRST_UID + slot.index, group)
            pid = start_box(
                box, self._plan, shared, Streams(stdin, writers[0], writers[1], writers[2], extra), held
            )
        except OSError:
            for descriptor in readers:
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, *writers):
                os.close(descriptor)
        expected = len(slot.step.expected_stdout or "") * 4 if slot.step else 0
        kept = (
            KeptOutput(max(HEAD_BYTES, 2 * expected), secret=proof(box)),
            KeptOutput(),
            KeptOutput(),
        )
        now = time.monotonic()
        running = RunningBox(
            box,
            pid,
            os.pidfd_open(pid),
            TreeMeter(pid, now),
            dict(zip(readers, kept, strict=True)),
            kept,
            now,
            group,
        )
        for reader in readers:
            os.set_blocking(reader, False)
            self._selector.register(
                reader, selectors.EVENT_READ, lambda _, reader=reader: self._drain(running, reader)
            )
        self._selector.register(running.pidfd, selectors.EVENT_READ, lambda _: self._reap(running))
        return running

    def _drain(self, running: RunningBox, reader: int) -> None:
        if reader not in running.outputs:
            return
        try:
            data = os.read(reader, BLOCK)
        except BlockingIOError:
            return
        if not data:
            self._forget(running, reader)
            return
        running.outputs[reader].add(data)
        if sum(kept.size for kept in running.kept) > running.box.limits.output_bytes:
            self._end(running, Overrun.OUTPUT)

    def _forget(self, running: RunningBox, reader: int) -> None:
        self._selector.unregister(reader)
        os.close(reader)
        del running.outputs[reader]

    def _reap(self, running: RunningBox) -> None:
        """Process 1 of a box has ended, and with it all others; what they said is still in the pipes."""
        if running.status is not None:
            return
        _, status, usage = os.wait4(running.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        running.status = confinement.KILLED - code if code > confinement.KILLED else code
        running.cpu_s = max(usage.ru_utime + usage.ru_stime, running.cpu_s)
        if running.group is not None:
            if running.group.was_over() and not running.overrun:
                running.overrun = Overrun.MEMORY
            running.group.remove()
        self._selector.unregister(running.pidfd)
        os.close(running.pidfd)
        for reader in list(running.outputs):
            while reader in running.outputs:
                before = running.outputs[reader].size
                self._drain(running, reader)
                if reader in running.outputs and running.outputs[reader].size == before:
                    self._forget(running, reader)

    def _kill(self, running: RunningBox) -> None:
        if running.status is None:
            os.kill(running.pid, signal.SIGKILL)
            self._reap(running)

    def _end(self, running: RunningBox, overrun: Overrun, *, starved: bool = False) -> None:
        if running.status is None and not running.overrun:
            running.overrun, running.starved = overrun, starved
            os.kill(running.pid, signal.SIGKILL)  # its end is heard by its pidfd

    def _watch_limits(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_S
        for slot in self._slots:
            for running in slot.boxes:
                if running.status is None:
                    self._watch(running, now)

    def _watch(self, running: RunningBox, now: float) -> None:
        usage, limits = running.meter.read(now), running.box.limits
        running.cpu_s = usage.spent.cpu_s
        if usage.spent.is_over(limits.cpu_s):
            self._end(running, Overrun.TIME, starved=usage.spent.is_doubtful(limits.cpu_s))
        elif (
            running.group.was_over()
            if running.group is not None
            else usage.memory_bytes > limits.memory_bytes
        ):
            self._end(running, Overrun.MEMORY)

    def _advance(self, slot: JobSlot) -> None:
        """Go to the next step when all that belongs to this one is over."""
        if not slot.boxes or slot.step is None:
            return
        first, *others = slot.boxes
        if others and others[0].overrun:
            self._kill(first)
        if first.status is None:
            return
        for other in others:
            self._kill(other)
        outcome = _outcome(slot.step, first, others[0] if others else None)
        slot.boxes = []
        if outcome.is_good and slot.steps:
            slot.outcomes.append(outcome)
            if len(slot.outcomes) == slot.job.num_kept:
                self._kept.take_from(slot.folder, slot.job.kept)
            self._next_step(slot)
        else:
            self._end_job(slot, outcome)

    def _end_job(self, slot: JobSlot, outcome: StepOutcome) -> None:
        kernel.unmount(slot.folder)
        outcomes = [*slot.outcomes, outcome]
        self.tell({"id": slot.job_id, "outcomes": [as_document(each) for each in outcomes]})
        slot.job_id, slot.step, slot.outcomes = -1, None, []


def _memory_of(box: Box) -> int:
    """Return what a group may hold: the memory of the processes, and what they write into /tmp, which is memory too."""
    return box.limits.memory_bytes + box.limits.file_bytes


def _outcome(step: BoxStep, first: RunningBox, other: RunningBox | None) -> StepOutcome:
    stdout, stderr, trouble = first.kept
    as_expected = step.expected_stdout is None or same_output(stdout.text, step.expected_stdout)
    return StepOutcome(
        status=first.status if first.status is not None else 1,
        cpu_s=first.cpu_s + (other.cpu_s if other else 0.0),
        wall_s=time.monotonic() - first.started,
        overrun=first.overrun,
        starved=first.starved or (other is not None and other.starved),
        stdout=stdout.text,
        stderr=stderr.text,
        secret_seen=stdout.secret_seen,
        trouble=trouble.text or (other.kept[2].text if other else ""),
        as_expected=as_expected,
        partner_status=other.status if other else None,
        partner_overrun=other.overrun if other else Overrun.NONE,
        may_fail=step.may_fail,
    )


def main() -> None:
    """Start with the settings as JSON in the only argument: places, moved folders, number of slots."""
    settings = json.loads(sys.argv[1])
    client = socket.socket(fileno=0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    groups = find_groups()
    groups.sweep()
    plan = plan_root(settings["places"], [tuple(each) for each in settings["moved"]])
    try:
        own_user = confinement.enter_warden_namespaces()
        kernel.mount("tmpfs", SCRATCH, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
        trouble = ""
    except OSError as error:
        own_user, trouble = False, str(error)
    warden = Warden(client, plan, settings["num_slots"], own_user, groups=groups)
    warden.tell({"trouble": trouble, "own_user": own_user, "memory": groups.detail})
    if not trouble:
        warden.run()
    os._exit(0)
