"""The gateway's Prometheus metrics: it, not the engine, knows how long a client waited. Owns no decision."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from daybreak_contracts import names

BUCKETS_S = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Completion is judged between 10 ms and a second (docs/thresholds.md); what is slower must not look like a second."""

WAKE_BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)


def label_of(digest: str) -> str:
    """Return what stands for a model in a label: as on its pods; empty where no model was asked."""
    return names.short(digest)


class GatewayMetrics:
    """All families of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.request_seconds = self._histogram(
            "gw_request_seconds", "Arrival to the last byte", ["status", "revision"]
        )
        self.ttft_seconds = self._histogram("gw_ttft_seconds", "Arrival to the first token")
        self.queue_seconds = self._histogram("gw_queue_seconds", "Waiting for a place in the engine")
        self.inflight = self._gauge("gw_inflight", "Requests in the engine")
        self.held = self._gauge("gw_held", "Requests that wait for a place")
        self.waking = self._gauge("gw_waking", "Requests that wait for a model's first engine")
        self.wake_seconds = self._histogram(
            "gw_wake_seconds", "Waiting for a model's first engine", buckets=WAKE_BUCKETS_S
        )
        self.rejected = self._counter("gw_rejected", "Requests not answered, by reason", ["reason"])
        self.cancelled = self._counter("gw_cancelled", "Requests given up, by stage", ["stage", "reason"])
        self.wasted_tokens = self._counter("gw_wasted_tokens", "Tokens made for requests that were given up")
        self.tokens = self._counter("gw_tokens", "Tokens, by kind", ["kind"])
        self.truncated = self._counter("gw_truncated", "Prompts that were longer than the context")
        shown = ["language", "model", "revision"]
        self.suggestions = {
            kind: self._counter(f"suggestions_{kind}", f"Suggestions {kind}", shown)
            for kind in ("shown", "accepted", "partially_accepted", "dismissed")
        }
        self.accepted_characters = self._counter(
            "suggestions_accepted_characters", "Characters accepted, partly too", shown
        )
        self.retained_characters = self._counter(
            "suggestions_retained_characters", "Accepted characters still there later", [*shown, "after_s"]
        )

    def _histogram(
        self, name: str, text: str, labels: list[str] | None = None, buckets: tuple[float, ...] = BUCKETS_S
    ) -> Histogram:
        return Histogram(name, text, labels or [], buckets=buckets, registry=self._registry)

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(name, text, labels or [], registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self._registry)
