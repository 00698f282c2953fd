"""What a gateway counts for the operator: requests by the model that answered, arrivals by second, waiting.

`daybreak_contracts.metrics_snapshot` says what each number means. Owns no HTTP and no Prometheus.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot, ModelCounters
from daybreak_serve.gateway.events.journal import RETAINED_AFTER_S, Record, SuggestionEvent, characters_of

ARRIVAL_WINDOW_S = 60
QUEUE_WINDOW_S = 15.0
NUM_RECENT = 1000
"""Answers that tell how long one takes now: at ten requests a second the last two minutes."""
MAX_WAITS = 10_000
"""Bounds the memory of a flood; 15 s at 600 requests a second."""
ACCEPTING = ("accepted", "partiallyAccepted")


@dataclass
class CompletionCounters:
    """One model's counters."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    shown: int = 0
    accepted: int = 0
    retained_characters: int = 0
    seconds: float = 0.0
    shadow_requests: int = 0
    shadow_errors: int = 0
    shadow_seconds: float = 0.0
    latency_buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))


class GatewayCounters:
    """All counters of one gateway. Clocks are Unix time in seconds."""

    def __init__(self, instance: str, clock: Callable[[], float]) -> None:
        self._instance = instance
        self._clock = clock
        self._started = self._quiet_since = clock()
        self._models: dict[str, CompletionCounters] = {}
        self._arrivals = 0
        self._by_second: dict[int, int] = {}
        self._waits: deque[tuple[float, float]] = deque(maxlen=MAX_WAITS)
        self._recent: deque[float] = deque(maxlen=NUM_RECENT)
        self.rejected = 0

    def model(self, digest: str) -> CompletionCounters:
        """Return the counters of a model."""
        return self._models.setdefault(digest, CompletionCounters())

    def arrive(self) -> None:
        """Count a request that came, whatever becomes of it."""
        self._arrivals += 1
        second = int(self._clock())
        self._by_second[second] = self._by_second.get(second, 0) + 1
        while len(self._by_second) > ARRIVAL_WINDOW_S + 2:
            del self._by_second[next(iter(self._by_second))]

    def stir(self) -> None:
        """Note that somebody uses the model: a request that can be answered came, or one ended."""
        self._quiet_since = self._clock()

    def waited(self, seconds: float) -> None:
        """Note how long a request waited for its place."""
        self._waits.append((self._clock(), seconds))

    def answer(self, digest: str, seconds: float, *, failed: bool) -> None:
        """Count an answered request."""
        counters = self.model(digest)
        counters.requests += 1
        counters.errors += failed
        counters.seconds += seconds
        self._recent.append(seconds)
        counters.latency_buckets[bisect.bisect_left(LATENCY_BOUNDS_MS, 1000 * seconds)] += 1

    def shadow(self, digest: str, seconds: float, *, failed: bool) -> None:
        """Count a request that nobody saw the answer of."""
        counters = self.model(digest)
        counters.shadow_requests += 1
        counters.shadow_errors += failed
        counters.shadow_seconds += seconds

    def event(self, event: SuggestionEvent, record: Record) -> None:
        """Count what became of a suggestion, for the model that made it.

        Accepted in parts and then whole is one acceptance. Retained is what was kept after 30 s, the first look:
        later looks see the same characters again.
        """
        counters = self.model(record.model_digest)
        if event.event == "shown":
            counters.shown += 1
        elif event.event in ACCEPTING:
            counters.accepted += sum(kind in ACCEPTING for kind, _ in record.seen) == 1
        elif event.event == "retained" and event.after_s == RETAINED_AFTER_S[0]:
            counters.retained_characters += characters_of(event, record)

    def snapshot(
        self, routing_version: int, inflight: Mapping[str, int], held: int, waking: int = 0
    ) -> GatewaySnapshot:
        """Return all of it."""
        now = self._clock()
        seconds = range(int(now) - ARRIVAL_WINDOW_S, int(now))
        models = {digest: self._counters_of(digest, number) for digest, number in inflight.items()}
        gone = {digest: self._counters_of(digest, 0) for digest in self._models if digest not in inflight}
        return GatewaySnapshot(
            instance=self._instance,
            started=self._started,
            at=now,
            routing_version=routing_version,
            arrivals=self._arrivals,
            arrivals_by_second=tuple(self._by_second.get(second, 0) for second in seconds),
            rejected=self.rejected,
            inflight=sum(inflight.values()),
            held=held,
            waking=waking,
            quiet_since=self._quiet_since,
            queue_p95_ms=self._queue_p95_ms(now),
            recent_requests=len(self._recent),
            recent_seconds=sum(self._recent),
            models={**gone, **models},
        )

    def _counters_of(self, digest: str, inflight: int) -> ModelCounters:
        values = vars(self.model(digest))
        return ModelCounters(
            **{**values, "latency_buckets": tuple(values["latency_buckets"])}, inflight=inflight
        )

    def _queue_p95_ms(self, now: float) -> float:
        while self._waits and self._waits[0][0] < now - QUEUE_WINDOW_S:
            self._waits.popleft()
        waits = sorted(seconds for _, seconds in self._waits)
        return round(1000 * waits[int(0.95 * len(waits))], 3) if waits else 0.0
