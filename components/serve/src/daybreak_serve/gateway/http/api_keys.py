"""API keys: who asks, by a secret that only its SHA-256 is kept of.

A file with one key a line, ``NAME sha256:HEX [GROUP,GROUP]``; ``#`` begins a comment. It is read again when it changes,
so keys come and go without a restart. The credential then says user and groups, whatever headers and body say.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from daybreak_contracts.errors import UserError
from daybreak_serve.gateway.http.asgi_io import ResponseWriter, header
from daybreak_serve.gateway.http.problems import ApiProblem

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/health", "/v1/health"})
"""Probes have no key."""
LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})(?:\s+(\S+))?")
LOOK_S = 1.0
"""How often the file's time is looked at."""
USER, GROUPS = b"x-daybreak-user", b"x-daybreak-groups"


@dataclass(frozen=True)
class KeyHolder:
    """Whom a key belongs to."""

    user: str
    groups: tuple[str, ...] = ()


def new_key() -> tuple[str, str]:
    """Return a fresh key (256 bits) and the digest for its line in the file."""
    key = f"db-{secrets.token_urlsafe(32)}"
    return key, digest_of(key)


def digest_of(key: str) -> str:
    """Return what is kept of a key. Keys are random, so a slow hash would add nothing (they cannot be guessed)."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_keys(text: str, name: str) -> dict[str, KeyHolder]:
    """Return digest to holder; a line that is none is a UserError that names it, and never what stands in it."""
    found: dict[str, KeyHolder] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = LINE.fullmatch(content)
        if match is None:
            raise UserError(f"{name}, line {number}: must be NAME sha256:64-HEX-DIGITS [GROUP,GROUP]")
        user, digest, groups = match.groups()
        found[digest] = KeyHolder(user, tuple(filter(None, (groups or "").split(","))))
    return found


class KeyFile:
    """The keys of a file, as they are now."""

    def __init__(self, path: Path, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._path, self._clock, self._warn = path, clock, warn
        self._seen: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._keys: Mapping[str, KeyHolder] = {}
        try:
            self._read(path.stat())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error

    def holder(self, key: str) -> KeyHolder | None:
        """Return whose key this is. A file that cannot be read any more leaves the keys as they were, and is said."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            try:
                self._read(self._path.stat())
            except (OSError, UserError) as error:
                self._warn(f"{self._path}: {error}; the keys read before still hold")
        return self._keys.get(digest_of(key))

    def _read(self, status: os.stat_result) -> None:
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._seen = seen
            self._keys = parse_keys(self._path.read_text(encoding="utf-8", errors="replace"), str(self._path))


def denied(authorization: str | None) -> ApiProblem:
    """Return the answer to a request without a key that holds."""
    what = "the API key is not known" if authorization else "an API key is needed"
    message = f"{what}: send Authorization: Bearer KEY"
    return ApiProblem(401, message, "authentication_error", code="invalid_api_key")


class KeyGuard:
    """ASGI middleware: lets in who has a key, under the name that the key says."""

    def __init__(self, app: ASGIApp, keys: KeyFile, log: Callable[[str, ApiProblem], object]) -> None:
        self._app, self._keys, self._log = app, keys, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with user and groups of the key."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        authorization = header(scope, b"authorization")
        holder = None
        if authorization is not None and authorization[:7].lower() == "bearer ":
            holder = self._keys.holder(authorization[7:].strip())
        if holder is None:
            problem = denied(authorization)
            self._log(scope["path"], problem)
            await ResponseWriter(send).problem(problem, problem.body())
            return
        headers = [pair for pair in scope["headers"] if pair[0] not in (USER, GROUPS, b"authorization")]
        headers += [(USER, holder.user.encode()), (GROUPS, ",".join(holder.groups).encode())]
        await self._app({**scope, "headers": headers}, receive, send)
