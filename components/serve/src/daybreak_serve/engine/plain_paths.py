"""Paths that a shell reads as they stand: Triton starts its backend's Python by a shell command and quotes nothing.

With a space in the path of the backend or the model the shell finds no program, and Triton waits for it for ever.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from daybreak_contracts.errors import UserError

PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)  # what Python's shlex.quote leaves as it is


class PlainPaths:
    """Gives folders names without a space or anything else that a shell reads, by links in a folder of its own."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def of(self, path: Path) -> Path:
        """Return the path itself, or a link to it. No plain temporary folder either is a UserError."""
        if PLAIN.fullmatch(str(path)):
            return path
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="daybreak-triton-")
        link = Path(self._folder.name) / hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
        if not PLAIN.fullmatch(str(link)):
            self.close()
            raise UserError(
                f"Triton starts no backend below {path} nor below {link.parent}: its shell would not read their "
                "names as they are; set TMPDIR to a folder without spaces and special characters"
            )
        if not link.is_symlink():
            link.symlink_to(path.absolute())
        return link

    def close(self) -> None:
        """Remove the links."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
