"""How a candidate's process is locked in: what the kernel lets us have, and the steps in their order.

Owns the plan (probed once a run) and both halves: ``enter`` for the zygote that all candidates are forked from,
``confine`` for each candidate. Runs no candidate.
"""

from __future__ import annotations

import functools
import os
import posix
import resource
import socket
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from daybreak_evaluate.judge import kernel, seccomp
from daybreak_evaluate.judge.rootfs import (
    build_root,
    listed_folders,
    make_scratch,
    open_slot,
    readable_places,
    remove_scratch,
    scratch_folder,
    slot_folder,
)
from daybreak_evaluate.judge.values import SandboxLimits, Tier

FIRST_UID = 64100
"""Root gives every candidate a user of its own, below 65,536 so that it exists in containers with mapped users."""

NAMESPACES = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)
STACK_BYTES = 8 << 20
LOCKS = ("namespaces", "landlock")
"""Locks that can be left out, to see that the others hold."""
READ_FILES, READ_FOLDERS = 1 << 2, 1 << 3
WRITING = 0b111_0101_1011_1110
"""Reading, writing, making and removing files, folders, links and pipes; not running them, no devices, no sockets."""
HOST_NAME = "sandbox"
"""What a candidate is told in every tier."""
OWN_COUNT_SINCE = (5, 14)
"""Linux from here on counts processes for each user namespace; before, for each user of the machine."""
SHARED_ROOM = 4096
"""Processes beyond those that a user has, where candidates share his count: the supervisor ends whoever has more than
``num_processes``, and until its next look the others need room."""


@dataclass(frozen=True)
class SandboxPlan:
    """What this kernel and this user allow."""

    namespaces: bool = False
    user_namespace: bool = False
    """The namespaces are had by way of a user namespace of our own."""
    seccomp: bool = False
    landlock: int = 0
    """Version; used where the candidate sees the host's files."""
    change_user: bool = False
    own_count: bool = False
    """Each candidate gets a user namespace of its own, which counts its processes and nobody else's."""
    can_import: bool = True
    """A candidate can read the standard library; otherwise only modules of a fixed list are there."""
    scratch: str = ""
    """Tier 1 with Landlock: a folder of the machine with one for each slot, where its candidate may write."""
    processes_of_user: int = 0
    """What the judge's user had running at the start; the limit of those who share his count begins there."""
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Without namespaces and without seccomp nothing of worth can be promised."""
        return self.namespaces or self.seccomp

    def tier(self) -> Tier:
        """Say it for a person."""
        details = [
            "own pid, mount, network, IPC and host-name namespaces"
            if self.namespaces
            else "host's namespaces",
            "seccomp: no second process, no sockets, no foreign signals" if self.seccomp else "no seccomp",
        ]
        if not self.namespaces:
            details += _held_weakly(self)
        details.append("a user of its own" if self.change_user else "the judge's user without capabilities")
        return Tier(2 if self.namespaces else 1, self._name(), (*details, *self.notes))

    def _name(self) -> str:
        if self.namespaces:
            return "namespaces" if not self.seccomp else "namespaces and seccomp"
        return "seccomp and Landlock" if self.landlock else "seccomp"


def _held_weakly(plan: SandboxPlan) -> list[str]:
    """Say what holds without namespaces, and what a candidate can still learn or lacks."""
    if plan.landlock:
        details = [
            "files hidden by Landlock",
            "names, sizes and times of files that the candidate's user may see can be asked for",
        ]
    else:
        details = ["opening files and asking for them refused"]
    details.append("temporary files on the machine's disk" if plan.scratch else "no temporary files")
    if not plan.can_import:
        details.append("only modules of a fixed list can be imported")
    return details


def probe(without: Collection[str] = (), temporary: str = "") -> SandboxPlan:
    """Try each lock in a child that is thrown away, strongest first; ``without`` some of LOCKS on request.

    ``temporary``: a folder of the machine in which tier 1 may make one for temporary files.
    """
    if not kernel.is_known_machine():
        return SandboxPlan(notes=(f"system calls of {kernel.machine()} are not known here",))
    readable_places()  # looked up now: below, the interpreter's files may be out of reach
    plan = SandboxPlan(
        seccomp=_attempt(lambda: _install_seccomp(SandboxPlan())) == "",
        change_user=os.geteuid() == 0 and _attempt(lambda: _become(FIRST_UID)) == "",
    )
    lower = replace(
        plan,
        landlock=0 if "landlock" in without else kernel.landlock_version(),
        processes_of_user=_count_processes(os.geteuid()),
    )
    lower = replace(lower, can_import=_attempt(lambda: _read_library(lower)) == "")
    if "namespaces" in without:
        return replace(_with_scratch(lower, temporary), notes=("namespaces left out on request",))
    own_count = kernel.version() >= OWN_COUNT_SINCE
    strong = replace(lower, landlock=0, can_import=True, namespaces=True)
    candidates = [replace(strong, user_namespace=True, change_user=False)]
    if os.geteuid() == 0:
        candidates.insert(0, strong)
    if own_count:
        candidates = [each for plan in candidates for each in (replace(plan, own_count=True), plan)]
    reasons: list[str] = []
    for candidate in candidates:
        reason = _attempt(functools.partial(_try_namespaces, candidate))
        if not reason:
            return candidate
        if reason not in reasons:
            reasons.append(reason)
    return replace(_with_scratch(lower, temporary), notes=(f"no namespaces ({'; '.join(reasons)})",))


def _with_scratch(plan: SandboxPlan, temporary: str) -> SandboxPlan:
    """Make a folder for temporary files where Landlock keeps candidates apart, if one of them can write there."""
    if not (plan.landlock and temporary):
        return plan
    try:
        found = replace(plan, scratch=make_scratch(temporary))
    except OSError:
        return plan
    if _attempt(lambda: _write_scratch(found)):
        remove_scratch(found.scratch)
        return plan
    return found


def _write_scratch(plan: SandboxPlan) -> None:
    open_slot(plan.scratch, 0, FIRST_UID if plan.change_user else None)
    ruleset = ruleset_for(plan, 0)
    limit(plan, SandboxLimits())
    confine(plan, SandboxLimits(), 0, ruleset)
    Path("probe").write_text("x")
    Path("probe").unlink()


def _count_processes(uid: int) -> int:
    """Count processes and threads of a user, as far as they can be seen."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if folder.stat().st_uid == uid:
                    count += sum(1 for _ in (folder / "task").iterdir())
            except OSError:
                continue  # it ended, or is not ours to see
    return count


