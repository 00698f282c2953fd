"""A certificate and its key from files, read again when they change: whoever renews them restarts nothing.

New connections get what was read last; a pair that does not fit leaves the old one, and is said.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from daybreak_contracts.errors import UserError

LOOK_S = 5
"""How often the files' times are looked at."""


class ServedCertificate:
    """What connections are encrypted with."""

    def __init__(self, certificate: Path, key: Path, warn: Callable[[str], object]) -> None:
        self._files = (certificate, key)
        self._warn = warn
        self._seen = self._times()
        self.context = _context_of(certificate, key)

    async def follow(self) -> None:
        """Take up files that have changed."""
        seen = self._times()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _context_of(*self._files)  # one that fails half-way must not be the one in use
            self.context.load_cert_chain(*self._files)
        except UserError as error:
            self._warn(f"{error}; the certificate read before is still served")

    def _times(self) -> tuple[object, ...]:
        found: list[object] = []
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{certificate} and {key}: no certificate with its key in PEM ({reason})") from error
    return context


def _no_password() -> str:
    """Answer in the place of a prompt, which nobody would see."""
    raise ValueError("the key is protected by a password: take that away")
