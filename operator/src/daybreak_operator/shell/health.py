"""Liveness, readiness and metrics on one port, and the watchdog that ends a process which can't recover.

Owns when a sign of life is too old. The watchdog runs in a thread of its own: it must see a loop that hangs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from daybreak_contracts.errors import UserError
from daybreak_operator.shell.metrics.prometheus import Metrics

LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
EXIT_STUCK = 70
"""sysexits' EX_SOFTWARE: what the watchdog ends the process with."""


@dataclass(frozen=True)
class Sign:
    """A sign of life: how old it is, and how old it may get."""

    name: str
    age_s: Callable[[], float]
    limit_s: float

    def failure(self) -> str | None:
        """Return what is wrong, or None."""
        age = self.age_s()
        return None if age <= self.limit_s else f"{self.name}: {age:.0f} s > {self.limit_s:.0f} s"


class Pulse:
    """A sign of life that somebody gives by ``beat``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()

    def beat(self) -> None:
        """Say that we live."""
        self._at = self._clock()

    def age_s(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._at


def failed_checks(signs: Iterable[Sign]) -> list[str]:
    """Return what is wrong now."""
    return [said for sign in signs if (said := sign.failure()) is not None]


def watch_over(signs: Iterable[Sign], over: threading.Event, end: Callable[[int], object]) -> None:
    """End the process once a sign of life is too old, until ``over``: a new one can do what this one can't."""
    kept = tuple(signs)

    def look() -> None:
        while not over.wait(LOOK_EVERY_S):
            if found := failed_checks(kept):
                LOG.critical("liveness check failed, exiting", extra={"failed": found})
                end(EXIT_STUCK)
                return

    threading.Thread(target=look, name="watchdog", daemon=True).start()


async def serve(
    port: int, signs: Iterable[Sign], ready: Callable[[], bool], metrics: Metrics
) -> web.AppRunner:
    """Answer ``/healthz``, ``/readyz`` and ``/metrics`` until the runner is cleaned up; UserError without a port."""
    kept = tuple(signs)

    async def healthz(_: web.Request) -> web.Response:
        found = failed_checks(kept)
        return web.json_response({"failed": found}, status=503 if found else 200)

    async def readyz(_: web.Request) -> web.Response:
        is_ready = ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)

    async def numbers(_: web.Request) -> web.Response:
        # In a thread: thousands of objects take a while, and nobody's change is to wait for it.
        text = await asyncio.to_thread(metrics.text)
        return web.Response(body=text, content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", numbers)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UserError(
            f"port {port} can't be opened: {error.strerror}; set DAYBREAK_PORT to a free one"
        ) from error
    return runner
