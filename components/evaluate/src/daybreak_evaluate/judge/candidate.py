"""The untrusted side: what runs inside a candidate's process.

Owns the loop that loads one program and answers calls with plain data. It holds no test and no verdict; whatever
the program does to this process, all it can change is which plain data it answers with.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

from daybreak_evaluate.judge import plain
from daybreak_evaluate.judge.channel import Channel
from daybreak_evaluate.judge.values import shortened

MAX_CLASSES = 20
"""Classes of an exception that are named."""
MAX_ARGUMENTS_BYTES = 10_000
"""What an exception's arguments may take; those of one that holds more are left out."""


def serve(channel: Channel, lock: Callable[[], None]) -> NoReturn:
    """Load the program that the first frame holds, then answer questions until the tester hangs up.

    ``lock`` confines the process; it is called before any code of the program runs.
    """
    job = plain.loads(channel.receive())
    lock()
    random.seed(0)  # the same text gets the same verdict
    program = LoadedProgram()
    channel.send(program.load(job["source"], job["entry_point"], job["classes"]))
    while True:
        channel.send(program.answer(channel.receive()))


class LoadedProgram:
    """The program's function, and what it has answered with that cannot be sent: iterators, functions, coroutines."""

    def __init__(self) -> None:
        self._function: Callable[..., Any] = _nothing
        self._classes: dict[str, type] = {}
        self._kept: list[Any] = []

    def load(self, source: str, entry_point: str, classes: list[str]) -> bytes:
        """Run the source; ``classes`` are the names of the prompt's own."""
        namespace: dict[str, Any] = {}
        try:
            code = compile(source, "<string>", "exec", dont_inherit=True)
        except BaseException as error:  # noqa: BLE001 - untrusted text; whatever it breaks is the answer
            return _error("syntax", error)
        try:
            exec(code, namespace)
            self._function = namespace[entry_point]
        except KeyError:
            return _error("exception", NameError(f"name {entry_point!r} is not defined"))
        except BaseException as error:  # noqa: BLE001 - untrusted code may raise anything, SystemExit too
            return _error("exception", error)
        self._classes = {name: namespace[name] for name in classes if isinstance(namespace.get(name), type)}
        return plain.dumps(["loaded"])

    def answer(self, question: bytes) -> bytes:
        """Answer one question of the tester's: call the function, or give more items of an iterator."""
        try:
            match plain.loads(question, self._classes):
                case ["call", list(arguments), dict(keywords)]:
                    answer = _called(self._function, arguments, keywords)
                case ["call", list(arguments), dict(keywords), int(number)]:
                    answer = _called(self._kept[number], arguments, keywords)
                case ["await", int(number)]:
                    answer = ["value", _awaited(self._kept[number])]
                case ["next", int(number), int(count)]:
                    answer = self._more(self._kept[number], count)
        except BaseException as error:  # noqa: BLE001 - untrusted code may raise anything, SystemExit too
            return _error("exception", error)
        try:
            return plain.dumps(answer, self._classes, self._keep)
        except plain.NotPlainError as error:
            return _error("not-plain", error)
        except BaseException as error:  # noqa: BLE001 - its objects may raise from anywhere while they are read
            return _error("exception", error)

    def _keep(self, what: Any) -> int:
        self._kept.append(what)
        return len(self._kept) - 1

    def _more(self, iterator: Iterator[Any], count: int) -> list[Any]:
        """Return items, and how it goes on: more, at its end, or with an error."""
        items: list[Any] = []
        try:
            for item in itertools.islice(iterator, count):
                items.append(item)  # one by one: those before an error are kept
        except BaseException as error:  # noqa: BLE001 - untrusted code may raise anything
            return ["items", items, _described("exception", error)]
        return ["items", items, "more" if len(items) == count else "end"]


def _called(function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> list[Any]:
    """Call it; one that answers with None gives back its arguments too, as it may be one that works in place."""
    value = function(*arguments, **keywords)
    return ["value", value] if value is not None else ["in-place", arguments, keywords]


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run(coroutine)


def _nothing(*_: Any, **__: Any) -> None:
    """Stand in for a function that could not be made."""


def _error(reason: str, error: BaseException) -> bytes:
    return plain.dumps(_described(reason, error))


def _described(reason: str, error: BaseException) -> list[Any]:
    """Return what the tester is told of an exception: its classes, its text, and its arguments where they are plain."""
    if isinstance(error, MemoryError):
        reason = "memory"
    elif not isinstance(error, Exception):
        reason = "left"
    try:
        message = shortened(str.__str__(str(error)))
        names = [_full_name(kind) for kind in type(error).__mro__[:MAX_CLASSES]]
        return ["error", reason, names, message, _plain_arguments(error)]
    except BaseException:  # noqa: BLE001 - a hostile __str__
        return ["error", reason, ["Exception"], "an exception that cannot be shown", None]


def _full_name(kind: type) -> str:
    place = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return shortened(str.__str__(f"{place}{kind.__name__}"), 200)


def _plain_arguments(error: BaseException) -> list[Any] | None:
    try:
        arguments = list(error.args)
        if isinstance(error, OSError) and error.filename is not None:
            arguments.append(error.filename)  # not among those that it keeps
        return arguments if len(plain.dumps(arguments)) <= MAX_ARGUMENTS_BYTES else None
    except plain.NotPlainError:
        return None
