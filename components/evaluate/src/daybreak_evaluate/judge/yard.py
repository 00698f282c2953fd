"""The yard: one small process that brings a tester and a candidate together for every sample and keeps the clocks.

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
from pathlib import Path
from typing import Any

from daybreak_evaluate.judge import kernel, tester
from daybreak_evaluate.judge.channel import HEADER, Channel
from daybreak_evaluate.judge.clock import Clock, Spent
from daybreak_evaluate.judge.sandbox import Plan, probe
from daybreak_evaluate.judge.values import TIMED_OUT, Kind, Limits, Program, Verdict, failed

POLL_S = 0.05
START_S = 30.0
"""A candidate that could not even be forked in this time has met a broken machine."""
MAX_NURSERIES = 20


@dataclasses.dataclass
class Slot:
    """One sample on its way."""

    serial: int
    job: int
    program: Program
    tester: int
    clock: Clock
    candidate: int | None = None
    candidate_gone: bool = False
    verdict: Verdict | None = None
    """What the tester said."""
    overruled: Verdict | None = None
    """What the yard says instead, when a limit was passed."""
    starved: bool = False
    """A limit of wall time was passed while the machine was too busy to be sure."""
    text: bytes = b""
    cpu_s: float = 0.0


class Yard:
    """The loop of the process."""

    def __init__(self, client: socket.socket, plan: Plan, limits: Limits, num_slots: int) -> None:
        self._client = client
        self._plan = plan
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._selector.register(client, selectors.EVENT_READ, self._hear_client)
        self._inbox = bytearray()
        self._waiting: deque[dict[str, Any]] = deque()
        self._slots: dict[int, Slot | None] = dict.fromkeys(range(num_slots))
        self._next_serial = 0
        self._num_nurseries = 0
        self._open = True
        self._nursery, self._nursery_process = self._start_nursery()

    def run(self) -> None:
        """Serve until the client hangs up."""
        while self._open:
            busy = any(self._slots.values())
            for key, _ in self._selector.select(POLL_S if busy else None):
                key.data(key.fileobj)
            self._watch_clocks()
            self._fill_slots()
        for slot in self._active():
            os.kill(slot.tester, signal.SIGKILL)
        self._nursery.close()  # it kills what it has, then ends
        self._nursery_process.wait()

    def _active(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if slot is not None]

    # the nursery

    def _start_nursery(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        self._num_nurseries += 1
        if self._num_nurseries > MAX_NURSERIES:
            raise RuntimeError("the nursery died again and again")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {"plan": dataclasses.asdict(self._plan), "limits": dataclasses.asdict(self._limits)}
        with theirs:
            process = start_interpreter("nursery", json.dumps(settings), theirs)
        if not ours.recv(4096):
            raise RuntimeError(f"the nursery did not start, exit status {process.wait()}")
        self._selector.register(ours, selectors.EVENT_READ, self._hear_nursery)
        return ours, process

    def _hear_nursery(self, nursery: socket.socket) -> None:
        try:
            data = nursery.recv(4096)
        except ConnectionError:
            data = b""
        if not data:
            self._replace_nursery(nursery)
            return
        message = json.loads(data)
        serial = message.get("born", message.get("gone"))
        slot = next((slot for slot in self._active() if slot.serial == serial), None)
        if slot is None:
            return
        if "born" in message:
            slot.candidate = message["pid"]
            slot.clock.watch(message["pid"])
        else:
            slot.candidate_gone, slot.cpu_s = True, message["cpu_s"]
            self._finish(slot)

    def _replace_nursery(self, nursery: socket.socket) -> None:
        """The nursery was killed, and its candidates with it: start another, their samples get their verdict."""
        self._selector.unregister(nursery)
        nursery.close()
        self._nursery_process.wait()
        self._nursery, self._nursery_process = self._start_nursery()
        for slot in self._active():
            slot.candidate_gone, slot.starved = True, True
            slot.overruled = failed("the sandbox was killed, perhaps for want of memory", Kind.ENDED)
            self._finish(slot)

    # the client

    def _hear_client(self, client: socket.socket) -> None:
        try:
            data = client.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self._open = False
            return
        self._inbox += data
        while len(self._inbox) >= HEADER.size:
            (size,) = HEADER.unpack(self._inbox[: HEADER.size])
            if len(self._inbox) < HEADER.size + size:
                return
            self._waiting.append(json.loads(self._inbox[HEADER.size : HEADER.size + size]))
            del self._inbox[: HEADER.size + size]

    def _tell_client(self, message: dict[str, Any]) -> None:
        send_frame(self._client, message)

    # the slots

    def _fill_slots(self) -> None:
        for index, slot in self._slots.items():
            if slot is None and self._waiting:
                self._slots[index] = self._start(index, self._waiting.popleft())

    def _start(self, index: int, request: dict[str, Any]) -> Slot:
        program = Program(**request["program"])
        tester.compiled(program.trusted, "<prompt>")
        tester.compiled(program.test, "<test>")
        self._next_serial += 1
        serial = self._next_serial
        child_reader, tester_writer = os.pipe()
        tester_reader, child_writer = os.pipe()
        verdict_reader, verdict_writer = os.pipe()
        order = json.dumps({"fork": serial, "slot": index}).encode()
        socket.send_fds(self._nursery, [order], [child_reader, child_writer])
        os.close(child_reader)
        os.close(child_writer)
        pid = os.fork()
        if pid == 0:
            channel = Channel(tester_reader, tester_writer, self._limits.result_bytes)
            tester.run(program, channel, verdict_writer, self._limits)
        for descriptor in (tester_reader, tester_writer, verdict_writer):
            os.close(descriptor)
        slot = Slot(serial, request["id"], program, pid, Clock(time.monotonic(), pid))
        self._selector.register(verdict_reader, selectors.EVENT_READ, lambda _: self._hear(slot, verdict_reader))
        return slot

    def _hear(self, slot: Slot, pipe: int) -> None:
        """Read what the tester says; at its end, have the candidate killed."""
        data = os.read(pipe, 1 << 16)
        if data:
            slot.text += data
            return
        self._selector.unregister(pipe)
        os.close(pipe)
        os.waitpid(slot.tester, 0)
        slot.verdict = _verdict_of(slot.text)
        self._kill_candidate(slot)
        self._finish(slot)

    def _kill_candidate(self, slot: Slot) -> None:
        if not slot.candidate_gone:
            try:
                self._nursery.send(json.dumps({"kill": slot.serial}).encode())
            except (BrokenPipeError, ConnectionError):
                pass  # its end will be heard next

    def _watch_clocks(self) -> None:
        now = time.monotonic()
        for slot in self._active():
            if slot.overruled is not None or slot.verdict is not None:
                continue
            spent = slot.clock.read(now)
            if spent.is_over(self._limits.timeout_s):
                slot.overruled = Verdict(False, TIMED_OUT, Kind.TIMEOUT)
                slot.starved = spent.is_doubtful(self._limits.timeout_s)
                self._kill_candidate(slot)
                os.kill(slot.tester, signal.SIGKILL)

    def _finish(self, slot: Slot) -> None:
        """Give the verdict once both processes are gone."""
        if slot.verdict is None or not slot.candidate_gone:
            return
        verdict = slot.overruled or self._by_the_clock(slot)
        document = {"passed": verdict.passed, "result": verdict.result, "kind": verdict.kind.value}
        self._tell_client({"id": slot.job, **document, "cpu_s": slot.cpu_s, "starved": slot.starved})
        index = next(index for index, held in self._slots.items() if held is slot)
        self._slots[index] = None

    def _by_the_clock(self, slot: Slot) -> Verdict:
        """A process that the kernel ended for its processor time has timed out, whatever the tester saw."""
        assert slot.verdict is not None
        if not slot.verdict.passed and slot.cpu_s >= self._limits.timeout_s:
            return Verdict(False, TIMED_OUT, Kind.TIMEOUT)
        return slot.verdict


def _verdict_of(text: bytes) -> Verdict:
    if not text:
        return failed("the test ended without a verdict", Kind.TEST)
    document = json.loads(text)
    return Verdict(document["passed"], document["result"], Kind(document["kind"]))


def send_frame(target: socket.socket, message: dict[str, Any]) -> None:
    """Send one frame of JSON."""
    data = json.dumps(message).encode()
    target.sendall(HEADER.pack(len(data)) + data)


def start_interpreter(module: str, argument: str, control: socket.socket) -> subprocess.Popen[bytes]:
    """Start a bare interpreter (no site packages, no environment) on one of the judge's modules."""
    source = str(Path(__file__).parents[2])
    boot = (
        f"import sys; sys.path.insert(0, {source!r}); "
        f"from daybreak_evaluate.judge import {module}; {module}.main()"
    )
    command = [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", boot, argument]
    environment = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdin=control, stdout=subprocess.DEVNULL, env=environment, start_new_session=True
    )


def main() -> None:
    """Start with the settings as JSON in the only argument: limits, number of slots, highest tier to try."""
    settings = json.loads(sys.argv[1])
    client = socket.socket(fileno=0)
    limits = Limits(**settings["limits"])
    plan = probe(settings["max_level"])
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    tier = plan.tier()
    send_frame(client, {"usable": plan.usable, "tier": dataclasses.asdict(tier)})
    if plan.usable:
        Yard(client, plan, limits, settings["num_slots"]).run()