def _attempt(action: Callable[[], None]) -> str:
    """Run something in a child; return what went wrong, empty for nothing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except (OSError, ImportError) as error:
            os.write(writer, str(error).encode()[:500])
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        message = file.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if status:
        return message or f"the attempt ended with status {status}"
    return ""


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _read_library(plan: SandboxPlan) -> None:
    """Read the standard library as a candidate would: root's own interpreter may be out of another user's reach."""
    enter(plan)
    ruleset = ruleset_for(plan, 0)
    limit(plan, SandboxLimits())
    confine(plan, SandboxLimits(), 0, ruleset)
    Path(os.__file__).read_bytes()


def _try_namespaces(plan: SandboxPlan) -> None:
    enter(plan)
    pid = kernel.fork_into_pid_namespace()
    if pid == 0:
        os._exit(0 if _confines(plan) else 1)
    if os.waitpid(pid, 0)[1]:
        raise OSError("a process could not be confined in the new namespaces")


def _confines(plan: SandboxPlan) -> bool:
    try:
        limit(plan, SandboxLimits())
        confine(plan, SandboxLimits(), 0, None)
    except OSError:
        return False
    return True


def enter(plan: SandboxPlan) -> None:
    """Put the calling process, the zygote, where candidates live."""
    if not plan.namespaces:
        return
    if plan.user_namespace and os.geteuid() == 0:  # root that may not mount: an ordinary user of its own may
        _become(FIRST_UID)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or its own uid_map could not be written
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(NAMESPACES | (kernel.CLONE_NEWUSER if plan.user_namespace else 0))
    if plan.user_namespace:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    kernel.name_host(HOST_NAME)
    build_root()


def ruleset_for(plan: SandboxPlan, slot: int) -> int | None:
    """Landlock: reading the interpreter and its libraries is allowed, writing in the slot's own folder; no more.

    None where it is not used.
    """
    if plan.namespaces or not plan.landlock:
        return None
    version = plan.landlock
    # Rights of <linux/landlock.h>: 13 in version 1, REFER in 2, TRUNCATE in 3, IOCTL_DEV in 5.
    handled = (1 << 13) - 1
    handled |= (1 << 13) if version >= 2 else 0
    handled |= (1 << 14) if version >= 3 else 0
    handled |= (1 << 15) if version >= 5 else 0
    ruleset = kernel.landlock_ruleset(handled)
    for folder in listed_folders():
        kernel.landlock_allow(ruleset, folder, READ_FOLDERS)  # names only, so that imports can look
    for place in readable_places():
        access = READ_FILES | READ_FOLDERS if Path(place).is_dir() else READ_FILES
        kernel.landlock_allow(ruleset, place, access)
    if plan.scratch:
        kernel.landlock_allow(ruleset, slot_folder(plan.scratch, slot), handled & WRITING)
    return ruleset


def confine(plan: SandboxPlan, limits: SandboxLimits, slot: int, ruleset: int | None) -> None:
    """Lock the calling process in, for good. Called in each candidate before any of its code runs."""
    if plan.namespaces:
        kernel.unshare(kernel.CLONE_NEWNS)
        options = f"size={limits.file_bytes},nr_inodes=1024,mode=1777"
        kernel.mount(
            "tmpfs", scratch_folder(), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, options
        )
        os.chdir(scratch_folder())
    else:
        folder = slot_folder(plan.scratch, slot) if plan.scratch else "/"
        os.chdir(folder)
        os.environ.update({"HOME": folder, "TMPDIR": folder} if plan.scratch else {})
    if plan.change_user:
        _become(FIRST_UID + slot)
    if plan.own_count:  # before the limit: what is limited now would be the limit of all candidates together
        kernel.unshare(kernel.CLONE_NEWUSER)
    _limit_processes(plan, limits)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)  # after the change of user, which clears it
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if ruleset is not None:
        kernel.landlock_enter(ruleset)
    if plan.seccomp:
        _install_seccomp(plan)


def _install_seccomp(plan: SandboxPlan) -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.install_filter(filter_for(plan, os.getpid()))


@functools.lru_cache(maxsize=2)
def filter_for(plan: SandboxPlan, pid: int) -> bytes:
    """Return the seccomp filter of a candidate; in its own pid namespace it is always process 1."""
    hidden = plan.namespaces or plan.landlock > 0
    return seccomp.program(kernel.machine(), pid, metadata=not plan.namespaces, files=not hidden)


def limit(plan: SandboxPlan, limits: SandboxLimits) -> None:
    """Set the resource limits of the calling process, all but the number of its threads: ``confine`` does."""
    cpu_s = int(limits.timeout_s) + 2  # a backstop: the supervisor reads the processor's clock and is faster
    values = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.num_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_STACK: STACK_BYTES,
    }
    for what, wanted in values.items():
        _lower(what, wanted)


def _limit_processes(plan: SandboxPlan, limits: SandboxLimits) -> None:
    """Limit threads. Whoever shares a count with others is ended by the supervisor, which counts his alone."""
    alone = plan.own_count or plan.change_user
    _lower(resource.RLIMIT_NPROC, limits.num_processes if alone else plan.processes_of_user + SHARED_ROOM)


def _lower(what: int, wanted: int) -> None:
    _, hard = resource.getrlimit(what)
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(what, (value, value))


def forget_host(plan: SandboxPlan) -> None:
    """Leave no word of the host in what Python keeps: the environment, the import path, its name.

    In tier 2 the host-name namespace holds the name; below it seccomp refuses ``uname``, and Python's own functions
    answer with the same word, so that honest programs see no difference.
    """
    system = os.uname()
    answer = os.uname_result((system.sysname, HOST_NAME, system.release, system.version, system.machine))
    os.uname = posix.uname = lambda: answer
    socket.gethostname = lambda: HOST_NAME
    if "platform" in sys.modules:  # it remembers what it was told first
        vars(sys.modules["platform"])["_uname_cache"] = None
    folder = scratch_folder()
    os.environ.clear()
    os.environ.update({"HOME": folder, "TMPDIR": folder, "PATH": "/nonexistent"})
    os.environ["LANG"] = "C.UTF-8" if plan.can_import else "C"  # the file of the first could not be read
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    sys.argv[:] = ["candidate"]
