"""The seccomp program, run by a small interpreter of classic BPF."""

from __future__ import annotations

import errno
import struct

import pytest

from daybreak_evaluate.judge import seccomp

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 1


def decide(program: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """Run the program on one call and return its verdict."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    instructions = list(struct.iter_unpack("<HBBI", program))
    position, register = 0, 0
    while True:
        code, when_true, when_false, constant = instructions[position]
        position += 1
        if code == 0x20:
            (register,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            register &= constant
        elif code == 0x06:
            return constant
        else:
            tests = {0x15: register == constant, 0x35: register >= constant, 0x45: bool(register & constant)}
            position += when_true if tests[code] else when_false


@pytest.mark.parametrize(
    ("name", "number", "arguments", "expected"),
    [
        pytest.param("x86_64", 0, (), ALLOW, id="read"),
        pytest.param("x86_64", 57, (), EPERM, id="fork"),
        pytest.param("x86_64", 56, (17,), EPERM, id="clone of a process"),
        pytest.param("x86_64", 56, (0x3D0F00,), ALLOW, id="clone of a thread"),
        pytest.param("x86_64", 435, (), ENOSYS, id="clone3, so that clone is taken"),
        pytest.param("x86_64", 59, (), EPERM, id="execve"),
        pytest.param("x86_64", 62, (PID, 9), ALLOW, id="kill oneself"),
        pytest.param("x86_64", 62, (4242, 9), EPERM, id="kill another"),
        pytest.param("x86_64", 62, ((1 << 32) - 1, 9), EPERM, id="kill everybody"),
        pytest.param("x86_64", 234, (4242, 4242, 9), EPERM, id="signal another's thread"),
        pytest.param("x86_64", 302, (0,), ALLOW, id="own limits"),
        pytest.param("x86_64", 302, (4242,), EPERM, id="another's limits"),
        pytest.param("x86_64", 41, (1, 1), EPERM, id="socket"),
        pytest.param("x86_64", 53, (1, 1 | 0x80000), ALLOW, id="a pair of streams, close on exec"),
        pytest.param("x86_64", 53, (1, 2), EPERM, id="a pair for datagrams, which could be sent elsewhere"),
        pytest.param("x86_64", 16, (0, 0x5401), ALLOW, id="asking a terminal"),
        pytest.param("x86_64", 16, (0, 0x5412), EPERM, id="typing into a terminal"),
        pytest.param("x86_64", 72, (0, 3), ALLOW, id="asking for a descriptor's flags"),
        pytest.param("x86_64", 72, (0, 8, 4242), EPERM, id="having a pipe signal another"),
        pytest.param("x86_64", 72, (0, 10, 9), EPERM, id="having a pipe send SIGKILL"),
        pytest.param("x86_64", 16, (0, 0x8901), EPERM, id="having a descriptor signal another"),
        pytest.param("x86_64", 157, (1, 0), EPERM, id="outliving the parent"),
        pytest.param("x86_64", 157, (15, 0), ALLOW, id="naming a thread"),
        pytest.param("x86_64", 425, (), EPERM, id="io_uring, which would go round the filter"),
        pytest.param("x86_64", 0x40000000 | 1, (), ENOSYS, id="the x32 way in"),
        pytest.param("aarch64", 63, (), ALLOW, id="read on ARM"),
        pytest.param("aarch64", 221, (), EPERM, id="execve on ARM"),
        pytest.param("aarch64", 198, (1, 1), EPERM, id="socket on ARM"),
    ],
)
def test_calls(name: str, number: int, arguments: tuple[int, ...], expected: int) -> None:
    program = seccomp.program(name, PID, metadata=False, files=False)
    assert decide(program, number, ARCH[name], arguments) == expected


def test_calls_of_another_architecture_end_the_process() -> None:
    program = seccomp.program("x86_64", PID, metadata=False, files=False)
    assert decide(program, 0, 0x40000003) == KILL


@pytest.mark.parametrize(("metadata", "files"), [(False, False), (True, False), (True, True)])
def test_files_are_refused_only_where_nothing_else_hides_them(metadata: bool, files: bool) -> None:
    program = seccomp.program("x86_64", PID, metadata=metadata, files=files)
    arch = ARCH["x86_64"]
    assert decide(program, 92, arch) == (EPERM if metadata else ALLOW)  # chown
    assert decide(program, 90, arch) == (EPERM - 1 if metadata else ALLOW)  # chmod, as if done
    assert decide(program, 257, arch) == (EPERM if files else ALLOW)


@pytest.mark.parametrize(
    ("number", "arguments", "refused"),
    [
        pytest.param(9, (0, 4096, 7), True, id="memory to write and to execute"),
        pytest.param(9, (0, 4096, 5), False, id="a library's code"),
        pytest.param(9, (0, 4096, 3), False, id="memory to write"),
        pytest.param(10, (0, 4096, 5), True, id="what was written becomes code"),
        pytest.param(329, (0, 4096, 7), True, id="the same, with a key"),
        pytest.param(10, (0, 4096, 1), False, id="what was written stays as it is"),
    ],
)
def test_a_compiled_program_makes_no_code(number: int, arguments: tuple[int, ...], refused: bool) -> None:
    for writes_code in (True, False):
        program = seccomp.program_for_commands("x86_64", writes_code=writes_code)
        wanted = EPERM if refused and not writes_code else ALLOW
        assert decide(program, number, ARCH["x86_64"], arguments) == wanted
