"""One headless Chromium: its process, and the DevTools protocol over a pair of pipes.

Owns starting, asking, limits and the end. It runs as a user of its own in a network namespace without any interface,
behind Chromium's own sandbox; a browser that takes too long or too much is killed, and its folder is removed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.channel import wait_for
from daybreak_evaluate.judge.clock import Spent
from daybreak_evaluate.runtimes.boxes.meter import BoxUsage, TreeMeter

FIRST_UID = 64560
"""Users of browsers where we are root; boxes have theirs from 64620 on."""
WINDOW = (1024, 768)
START_S = 60.0
LOOK_EVERY_S = 0.4
PLACES = ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome")
"""Debian's binary first: the script before it adds flags of the machine."""
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://0.0.0.0:1",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--disable-font-subpixel-positioning",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--lang=en-US",
    f"--window-size={WINDOW[0]},{WINDOW[1]}",
)
_LAUNCHER = """
import ctypes, fcntl, os, sys
*pipes, uid = map(int, sys.argv[1:4])
libc = ctypes.CDLL(None)
kept = [fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, 16) for pipe in pipes]
for pipe in pipes:
    os.set_inheritable(pipe, False)
for number, pipe in enumerate(kept, 3):
    os.dup2(pipe, number)
if uid:
    libc.unshare(0x40000000)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
else:
    me, group = os.getuid(), os.getgid()
    if libc.unshare(0x50000000) == 0:
        open("/proc/self/setgroups", "w").write("deny")
        open("/proc/self/uid_map", "w").write(f"{me} {me} 1")
        open("/proc/self/gid_map", "w").write(f"{group} {group} 1")
libc.prctl(1, 9)
os.execv(sys.argv[4], sys.argv[4:])
"""
"""Moves the pipes to 3 and 4, leaves network and user, dies with us (PR_SET_PDEATHSIG), becomes the browser."""


class BrowserLostError(Exception):
    """The browser crashed, or broke its protocol."""


class OverrunError(Exception):
    """A document took more than it may."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@functools.cache
def find_browser() -> str | None:
    """Return the path of a Chromium."""
    return next((path for name in PLACES if (path := shutil.which(name))), None)


@functools.cache
def browser_version(path: str) -> str:
    """Return what the browser prints as its version; empty where it does not start."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


class Browser:
    """A browser of one slot; started when it is first asked, and again after it was killed."""

    def __init__(self, path: str, slot: int) -> None:
        self._path = path
        self._uid = FIRST_UID + slot % 60 if os.geteuid() == 0 else 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._number = 0
        self._unread = b""
        self._budget: Callable[[BoxUsage], str] | None = None
        self._looked = 0.0

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def has_own_network(self) -> bool:
        """Whether the kernel holds it off the network, beside its own rules."""
        self.start()
        assert self._process is not None
        with contextlib.suppress(OSError):
            its = Path(f"/proc/{self._process.pid}/ns/net").readlink()
            return its != Path("/proc/self/ns/net").readlink()
        return False

    def start(self) -> None:
        """Start it unless it runs; one that does not start is a UserError."""
        if self._process is not None:
            return
        self._folder = tempfile.mkdtemp(prefix="daybreak-browser-")
        if self._uid:
            os.chown(self._folder, self._uid, self._uid)
        to_read, self._to_browser = os.pipe()
        self._from_browser, to_write = os.pipe()
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(to_read), str(to_write), str(self._uid)]
        environment = {"PATH": os.defpath, "HOME": self._folder, "TMPDIR": self._folder, "LANG": "C.UTF-8"}
        with Path(self._folder, "stderr").open("wb") as said:
            self._process = subprocess.Popen(
                [*argv, self._path, *FLAGS, f"--user-data-dir={self._folder}/profile"],
                pass_fds=(to_read, to_write),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
            )
        os.close(to_read)
        os.close(to_write)
        self._unread, self._budget = b"", None
        self._meter = TreeMeter(self._process.pid, time.monotonic())
        try:
            self.limit(START_S, 8 << 30)
            self.ask("Browser.getVersion")
        except (BrowserLostError, OverrunError) as error:
            lines = Path(self._folder, "stderr").read_text("utf-8", "replace").splitlines()
            told = " ".join(line for line in lines if "dbus" not in line.lower())[-300:].strip()
            self.kill()
            raise UserError(
                f"{self._path} does not start: {told or error}; its sandbox is made of user namespaces, allow them"
            ) from error

    def limit(self, seconds: float, memory_bytes: int) -> None:
        """Allow so much from now on, beside what the browser has used so far."""
        now = time.monotonic()
        begin = self._meter.read(now)

        def overrun(usage: BoxUsage) -> str:
            was, now_spent = begin.spent, usage.spent
            waited = (now_spent.waited_s or 0.0) - (was.waited_s or 0.0)
            spent = Spent(now_spent.wall_s - was.wall_s, max(now_spent.cpu_s - was.cpu_s, 0.0), waited)
            if spent.is_over(seconds):
                return "time"
            return "memory" if usage.memory_bytes - begin.memory_bytes > memory_bytes else ""

        self._budget, self._looked = overrun, now

    def spent_s(self) -> float:
        """Return the processor time of the browser so far."""
        return self._meter.read(time.monotonic()).spent.cpu_s if self._process is not None else 0.0

    def ask(
        self,
        method: str,
        parameters: dict[str, Any] | None = None,
        session: str | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a command and return its result; events on the way go to ``on_event``."""
        number = self.send(method, parameters, session)
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserLostError(f"{method}: {message['error'].get('message', '')}")
                result: dict[str, Any] = message.get("result", {})
                return result
            if on_event is not None:
                on_event(message)

    def send(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> int:
        """Send a command and return its number."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        os.set_blocking(self._to_browser, False)
        while data:
            self._look()
            if wait_for(self._to_browser, select.POLLOUT, LOOK_EVERY_S):
                try:
                    data = data[os.write(self._to_browser, data) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise BrowserLostError("the browser is gone") from error
        return self._number

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self._unread:
            self._look()
            if wait_for(self._from_browser, select.POLLIN, LOOK_EVERY_S):
                data = os.read(self._from_browser, 1 << 20)
                if not data:
                    raise BrowserLostError("the browser is gone")
                self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _look(self) -> None:
        now = time.monotonic()
        if self._budget is not None and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            what = self._budget(self._meter.read(now))
            if what:
                raise OverrunError(what)

    def kill(self) -> None:
        """End it with all its processes, and remove its folder."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._to_browser)
        os.close(self._from_browser)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = None
