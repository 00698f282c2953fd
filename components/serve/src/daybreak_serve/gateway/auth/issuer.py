"""The keys of an issuer, as they are now: found by OpenID Connect discovery, kept, read again.

Nobody waits for the issuer while the keys at hand do. An unknown key makes it be asked again, seldom, whatever
strangers send; while it is away its last keys hold for a while. Owns no verdict on a token.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from daybreak_serve.gateway.auth.tokens import TokenHeader, VerificationKey, fitting, keys_of, parsed
from daybreak_serve.gateway.http.problems import ApiProblem

DISCOVERY = "/.well-known/openid-configuration"
REFRESH_S = 300.0
"""A key that the issuer withdraws is believed for so long."""
BETWEEN_S = 10.0
"""From one question to the next, also for tokens whose key is unknown: a new key may take so long to be known."""
KEPT_S = 3600.0
"""How long keys hold while the issuer does not answer: about as long as tokens live that it would have to renew."""
TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

Fetch = Callable[[], Awaitable[tuple[VerificationKey, ...]]]


class IssuerAway(Exception):  # noqa: N818 - it may come back
    """Why the keys could not be read."""


@dataclass(frozen=True)
class HeldKeys:
    """The keys at hand, and when the issuer was asked. Decides when to ask again."""

    keys: tuple[VerificationKey, ...] = ()
    read_s: float = -math.inf
    asked_s: float = -math.inf

    def hold(self, now: float) -> bool:
        """Tell whether the keys may still be believed."""
        return now - self.read_s <= KEPT_S

    def are_old(self, now: float) -> bool:
        """Tell whether it is time to read them again."""
        return now - self.read_s >= REFRESH_S

    def next_question_s(self, now: float) -> float:
        """Return in how many seconds the issuer may be asked again; 0: now."""
        return max(0.0, self.asked_s + BETWEEN_S - now)


class IssuerKeys:
    """The keys of one issuer. For one loop."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._fetch, self._clock, self._warn = fetch, clock, warn
        self._held = HeldKeys()
        self._asking: asyncio.Task[None] | None = None

    async def find(self, header: TokenHeader) -> list[VerificationKey]:
        """Return the keys that a token may be signed with; without any keys that hold, an `ApiProblem` says so."""
        now = self._clock()
        if self._held.are_old(now):
            self._ask(now)
        if not self._held.hold(now):
            await self._answer()
        found = fitting(self._held.keys, header)
        if not found and self._held.hold(now):
            self._ask(now)
            await self._answer()
            found = fitting(self._held.keys, header)
        if not self._held.hold(self._clock()):
            wait_s = math.ceil(self._held.next_question_s(self._clock()))
            message = "tokens cannot be checked now: their issuer does not answer"
            raise ApiProblem(
                503, message, "service_unavailable", code="issuer_away", retry_after_s=max(1, wait_s)
            )
        return found

    def _ask(self, now: float) -> None:
        """Begin to ask the issuer, unless that is going on or was a moment ago."""
        if self._asking is None and self._held.next_question_s(now) == 0:
            self._held = replace(self._held, asked_s=now)
            self._asking = asyncio.create_task(self._read())

    async def _answer(self) -> None:
        """Wait for the question that is on its way; it goes on when the one who waits leaves."""
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _read(self) -> None:
        try:
            keys = await self._fetch()
            self._held = replace(self._held, keys=keys, read_s=self._clock())
        except IssuerAway as error:
            self._warn(f"the keys of tokens could not be read: {error}; those read before hold for an hour")
        finally:
            self._asking = None


def fetch_from(issuer: str) -> Fetch:
    """Return what asks an issuer for its keys, within `TIMEOUT_S`."""
    context = (
        httpx.create_ssl_context()
    )  # reads the authorities from disk: at the start, not while somebody waits

    async def fetch() -> tuple[VerificationKey, ...]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await _keys_from(issuer, context)
        except TimeoutError as error:
            raise IssuerAway(f"{issuer} did not answer within {TIMEOUT_S:g} s") from error

    return fetch


async def _keys_from(issuer: str, context: ssl.SSLContext) -> tuple[VerificationKey, ...]:
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_S) as client:
        url = issuer.rstrip("/") + DISCOVERY
        document = await _document(client, url)
        if document.get("issuer") != issuer:
            raise IssuerAway(f"{url} is of another issuer")
        where = document.get("jwks_uri")
        if not isinstance(where, str) or not _is_safe(where):
            raise IssuerAway(f"{url} names no https:// address of its keys")
        try:
            keys = keys_of(await _document(client, where))
        except ValueError as error:
            raise IssuerAway(f"{where}: {error}") from error
        if not keys:
            raise IssuerAway(f"{where} has no key that signatures can be checked with")
        return keys


async def _document(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Return a JSON object of bounded size; redirects are not followed."""
    data = bytearray()
    try:
        async with client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
            if answer.status_code != 200:
                raise IssuerAway(f"{url} answered {answer.status_code}")
            async for piece in answer.aiter_raw():
                data += piece
                if len(data) > MAX_BYTES:
                    raise IssuerAway(f"{url} answered with more than {MAX_BYTES} bytes")
        return parsed(bytes(data))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise IssuerAway(f"{url}: {type(error).__name__} {error}".strip()) from error


def _is_safe(url: str) -> bool:
    """Tell whether nobody on the way can change what comes from there."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)
    except ValueError:
        return False
