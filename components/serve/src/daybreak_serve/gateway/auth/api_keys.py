"""API keys: who asks, by a secret that only its SHA-256 is kept of.

A file with one key a line, ``NAME sha256:HEX [GROUP,GROUP]``; ``#`` begins a comment. It is read again when it changes,
so keys come and go without a restart. The credential then says user and groups, whatever headers and body say.
``NAME sha256:HEX @proxy`` is the key of a proxy that logs people in: whom it names by headers is believed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import UserError

LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})(?:\s+(\S+))?")
LOOK_S = 1.0
"""How often the file's time is looked at."""
PROXY = "@proxy"


@dataclass(frozen=True)
class KeyHolder:
    """Whom a key belongs to."""

    user: str
    groups: tuple[str, ...] = ()
    is_proxy: bool = False
    """Whether it asks for others, and says for whom."""


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
        user, digest, listed = match.groups() if match else ("", "", "")
        groups = tuple(filter(None, (listed or "").split(",")))
        if not digest or (PROXY in groups and len(groups) > 1):
            raise UserError(
                f"{name}, line {number}: must be NAME sha256:64-HEX-DIGITS [GROUP,GROUP or {PROXY}]"
            )
        is_proxy = groups == (PROXY,)
        found[digest] = KeyHolder(user, () if is_proxy else groups, is_proxy)
    return found


class KeyFile:
    """The keys of a file, as they are now."""

    def __init__(self, path: Path, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._path, self._clock, self._warn = path, clock, warn
        self._seen: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._told = ""
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
                self._told = ""
            except (OSError, UserError) as error:
                if str(error) != self._told:  # once, not with each request
                    self._warn(f"{self._path}: {error}; the keys read before still hold")
                self._told = str(error)
        return self._keys.get(digest_of(key))

    def _read(self, status: os.stat_result) -> None:
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            text = self._path.read_text(encoding="utf-8", errors="replace")
            self._seen = seen  # also of a file that is wrong: it is told once
            self._keys = parse_keys(text, str(self._path))
