"""JSON logs: one line a change, constant messages, what varies in fields of its own.

Owns the format and which libraries may speak; set up once by ``__main__``.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from daybreak_contracts.errors import UserError

QUIET = ("kopf", "aiohttp", "urllib3", "kubernetes", "asyncio")
"""Libraries whose every-day lines say nothing of a change."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: time, level, logger, message, then the fields given by ``extra``."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs to one stream as JSON; UserError for a level that is none."""
    if level.upper() not in logging.getLevelNamesMapping():
        raise UserError(f"DAYBREAK_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, got {level!r}")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
