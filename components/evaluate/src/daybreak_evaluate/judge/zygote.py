"""The zygote (fork server): a process inside the sandbox that candidates are forked from, with imports done.

Owns starting and reaping candidates. Started as a fresh interpreter that never held a test or a data set; obeys the
supervisor alone. Orders and reports are JSON datagrams on descriptor 0; pipes travel beside them.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import site
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from daybreak_evaluate.judge import candidate, kernel
from daybreak_evaluate.judge.channel import Channel, ChannelClosedError, FrameTooLargeError
from daybreak_evaluate.judge.imports import AHEAD_MODULES, WARM_MODULES
from daybreak_evaluate.judge.locks import use_threads
from daybreak_evaluate.judge.plain import NotPlainError
from daybreak_evaluate.judge.rootfs import readable_places, search_path, use_search_path
from daybreak_evaluate.judge.sandbox import (
    SandboxPlan,
    confine,
    enter,
    filter_for,
    forget_host,
    limit,
    ruleset_for,
)
from daybreak_evaluate.judge.values import SandboxLimits

MAX_DATAGRAM = 1 << 16
FORK_ATTEMPTS = 100
FORK_PAUSE_S = 0.05
EXIT_NOT_CONFINED = 97
FIRST_FREE = 3
"""Descriptors from here on are the candidate's pipes, then Landlock's ruleset; those below are /dev/null."""


class Zygote:
    """The loop of the process: orders in, started and exited candidates out."""

    def __init__(self, control: socket.socket, plan: SandboxPlan, limits: SandboxLimits) -> None:
        self._control = control
        self._plan = plan
        self._limits = limits
        self._living: dict[int, int] = {}
        """Serial of a candidate to its pid."""
        self._rulesets: dict[int, int | None] = {}
        """By slot."""

    def run(self) -> None:
        """Serve until the supervisor hangs up."""
        folders = search_path()
        readable_places()  # looked up while the host can be seen
        _import_all(WARM_MODULES)
        use_threads()
        for add in (site.setquit, site.setcopyright, site.sethelper):
            add()  # the names exit, quit, help and so on, which an interpreter without ``site`` lacks
        enter(self._plan)
        use_search_path(folders)
        forget_host(self._plan)  # before more is imported: some modules ask for the host's name, and keep it
        if not self._plan.can_import:
            _import_all(AHEAD_MODULES)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        wake, waker = os.pipe()
        for descriptor in (wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if self._plan.seccomp:
            filter_for(self._plan, 1)  # made once, here
        gc.freeze()
        self._report({"ready": True})
        poll = select.poll()
        for descriptor in (self._control.fileno(), wake):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                return

    def _obey(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_DATAGRAM, 2)
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            for pid in self._living.values():
                os.kill(pid, signal.SIGKILL)
            for pid in self._living.values():
                os.waitpid(pid, 0)
            return False
        order = json.loads(data)
        if "spawn" in order:
            self._spawn(order["spawn"], order["slot"], descriptors)
        elif order["kill"] in self._living:
            os.kill(self._living[order["kill"]], signal.SIGKILL)
        return True

    def _spawn(self, serial: int, slot: int, descriptors: list[int]) -> None:
        ruleset = self._ruleset(slot)
        pid = self._fork()
        if pid == 0:
            self._become_candidate(slot, ruleset, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._living[serial] = pid
        self._report({"started": serial, "pid": pid})

    def _fork(self) -> int:
        """Fork; a machine that is out of processes or memory gets five seconds to have some again."""
        for _ in range(FORK_ATTEMPTS):
            try:
                return kernel.fork_into_pid_namespace() if self._plan.namespaces else os.fork()
            except OSError:
                time.sleep(FORK_PAUSE_S)
        raise OSError("no process could be forked for a candidate")

    def _ruleset(self, slot: int) -> int | None:
        if slot not in self._rulesets:
            self._rulesets[slot] = ruleset_for(self._plan, slot)
        return self._rulesets[slot]

    def _become_candidate(self, slot: int, shared: int | None, reader: int, writer: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ruleset = _keep_only([reader, writer, *([] if shared is None else [shared])])

        def lock() -> None:
            confine(self._plan, self._limits, slot, ruleset)
            if ruleset is not None:
                os.close(ruleset)

        try:
            limit(self._plan, self._limits)
            channel = Channel(FIRST_FREE, FIRST_FREE + 1, 8 * self._limits.source_bytes)
            candidate.serve(channel, lock)
        except (ChannelClosedError, FrameTooLargeError, NotPlainError):
            os._exit(0)
        except OSError:
            os._exit(EXIT_NOT_CONFINED)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        for serial, pid in list(self._living.items()):
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if found:
                del self._living[serial]
                cpu_s = usage.ru_utime + usage.ru_stime
                self._report({"exited": serial, "status": status, "cpu_s": cpu_s})

    def _report(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def _keep_only(wanted: list[int]) -> int | None:
    """Put the wanted descriptors at 3, 4 and 5, /dev/null below them, close all others; return the third."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64) for descriptor in wanted]
    null = os.open("/dev/null", os.O_RDWR)
    for target in range(FIRST_FREE):
        os.dup2(null, target)
    for offset, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST_FREE + offset)
    os.closerange(FIRST_FREE + len(high), 1 << 16)
    return FIRST_FREE + 2 if len(high) > 2 else None


def _import_all(names: Iterable[str]) -> None:
    """Import those that this machine has."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    """Start with the plan and the limits as JSON in the only argument."""
    settings = json.loads(sys.argv[1])
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    settings["plan"]["notes"] = tuple(settings["plan"]["notes"])
    plan, limits = SandboxPlan(**settings["plan"]), SandboxLimits(**settings["limits"])
    Zygote(socket.socket(fileno=0), plan, limits).run()
    os._exit(0)
