"""The untrusted side: what runs inside a candidate's process.

Owns the loop that loads one program and answers calls with plain data. It holds no test and no verdict; whatever
the program does to this process, all it can change is which plain data it answers with.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NoReturn

from daybreak_evaluate.judge import plain
from daybreak_evaluate.judge.channel import Channel
from daybreak_evaluate.judge.values import shortened


def serve(channel: Channel, lock: Callable[[], None]) -> NoReturn:
    """Load the program that the first frame holds, then answer calls until the tester hangs up.

    ``lock`` confines the process; it is called before any code of the program runs.
    """
    job = plain.loads(channel.receive())
    lock()
    random.seed(0)  # the same text gets the same verdict
    function, answer = _load(job["source"], job["entry_point"])
    channel.send(answer)
    while True:
        arguments, keywords = plain.loads(channel.receive())
        channel.send(_call(function, arguments, keywords))


def _load(source: str, entry_point: str) -> tuple[Callable[..., Any], bytes]:
    namespace: dict[str, Any] = {}
    try:
        code = compile(source, "<string>", "exec", dont_inherit=True)
    except BaseException as error:  # noqa: BLE001 - untrusted text; whatever it breaks is the answer
        return _nothing, _error("syntax", error)
    try:
        exec(code, namespace)
        return namespace[entry_point], plain.dumps(["loaded"])
    except KeyError:
        missing = NameError(f"name {entry_point!r} is not defined")
        return _nothing, _error("exception", missing)
    except BaseException as error:  # noqa: BLE001 - untrusted code may raise anything, SystemExit too
        return _nothing, _error("exception", error)


def _nothing(*_: Any, **__: Any) -> None:
    """Stand in for a function that could not be made."""


def _call(function: Callable[..., Any], arguments: Any, keywords: Any) -> bytes:
    try:
        value = function(*arguments, **keywords)
    except BaseException as error:  # noqa: BLE001 - untrusted code may raise anything, SystemExit too
        return _error("exception", error)
    try:
        return plain.dumps(["value", value])
    except plain.NotPlainError as error:
        return _error("not-plain", error)
    except BaseException as error:  # noqa: BLE001 - its objects may raise from anywhere while they are read
        return _error("exception", error)


def _error(reason: str, error: BaseException) -> bytes:
    if isinstance(error, MemoryError):
        reason = "memory"
    try:
        message = shortened(str.__str__(str(error)))
        name = shortened(str.__str__(type(error).__name__), 100)
    except BaseException:  # noqa: BLE001 - a hostile __str__
        message, name = "an exception that cannot be shown", "Exception"
    return plain.dumps(["error", reason, name, message])
