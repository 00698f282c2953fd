"""What goes into the judge and what comes out: programs, limits, verdicts, the tier that was reached.

Owns plain values only; standard library only, because the sandbox's own processes import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PASSED = "passed"
TIMED_OUT = "timed out"
FAILED = "failed: "
"""The three words of human-eval's result files (openai/human-eval, human_eval/execution.py)."""

MAX_RESULT_BYTES = 2000
"""Bytes (UTF-8) of an error message that are kept: a candidate may raise one of a hundred megabytes."""


class FailureKind(StrEnum):
    """Why a candidate did not pass."""

    NONE = ""
    WRONG = "Wrong"
    EXCEPTION = "Exception"
    SYNTAX = "Syntax"
    TIMEOUT = "Timeout"
    MEMORY = "Memory"
    ENDED = "Ended"
    """The process was gone before it had answered: exit, crash, or a broken protocol."""
    NOT_PLAIN = "NotPlain"
    """It answered with something that is not plain data: a generator, a function, an object of its own."""
    TOO_LARGE = "TooLarge"
    NO_ANSWER = "NoAnswer"
    """There was nothing to run: the model, or who asked it, gave no text."""
    TOO_MANY_TASKS = "TooManyTasks"
    """More threads than limits.num_processes, seen where the kernel could not refuse them."""
    TEST = "Test"
    """The test itself went wrong, for example on a value of the wrong type."""


@dataclass(frozen=True)
class SandboxLimits:
    """What one candidate may use."""

    timeout_s: float = 3.0
    """Processor time, and time of its own (asleep or working, but not waiting for a core). human-eval's 3 s."""
    memory_bytes: int = 1 << 30
    """Address space (RLIMIT_AS)."""
    file_bytes: int = 16 << 20
    """Largest file, and size of its private temporary folder where it has one."""
    num_files: int = 64
    num_processes: int = 64
    """Backstop; where seccomp works a candidate makes no process at all."""
    result_bytes: int = 8 << 20
    """Largest answer to one call."""
    source_bytes: int = 4 << 20
    """Largest program that is run."""


@dataclass(frozen=True)
class Program:
    """One candidate and the test that it must pass."""

    source: str
    """Untrusted: the prompt and the completion. Runs in the sandbox."""
    entry_point: str
    trusted: str
    """The prompt alone: its helper functions are those that the test calls."""
    test: str
    """Defines ``check(candidate)``. Never seen by the sandbox."""


@dataclass(frozen=True)
class SampleVerdict:
    """What the judge says about one program."""

    passed: bool
    result: str
    """``passed``, ``timed out`` or ``failed: <message>``: human-eval's words."""
    kind: FailureKind = FailureKind.NONE
    cpu_s: float = 0.0
    """Processor time of the candidate, its start-up included."""

    def to_json(self) -> list[Any]:
        """Return the verdict as a journal keeps it."""
        return [self.passed, self.result, self.kind.value, self.cpu_s]

    @staticmethod
    def from_json(value: list[Any]) -> SampleVerdict:
        """Return the verdict that was kept."""
        passed, result, kind, cpu_s = value
        return SampleVerdict(passed, result, FailureKind(kind), cpu_s)


@dataclass(frozen=True)
class Tier:
    """How strongly candidates are held on this machine."""

    level: int
    """2: own namespaces and, where the kernel has it, seccomp. 1: seccomp and limits in the host's namespaces."""
    name: str
    details: tuple[str, ...]
    """What holds, and why the next higher tier could not be reached."""

    def __str__(self) -> str:
        return f"tier {self.level} ({self.name}): {'; '.join(self.details)}"


def failed(message: str, kind: FailureKind) -> SampleVerdict:
    """Return a verdict in human-eval's words, with a message of bounded length."""
    return SampleVerdict(False, FAILED + shortened(message), kind)


def shortened(text: str, limit: int = MAX_RESULT_BYTES) -> str:
    """Cut a text to so many bytes, between characters; half a surrogate pair is written as an escape."""
    data = text[:limit].encode("utf-8", "backslashreplace")
    return data[:limit].decode("utf-8", "ignore")
