"""Which system calls a candidate may not make, as a classic BPF program.

Owns the list. A candidate needs no second process, no network, no other process's memory or signals, no mounts, no
System V objects; those calls answer EPERM. Numbers are Linux's ``asm/unistd.h`` for x86_64 and aarch64.
"""

from __future__ import annotations

import errno
import functools
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_SOCK_TYPE_MASK, _SOCK_STREAM = 0xF, 1
_DENIED_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902)
"""TIOCSTI, TIOCLINUX: typing into somebody's terminal; FIOSETOWN, SIOCSPGRP: as F_SETOWN."""
_DENIED_FCNTLS = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: a pipe that sends SIGKILL to any process of the same user."""
_PR_SET_PDEATHSIG = 1

NONE = -1

PROCESSES = {
    "fork": (57, NONE), "vfork": (58, NONE), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "setsid": (112, 157), "setpgid": (109, 154), "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
NETWORK = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
}  # fmt: skip
MACHINE = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "personality": (135, 92),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "acct": (163, 89),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116), "iopl": (172, NONE),
    "ioperm": (173, NONE), "modify_ldt": (154, NONE), "vhangup": (153, 58), "sync": (162, 81),
    "syncfs": (306, 267), "uselib": (134, NONE), "lsm_set_self_attr": (460, 460),
}  # fmt: skip
MEMORY = {
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183), "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185), "memfd_create": (319, 279), "memfd_secret": (447, 447),
}  # fmt: skip
"""Objects of System V are found by number, so the calls that use or remove one are denied like those that make it."""
WATCHING = {
    "inotify_init": (253, NONE), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "inotify_rm_watch": (255, 28), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "statmount": (457, 457), "listmount": (458, 458), "listns": (470, 470), "lookup_dcookie": (212, 18),
}  # fmt: skip
"""What others do with their files, and which file systems the machine has."""
AS_IF_DONE = {
    "chmod": (90, NONE), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "utime": (132, NONE),
    "utimes": (235, NONE), "futimesat": (261, NONE), "utimensat": (280, 88),
}  # fmt: skip
"""Modes and times of files, which Landlock has no say in: answered as if done, because copying a file sets both."""
METADATA = {
    "chown": (92, NONE), "lchown": (94, NONE), "fchown": (93, 55), "fchownat": (260, 54), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
    "file_setattr": (469, 469), "truncate": (76, 45), "getxattr": (191, 8), "lgetxattr": (192, 9),
    "listxattr": (194, 11), "llistxattr": (195, 12), "getxattrat": (464, 464), "listxattrat": (465, 465),
    "file_getattr": (468, 468), "statfs": (137, 43), "uname": (63, 160),
}  # fmt: skip
"""Landlock has no say in these; denied wherever the candidate sees the host's files and its name.

``stat`` is not among them: imports ask for it, and a filter cannot read which path is meant.
"""
FILES = {
    "open": (2, NONE), "creat": (85, NONE), "openat": (257, 56), "openat2": (437, 437), "unlink": (87, NONE),
    "unlinkat": (263, 35), "rename": (82, NONE), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, NONE), "mkdirat": (258, 34), "rmdir": (84, NONE), "link": (86, NONE), "linkat": (265, 37),
    "symlink": (88, NONE), "symlinkat": (266, 36), "mknod": (133, NONE), "mknodat": (259, 33),
    "stat": (4, NONE), "lstat": (6, NONE), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, NONE),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, NONE), "readlinkat": (267, 78),
    "chdir": (80, 49),
}  # fmt: skip
"""Denied only where neither namespaces nor Landlock hide the host's files."""
_OWN_PID = {"kill": (62, 129), "tgkill": (234, 131)}
_PRLIMIT, _CLONE, _CLONE3 = (302, 261), (56, 220), (435, 435)
_MMAP, _MPROTECTS = (9, 222), ((10, 226), (329, 288))
_WRITE_AND_EXECUTE, _EXECUTE = 6, 4
_SOCKETPAIR, _IOCTL, _PRCTL, _FCNTL = (53, 199), (16, 29), (157, 167), (72, 25)


@dataclass(frozen=True)
class Jump:
    """One instruction: operation, constant, how many to skip when true and when false."""

    code: int
    constant: int
    when_true: int = 0
    when_false: int = 0

    def pack(self) -> bytes:
        """Return ``struct sock_filter``."""
        return struct.pack("<HBBI", self.code, self.when_true, self.when_false, self.constant)


def program(machine: str, pid: int, *, metadata: bool, files: bool) -> bytes:
    """Return the filter of the process ``pid`` (as it sees itself); ``metadata``, ``files``: deny those too."""
    conditions = [*_conditions(_COLUMN[machine], pid), Jump(_RETURN, _ALLOW)]
    return _refusals(machine, metadata, files) + b"".join(jump.pack() for jump in conditions)


