"""Locking one command in: its namespaces, its root, its user, its limits, its filter.

Owns the order of the steps. The process that this makes is process 1 of a pid namespace: it starts the command, reaps
what is orphaned, and when it ends the kernel kills all that is left.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from daybreak_evaluate.judge import kernel, seccomp
from daybreak_evaluate.runtimes.boxes.groups import BoxGroup
from daybreak_evaluate.runtimes.boxes.root import RootPlan, build_root
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits

FIRST_UID = 64620
"""Above those of the judge's slots, and below 65,536 so that they exist in containers with mapped users."""
WARDEN_NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
BOX_NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWCGROUP
HOST_NAME = "sandbox"
STACK_BYTES = 64 << 20
NUM_FILES = 512
ENVIRONMENT = {"HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
FIRST_FREE = 3
KILLED = 128
"""Process 1 says with 128 + n that the command was killed by signal n, as a shell does; 255 is the highest."""


@dataclass(frozen=True)
class Streams:
    """Descriptors of the machine's side that a command gets."""

    stdin: int
    stdout: int
    stderr: int
    trouble: int
    """Where process 1 says what went wrong before the command ran."""
    extra: tuple[int, ...] = ()
    """Become 3, 4."""


@dataclass(frozen=True)
class BoxIdentity:
    """How a box is told from others."""

    uid: int | None
    """None: a user namespace instead of a user."""
    group: BoxGroup | None = None


def enter_warden_namespaces() -> bool:
    """Leave the network and what else boxes share nothing of; tells whether by way of a user namespace."""
    own_user = os.geteuid() != 0
    if not own_user:
        try:
            kernel.unshare(WARDEN_NAMESPACES)
        except PermissionError:
            _become(FIRST_UID)  # root that may not mount: an ordinary user of its own may
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
            own_user = True
    if own_user:
        _enter_user_namespace(WARDEN_NAMESPACES)
    kernel.name_host(HOST_NAME)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    return own_user


def _enter_user_namespace(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def start_box(
    box: Box,
    plan: RootPlan,
    shared: Sequence[tuple[str, str, bool]],
    streams: Streams,
    held: BoxIdentity,
) -> int:
    """Start a command; returns the pid of process 1."""
    pid = kernel.fork_into_pid_namespace()
    if pid == 0:
        _become_process_one(box, plan, shared, streams, held)
    return pid


def _become_process_one(
    box: Box, plan: RootPlan, shared: Sequence[tuple[str, str, bool]], streams: Streams, held: BoxIdentity
) -> NoReturn:
    uid = held.uid
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        if held.group is not None:
            held.group.enter()  # while its files can be seen, and before there is another process
        if uid is None:
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
            _enter_user_namespace(BOX_NAMESPACES)
        else:
            kernel.unshare(BOX_NAMESPACES)
        build_root(plan, shared, box.files, box.limits.file_bytes, runs_tmp=box.runs_tmp)
        trouble = _place_descriptors(streams)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        command = os.fork()
        if command == 0:
            _run_command(box, uid, trouble)
        os.closerange(0, 1 << 12)
        _reap(command)
    except OSError as error:
        os.write(streams.trouble, str(error).encode()[:500])
    finally:
        os._exit(1)


def _place_descriptors(streams: Streams) -> int:
    """Put the command's streams where it looks for them; returns where trouble is told."""
    wanted = [streams.stdin, streams.stdout, streams.stderr, *streams.extra, streams.trouble]
    high = [os.dup2(descriptor, 200 + index) for index, descriptor in enumerate(wanted)]
    os.closerange(FIRST_FREE, 200)
    for target, descriptor in enumerate(high):
        os.dup2(descriptor, target, inheritable=target < len(high) - 1)
    os.closerange(200, 1 << 12)
    return len(high) - 1


def _run_command(box: Box, uid: int | None, trouble: int) -> NoReturn:
    try:
        os.setsid()
        os.chdir("/job" if box.files else "/tmp")
        if uid is not None:
            _become(uid)
            with contextlib.suppress(
                OSError
            ):  # then it shares its count of processes with others of this uid
                kernel.unshare(
                    kernel.CLONE_NEWUSER
                )  # before the limit, which would hold for all of them together
        kernel.drop_capabilities()
        limit(box.limits)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.install_filter(seccomp.program_for_commands(kernel.machine(), writes_code=box.writes_code))
        os.execve(box.argv[0], box.argv, {**ENVIRONMENT, **dict(box.env)})
    except OSError as error:
        os.write(trouble, f"{box.argv[0]}: {error}".encode()[:500])
    finally:
        os._exit(1)


def limit(limits: BoxLimits) -> None:
    """Set the resource limits of the calling process, which are those of each process of the box."""
    values = {
        resource.RLIMIT_CPU: int(limits.cpu_s) + 2,  # a backstop: the warden's clock is faster
        resource.RLIMIT_AS: limits.address_bytes,
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: NUM_FILES,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_STACK: STACK_BYTES,
    }
    for what, wanted in values.items():
        _, hard = resource.getrlimit(what)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(what, (value, value))


def _reap(command: int) -> NoReturn:
    while True:
        pid, status = os.wait()
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else KILLED - code)
