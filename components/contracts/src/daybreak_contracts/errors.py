"""The error tree. Every error answers one question: who can fix it?

DaybreakError
├── UserError            exit 2   manifest, input or command is wrong; the message names the remedy
│   └── ArtifactError    exit 2   an artifact is torn or was changed after its commit
└── TransientError       exit 75  temporary infrastructure failure (network, quota, full queue): retry later

Raise ``UserError`` for anything the user can fix. Anything else is a bug: it propagates with its traceback (exit 1).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USER = 2
EXIT_TRANSIENT = 75  # EX_TEMPFAIL of sysexits.h


class DaybreakError(Exception):
    """Base of all errors that are not bugs."""

    exit_code = EXIT_BUG


class UserError(DaybreakError):
    """Something the user can fix. The message names the thing, the rule, the value and the remedy."""

    exit_code = EXIT_USER


class ArtifactError(UserError):
    """An artifact does not match its manifest."""


class TransientError(DaybreakError):
    """Temporary infrastructure failure: retry later; nothing was half-written."""

    exit_code = EXIT_TRANSIENT


def exit_code_of(error: BaseException) -> int:
    """Return the process exit code for an error: 2, 75, 130 for Ctrl-C, 1 for a bug."""
    if isinstance(error, DaybreakError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    return EXIT_BUG


def document_of(error: BaseException) -> dict[str, Any]:
    """Return what a launcher is told of an error: exit code, kind, message and the end of its traceback."""
    return {
        "exitCode": exit_code_of(error),
        "kind": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "traceback": "".join(traceback.format_exception(error))[-8000:],
    }


def write(file: Path, error: BaseException) -> None:
    """Leave an error for the launcher, as ``{"error": document}``."""
    document = document_of(error)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(json.dumps({"error": document}, indent=2))
    temporary.replace(file)


def read(document: Mapping[str, Any]) -> DaybreakError | RuntimeError:
    """Make the error again that ``write`` wrote down; a bug comes back as a RuntimeError."""
    kinds = {EXIT_USER: UserError, EXIT_TRANSIENT: TransientError}
    kind = kinds.get(int(document["exitCode"]), RuntimeError)
    return kind(str(document["message"]))
