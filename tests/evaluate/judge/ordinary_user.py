"""Runs the judge as somebody else: an ordinary user, or one in a pod as Kubernetes starts it.

Started as a script it reads a task as JSON and prints tier and verdicts. ``pod`` plays what the RuntimeDefault
profile of container runtimes refuses to whoever has no capability: namespaces, mounts, and some calls more.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import daybreak_contracts
import daybreak_evaluate

UID = 54321
CLONE_NEW = 0x7E020080
"""All flags of clone that ask for a new namespace."""
REFUSED_IN_PODS = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "mount_setattr", "open_tree", "move_mount", "fsopen",
    "fsmount", "fsconfig", "fspick", "bpf", "perf_event_open", "userfaultfd", "chroot", "reboot", "kexec_load",
    "sethostname", "setdomainname", "syslog", "acct", "quotactl", "keyctl", "add_key", "request_key",
)  # fmt: skip


@functools.cache
def interpreter() -> str | None:
    """Return a Python that another user can start; root's own often lies in root's home."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [path, "-c", "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(command, check=False, capture_output=True, **_identity()).returncode == 0:
                return path
        except OSError:
            continue  # not there, or out of reach
    return None


def _identity() -> dict[str, Any]:
    return {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}


def judge(
    programs: list[dict[str, str]],
    *,
    pod: bool = False,
    without: tuple[str, ...] = (),
    workers: int = 2,
    limits: dict[str, Any] | None = None,
    objects: bool = False,
    cwd: Path | None = None,
    root: bool = False,
) -> dict[str, Any]:
    """Judge as an ordinary user; ``objects`` makes shared objects of the machine first and looks for them after."""
    task = {
        "programs": programs, "pod": pod, "without": without, "workers": workers, "limits": limits or {},
        "objects": objects,
    }  # fmt: skip
    sources = [
        str(Path(package.__file__ or "").parents[1]) for package in (daybreak_contracts, daybreak_evaluate)
    ]
    done = subprocess.run(
        [interpreter() or sys.executable, "-P", str(Path(__file__))],
        input=json.dumps(task),
        text=True,
        capture_output=True,
        check=False,
        cwd=cwd or "/",
        env={"PYTHONPATH": ":".join(sources), "PATH": os.defpath},
        timeout=300,
        **({} if root else _identity()),
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _play_pod() -> None:
    from daybreak_evaluate.judge import kernel, seccomp
    from daybreak_evaluate.judge.seccomp import Jump

    numbers = {**seccomp.PROCESSES, **seccomp.MACHINE}
    x86 = kernel.machine() == "x86_64"
    code = [Jump(0x20, 0)]
    for name in REFUSED_IN_PODS:
        code += [Jump(0x15, numbers[name][0 if x86 else 1], 0, 1), Jump(0x06, 0x50000 | 1)]
    code += [Jump(0x15, 435, 0, 1), Jump(0x06, 0x50000 | 38)]  # clone3 is not there, so clone is taken
    code += [Jump(0x15, 56 if x86 else 220, 0, 3), Jump(0x20, 16), Jump(0x45, CLONE_NEW, 0, 1)]
    code += [Jump(0x06, 0x50000 | 1), Jump(0x06, 0x7FFF0000)]
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.install_filter(b"".join(jump.pack() for jump in code))


class SharedObjects:
    """One of each kind of object that lives in the machine under a number or a name."""

    def __init__(self) -> None:
        import ctypes

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = f"/daybreak-{os.getpid()}".encode()
        self.ids = {
            "shared memory": self._libc.shmget(0, 4096, 0o1600),
            "semaphore": self._libc.semget(0, 1, 0o1600),
            "messages": self._libc.msgget(0, 0o1600),
        }
        self._there = [name for name, number in self.ids.items() if number >= 0]
        self._has_queue = self._libc.mq_open(self._queue, 0o100 | 0o2, 0o600, None) >= 0

    def described(self, text: str) -> str:
        """Put numbers and names into the text of a program."""
        for name, number in self.ids.items():
            text = text.replace(f"<{name}>", str(number))
        return text.replace("<queue>", self._queue.decode())

    def lost(self) -> list[str]:
        """Name those that were there and are gone, then remove all."""
        libc = self._libc
        removed = {
            "shared memory": libc.shmctl(self.ids["shared memory"], 0, None),
            "semaphore": libc.semctl(self.ids["semaphore"], 0, 0, 0),
            "messages": libc.msgctl(self.ids["messages"], 0, None),
        }
        gone = [name for name in self._there if removed[name] != 0]
        if self._has_queue and libc.mq_unlink(self._queue) != 0:
            gone.append("queue")
        return gone


def main() -> None:
    """Do the task on standard input."""
    from daybreak_evaluate.judge.client import Judge
    from daybreak_evaluate.judge.values import Program, SandboxLimits

    task = json.load(sys.stdin)
    if task["pod"]:
        _play_pod()
    objects = SharedObjects() if task["objects"] else None
    programs = [Program(**fields) for fields in task["programs"]]
    if objects is not None:
        programs = [Program(**{**vars(each), "source": objects.described(each.source)}) for each in programs]
    with Judge(SandboxLimits(**task["limits"]), task["workers"], without=task["without"]) as judge:
        verdicts = dict(judge.judge(programs))
        tier = judge.tier
    print(
        json.dumps(
            {
                "level": tier.level,
                "tier": str(tier),
                "results": [verdicts[index].result for index in range(len(programs))],
                "kinds": [verdicts[index].kind.value for index in range(len(programs))],
                "lost": objects.lost() if objects is not None else [],
            }
        )
    )


if __name__ == "__main__":
    main()