@functools.lru_cache(maxsize=8)
def _refusals(machine: str, metadata: bool, files: bool) -> bytes:
    column = _COLUMN[machine]
    denied = {**PROCESSES, **NETWORK, **MACHINE, **MEMORY, **WATCHING}
    denied |= METADATA if metadata else {}
    denied |= FILES if files else {}
    code = _entry(machine)
    code += [jump for numbers in denied.values() for jump in _answer(numbers[column], errno.EPERM)]
    if metadata:
        code += [jump for numbers in AS_IF_DONE.values() for jump in _answer(numbers[column], 0)]
    return b"".join(jump.pack() for jump in code)


def _answer(number: int, error: int) -> list[Jump]:
    """Answer a call with an error, or as if it were done."""
    return [] if number == NONE else [Jump(_EQUAL, number, 0, 1), _refuse(error)]


def _entry(machine: str) -> list[Jump]:
    """Refuse other kinds of numbers, and load the number of the call."""
    code = [
        Jump(_LOAD, _ARCH_OFFSET),
        Jump(_EQUAL, _ARCH[machine], 1, 0),
        Jump(_RETURN, _KILL),
        Jump(_LOAD, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        code += [Jump(_AT_LEAST, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    return code


OWN_TREE = {
    "fork", "vfork", "execve", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setsid", "setpgid",
    "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr",
}  # fmt: skip
"""Calls of PROCESSES that a compiler or a language's own run time makes; in a pid namespace they reach its own only."""
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""


@functools.cache
def program_for_commands(machine: str, *, writes_code: bool = True) -> bytes:
    """Return the filter of a tool chain's processes in a pid namespace of their own: they may fork and exec.

    Without ``writes_code`` no memory that was written becomes executable, which no compiled program needs: it cannot
    change the code of the test that it lives with.
    """
    column = _COLUMN[machine]
    own = {name: numbers for name, numbers in PROCESSES.items() if name not in OWN_TREE}
    code = _entry(machine)
    for numbers in ({**own, **NETWORK, **MACHINE, **MEMORY}).values():
        if numbers[column] != NONE:
            code += [Jump(_EQUAL, numbers[column], 0, 1), _refuse()]
    code += [Jump(_EQUAL, _CLONE3[column], 0, 1), _refuse(errno.ENOSYS)]
    code += _when(_CLONE[column], [_argument(0), Jump(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _refuse()])
    if not writes_code:
        both = [
            _argument(2),
            Jump(_AND, _WRITE_AND_EXECUTE),
            Jump(_EQUAL, _WRITE_AND_EXECUTE, 0, 1),
            _refuse(),
        ]
        code += _when(_MMAP[column], both)
        for numbers in _MPROTECTS:
            code += _when(numbers[column], [_argument(2), Jump(_ANY_BIT, _EXECUTE, 0, 1), _refuse()])
    code += _shared_conditions(column)
    return b"".join(jump.pack() for jump in [*code, Jump(_RETURN, _ALLOW)])


def _refuse(number: int = errno.EPERM) -> Jump:
    return Jump(_RETURN, _ERRNO | number)


def _conditions(column: int, pid: int) -> list[Jump]:
    """Calls that are fine for some arguments: signals and limits of oneself, threads, stream pairs."""
    code = [Jump(_EQUAL, _CLONE3[column], 0, 1), _refuse(errno.ENOSYS)]  # the C library then takes clone
    for numbers in _OWN_PID.values():
        code += _when(numbers[column], [_argument(0), Jump(_EQUAL, pid, 1, 0), _refuse()])
    code += _when(_PRLIMIT[column], [_argument(0), Jump(_EQUAL, 0, 2, 0), Jump(_EQUAL, pid, 1, 0), _refuse()])
    code += _when(_CLONE[column], [_argument(0), Jump(_ANY_BIT, _CLONE_THREAD, 1, 0), _refuse()])
    return [*code, *_shared_conditions(column)]


def _shared_conditions(column: int) -> list[Jump]:
    """Stream pairs, but no typing into terminals and no signals by way of files."""
    code: list[Jump] = []
    stream = [_argument(1), Jump(_AND, _SOCK_TYPE_MASK), Jump(_EQUAL, _SOCK_STREAM, 1, 0), _refuse()]
    code += _when(_SOCKETPAIR[column], stream)
    code += _when(_IOCTL[column], [_argument(1), *_none_of(_DENIED_IOCTLS)])
    code += _when(_FCNTL[column], [_argument(1), *_none_of(_DENIED_FCNTLS)])
    code += _when(_PRCTL[column], [_argument(0), *_none_of((_PR_SET_PDEATHSIG,))])
    return code


def _none_of(values: tuple[int, ...]) -> list[Jump]:
    return [jump for value in values for jump in (Jump(_EQUAL, value, 0, 1), _refuse())]


def _argument(index: int) -> Jump:
    return Jump(_LOAD, _ARGUMENTS_OFFSET + 8 * index)


def _when(number: int, checks: list[Jump]) -> list[Jump]:
    """Run the checks for one call; whoever comes through them is allowed."""
    body = [*checks, Jump(_RETURN, _ALLOW)]
    return [Jump(_EQUAL, number, 0, len(body)), *body]
