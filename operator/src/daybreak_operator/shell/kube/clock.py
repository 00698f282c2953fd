"""What time it is by the API server's clock, told from the ``Date`` of its answers.

Owns the difference to this machine's clock. Ages are counted from what the API server stamps (creation, deletion,
conditions): by a clock that is ten minutes ahead each new pod would look as if it had waited for ten minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LOG = logging.getLogger(__name__)
TOLERATED = timedelta(seconds=2)
"""``Date`` counts whole seconds, and an answer takes its time: less than this is neither a difference nor a change."""
WORTH_TELLING = timedelta(seconds=30)


def here() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


class ServerClock:
    """Told by any thread, read by any."""

    def __init__(self, local: Callable[[], datetime] = here) -> None:
        self.local = local
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the time by the API server's clock."""
        return self.local() + self._ahead

    def heard(self, date: str | None) -> None:
        """Take in when an answer was given; what is no date says nothing."""
        if not date:
            return
        try:
            ahead = parsedate_to_datetime(date).astimezone(UTC) - self.local()
        except ValueError:
            return
        if abs(ahead - self._ahead) <= TOLERATED:
            return
        self._ahead = ahead if abs(ahead) > TOLERATED else timedelta(0)
        if abs(ahead) > WORTH_TELLING:
            LOG.warning(
                "this machine's clock differs from the API server's, which counts",
                extra={"ahead_s": round(-ahead.total_seconds())},
            )
