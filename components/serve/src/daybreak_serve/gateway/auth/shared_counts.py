"""What all gateways of a ModelDeployment have let in, as each of them tells the others: so that a limit is one limit.

A gateway counts by itself, in buckets that only grow; what it knows of others is the newest that it heard of each. So
counts can be heard twice, late or from a third gateway, and stay right: one that starts hears from the others what it
counted in its earlier life, and what those counted that ended. Pure; who asks whom is `cluster.sharing`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

BUCKET_S = 5
"""Requests are told by so many seconds: a minute's last ones leave it up to that much later than they would."""
MINUTE_S = 60
MAX_SOURCES = 64
"""Gateways, and earlier lives of them, that are remembered; the longest silent is forgotten."""
MAX_TOLD = 10_000
"""Users that a gateway tells of: those who asked last."""


def key_of(name: str) -> str:
    """Return what stands for a user or a group between gateways: a pseudonym."""
    return hashlib.sha256(name.encode()).hexdigest()[:20]


class ToldUse(BaseModel):
    """What one gateway has let in of one user or group."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    day: int = 0
    tokens: int = Field(default=0, ge=0)
    buckets: dict[int, int] = {}
    """Requests by Unix time in steps of ``BUCKET_S``."""


class ToldCounts(BaseModel):
    """What a gateway tells: of each life of a gateway that it knows, its own among them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sources: dict[str, dict[str, ToldUse]] = {}


@dataclass
class _Use:
    day: int = 0
    tokens: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    def merge(self, told: ToldUse) -> None:
        """Take what is newer: numbers of a life only grow, but for a new day's tokens."""
        if told.day > self.day:
            self.day, self.tokens = told.day, told.tokens
        elif told.day == self.day:
            self.tokens = max(self.tokens, told.tokens)
        for bucket, number in told.buckets.items():
            self.buckets[bucket] = max(self.buckets.get(bucket, 0), number)

    def forget(self, unix_s: float) -> None:
        for bucket in [one for one in self.buckets if one * BUCKET_S + BUCKET_S + MINUTE_S <= unix_s]:
            del self.buckets[bucket]


class SharedCounts:
    """Counts of this gateway's life, and what was heard of others."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._uses: dict[str, dict[str, _Use]] = {source: {}}

    def _own(self, key: str) -> _Use:
        own = self._uses[self._source]
        found = own.pop(key, None) or _Use()
        own[key] = found  # the last is who asked last
        while len(own) > MAX_TOLD:
            del own[next(iter(own))]
        return found

    def entered(self, key: str, unix_s: float) -> None:
        """Count a request."""
        use, bucket = self._own(key), int(unix_s // BUCKET_S)
        use.forget(unix_s)
        use.buckets[bucket] = use.buckets.get(bucket, 0) + 1

    def spent(self, key: str, day: int, num_tokens: int) -> None:
        """Count tokens of a day (UTC)."""
        use = self._own(key)
        use.tokens = num_tokens + (use.tokens if use.day == day else 0)
        use.day = day

    def hear(self, told: ToldCounts) -> None:
        """Take what another gateway tells; of ourselves we know better."""
        for source, uses in told.sources.items():
            if source == self._source:
                continue
            known = self._uses.pop(source, {})
            self._uses[source] = known
            for key, use in list(uses.items())[:MAX_TOLD]:
                known.setdefault(key, _Use()).merge(use)
        for source in [one for one in self._uses if one != self._source][
            : max(0, len(self._uses) - MAX_SOURCES)
        ]:
            del self._uses[source]

    def told(self, unix_s: float) -> ToldCounts:
        """Return what to tell: all that is known and still counts."""
        day, sources = int(unix_s // 86_400), dict[str, dict[str, ToldUse]]()
        for source, uses in self._uses.items():
            for key, use in list(uses.items()):
                use.forget(unix_s)
                if not use.buckets and use.day != day:
                    del uses[key]
            sources[source] = {
                key: ToldUse(day=use.day, tokens=use.tokens, buckets=dict(use.buckets))
                for key, use in uses.items()
            }
        return ToldCounts(sources=sources)

    def others_tokens(self, key: str, day: int) -> int:
        """Return what the others have let in of a day's tokens."""
        return sum(use.tokens for use in self._of_others(key) if use.day == day)

    def others_requests(self, key: str, unix_s: float) -> Mapping[int, int]:
        """Return how many requests of the last minute the others let in, by bucket."""
        found: dict[int, int] = {}
        for use in self._of_others(key):
            for bucket, number in use.buckets.items():
                if (bucket + 1) * BUCKET_S + MINUTE_S > unix_s:
                    found[bucket] = found.get(bucket, 0) + number
        return found

    def _of_others(self, key: str) -> list[_Use]:
        return [uses[key] for source, uses in self._uses.items() if source != self._source and key in uses]
