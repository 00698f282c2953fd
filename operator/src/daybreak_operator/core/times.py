"""Times as Kubernetes writes them (RFC 3339), to and from datetimes and Unix time."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(now: datetime) -> str:
    """Return the time as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: object) -> datetime | None:
    """Return a time as Kubernetes writes it (RFC 3339); None when there is none or it cannot be read."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def seconds_of(text: object) -> float:
    """Return the Unix time of RFC 3339 text; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def text_of(seconds: float) -> str:
    """Return Unix time as Kubernetes writes it."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))
