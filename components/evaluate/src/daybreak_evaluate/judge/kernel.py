"""The system calls that Python 3.11 does not offer, by ctypes: namespaces, mounts, clone, Landlock, capabilities.

Owns thin wrappers that raise OSError. No policy: what is called when is decided in ``sandbox``.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
SIGCHLD = 17

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 8, 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

# Numbers of <asm/unistd.h>; those from 424 up are the same on every machine.
_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155},
    "aarch64": {"clone": 220, "pivot_root": 41},
}
_MOUNT_SETATTR = 442
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4

_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the interpreter lock, so a raw clone is safe
_libc.syscall.restype = ctypes.c_long


def machine() -> str:
    """Return ``x86_64`` or ``aarch64``; other machines get no seccomp and no namespaces."""
    return os.uname().machine  # the module platform would remember the host's name beside it


def is_known_machine() -> bool:
    """Tell whether the system call numbers of this machine are known here."""
    return machine() in _NUMBERS and struct.calcsize("P") == 8


def version() -> tuple[int, int]:
    """Return the first two numbers of the kernel's release; zeros when it does not begin with two."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _check(outcome: int, what: str) -> int:
    if outcome < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return outcome


def _syscall(what: str, number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *wide), what)


def unshare(flags: int) -> None:
    """Leave the namespaces named by the flags for new ones."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def name_host(name: str) -> None:
    """Name host and domain of this UTS namespace."""
    data = name.encode()
    _check(_libc.sethostname(data, ctypes.c_size_t(len(data))), "sethostname")
    _check(_libc.setdomainname(data, ctypes.c_size_t(len(data))), "setdomainname")


def fork_into_pid_namespace() -> int:
    """Fork like ``os.fork``; the child is process 1 of a new pid namespace, and all in it die with it."""
    ctypes.pythonapi.PyOS_BeforeFork()
    number = _NUMBERS[machine()]["clone"]
    wide = [ctypes.c_long(value) for value in (number, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)]
    pid = int(_libc.syscall(*wide))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Mount; ``kind`` None for bind mounts and changes of propagation."""
    outcome = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode(),
    )
    _check(outcome, f"mount {target}")


def unmount(target: str) -> None:
    """Take a mount away; what still has files of it open keeps them."""
    _check(_libc.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount2 {target}")


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Make a mount, and all below it, read-only, without devices and without set-user-id."""
    bits = _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
    attributes = struct.pack("<QQQQ", bits, 0, 0, 0)
    _syscall(
        f"mount_setattr {target}",
        _MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE if recursive else 0,
        attributes,
        len(attributes),
    )


def pivot_into(folder: str) -> None:
    """Make a mounted folder the root, and drop the old one."""
    os.chdir(folder)
    _syscall("pivot_root", _NUMBERS[machine()]["pivot_root"], b".", b".")
    _check(_libc.umount2(b".", ctypes.c_int(MNT_DETACH)), "umount2")
    os.chdir("/")


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    header = struct.pack("<II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    _check(_libc.capset(header, bytes(24)), "capset")


def install_filter(instructions: bytes) -> None:
    """Install a seccomp filter: eight bytes an instruction."""
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("<HxxxxxxQ", len(instructions) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(program, len(program))
    prctl_value = ctypes.addressof(holder)
    outcome = _libc.prctl(
        ctypes.c_int(PR_SET_SECCOMP),
        ctypes.c_ulong(SECCOMP_MODE_FILTER),
        ctypes.c_ulong(prctl_value),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    _check(outcome, "seccomp")


def landlock_version() -> int:
    """Return the kernel's Landlock version; 0 where it has none."""
    try:
        return _syscall("landlock_create_ruleset", _LANDLOCK_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def landlock_ruleset(handled: int) -> int:
    """Return a ruleset that denies the handled accesses to files, as a descriptor."""
    attributes = struct.pack("<Q", handled)
    return _syscall("landlock_create_ruleset", _LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)


def landlock_allow(ruleset: int, path: str, access: int) -> None:
    """Allow accesses to a file, or to all below a folder."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("<Qi", access, descriptor)
        _syscall(f"landlock_add_rule {path}", _LANDLOCK_ADD_RULE, ruleset, 1, rule, 0)
    finally:
        os.close(descriptor)


def landlock_enter(ruleset: int) -> None:
    """Put this process under a ruleset, for good; needs no_new_privs."""
    _syscall("landlock_restrict_self", _LANDLOCK_RESTRICT_SELF, ruleset, 0)
