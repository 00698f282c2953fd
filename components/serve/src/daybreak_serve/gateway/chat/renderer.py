"""A chat template's own process as the gateway sees it: started with the first conversation, again when it died.

Owns the bound on waiting for it. What is rendered is `template`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_serve.gateway.chat.template import MAX_CHARACTERS, RENDER_S
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.turns import Turn

START_S = 20.0
"""Python's start on a busy machine."""
WAIT_S = RENDER_S + 3.0
"""The process ends itself before; this is for one that was stopped."""
MAX_WAITING = 256
"""Conversations in engines' places and questions about tokens, each kind bounded by itself: more would be a mistake."""
COMMAND = (sys.executable, "-I", "-m", "daybreak_serve.gateway.chat.template")
STARTS = 4
"""Tries to start it: one in sixty dies of gRPC's handlers between fork and exec, in a gateway that has its threads."""

NO_ANSWER = f"it did not end within {RENDER_S:.0f} s, or took too much memory"


class TemplateFailed(Exception):  # noqa: N818 - it says what happened
    """Why a template made no prompt of a conversation."""


class TemplateRefused(TemplateFailed):
    """What the template itself says of a conversation that it takes no part in."""


class TemplateRenderer:
    """Renders by one template, one conversation after the other."""

    def __init__(
        self,
        template: str,
        tokens: Mapping[str, str],
        command: Sequence[str] = COMMAND,
        start_s: float = START_S,
    ) -> None:
        self._command = command
        self._first = json.dumps({"template": template, "tokens": dict(tokens)})
        self._process: Process | None = None
        self._start_s = start_s
        wait_s = start_s + WAIT_S  # of those before it one may have to start, and one may take too long
        self._turn = Turn("conversations", wait_s=wait_s, max_waiting=MAX_WAITING)

    async def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the text of a conversation; `TemplateFailed` says why there is none."""
        async with self._turn.taken():
            try:
                process = await self._started()
                found = await self._ask(process, json.dumps(list(messages)), WAIT_S)
            except BaseException:  # also who gave up: the answer would come to the next one
                await self._end()
                raise
        if "text" not in found:
            raise TemplateRefused(found["reason"])
        return str(found["text"])

    async def close(self) -> None:
        """End the process, when its turn comes or others wait for theirs for too long."""
        async with contextlib.AsyncExitStack() as turn:
            with contextlib.suppress(ApiProblem):
                await turn.enter_async_context(self._turn.taken())
            await self._end()

    async def _started(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        for _ in range(STARTS):
            self._process = process = await self._spawned()
            found = await self._asked(process, self._first, self._start_s)
            if found is None and await _crashed(process):
                continue
            if found is None:
                raise TemplateFailed(NO_ANSWER)
            if "reason" in found:
                raise TemplateFailed(found["reason"])
            return process
        raise TemplateFailed(f"its process died {STARTS} times while it started")

    async def _spawned(self) -> Process:
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONIOENCODING": "utf-8"}
        return await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, limit=8 * MAX_CHARACTERS
        )

    async def _ask(self, process: Process, line: str, wait_s: float) -> dict[str, Any]:
        found = await self._asked(process, line, wait_s)
        if found is None:
            raise TemplateFailed(NO_ANSWER)
        return found

    async def _asked(self, process: Process, line: str, wait_s: float) -> dict[str, Any] | None:
        assert process.stdin is not None
        assert process.stdout is not None
        answer = b""
        # The bound is also for writing: a stopped process takes no more than a pipe holds. RuntimeError is
        # uvloop's word for a pipe that is closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                with contextlib.suppress(ConnectionError, RuntimeError):
                    process.stdin.write(line.encode() + b"\n")
                    await process.stdin.drain()
                answer = await process.stdout.readline()
        found: dict[str, Any] | None = json.loads(answer) if answer else None
        return found

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _crashed(process: Process) -> bool:
    """Tell whether a process that says nothing died of itself, not of its alarm nor of waiting."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 1.0)
    return process.returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL)
