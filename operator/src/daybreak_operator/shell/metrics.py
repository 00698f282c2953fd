"""What Prometheus may ask: the operator's own work, and what it decided.

Owns names and labels of the metrics. Gauges about objects are read from the cache when asked for, so nothing is
written down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daybreak_contracts import names
from daybreak_operator.core.plan import Object
from daybreak_operator.shell.store import Store
from daybreak_operator.shell.watch import Watch

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """Counters that code adds to, and a registry that others may join."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconcile = Histogram(
            "daybreak_reconcile_seconds",
            "Duration of a pass over one object.",
            ["kind", "result"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._requests = Counter(
            "daybreak_api_requests",
            "Requests to the Kubernetes API by verb, resource and HTTP code (0: no answer).",
            ["verb", "resource", "code"],
            registry=self.registry,
        )

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Count a pass; ``result`` is ok, failed or bug."""
        self._reconcile.labels(kind, result).observe(seconds)

    def requested(self, verb: str, resource: str, code: int) -> None:
        """Count a request."""
        self._requests.labels(verb, resource, str(code)).inc()

    def text(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        return generate_latest(self.registry)


class Observations(Collector):
    """Gauges of queue, watches and objects, made when asked for."""

    def __init__(
        self,
        store: Store,
        watches: Iterable[Watch],
        queue: Callable[[], tuple[int, float]],
        leads: Callable[[], bool],
    ) -> None:
        self._store = store
        self._watches = tuple(watches)
        self._queue = queue
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        depth, age = self._queue()
        yield GaugeMetricFamily("daybreak_queue_depth", "Objects that wait for a worker.", value=depth)
        yield GaugeMetricFamily("daybreak_queue_age_seconds", "Age of the oldest work.", value=age)
        yield GaugeMetricFamily("daybreak_leader", "1 on the replica that leads.", value=int(self._leads()))
        yield from self._of_watches()
        yield from self._of_deployments()
        yield from self._of_runs()

    def _of_watches(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(
            "daybreak_watch_age_seconds", "Since the last event or bookmark.", labels=["kind"]
        )
        restarts = CounterMetricFamily("daybreak_watch_restarts", "Watches taken up again.", labels=["kind"])
        for kind in sorted({watch.resource.kind for watch in self._watches}):
            same = [watch for watch in self._watches if watch.resource.kind == kind]
            age.add_metric([kind], max(watch.age_s() for watch in same))
            restarts.add_metric([kind], sum(watch.restarts for watch in same))
        yield age
        yield restarts

    def _of_deployments(self) -> Iterator[Metric]:
        where = ["namespace", "name"]
        stage = GaugeMetricFamily(
            "daybreak_rollout_stage", "1 for the stage it is in.", labels=[*where, "stage"]
        )
        weight = GaugeMetricFamily("daybreak_rollout_weight", "Percent of users.", labels=where)
        cost = GaugeMetricFamily("daybreak_cost_per_hour", "Price of what runs now.", labels=where)
        ready = GaugeMetricFamily("daybreak_ready_replicas", "Replicas that answer.", labels=where)
        zones = GaugeMetricFamily(
            "daybreak_zone_backing_off", "1 while the zone is not asked.", labels=[*where, "pool", "zone"]
        )
        for body, status in self._statuses(names.KIND_DEPLOYMENT):
            at = [body["metadata"]["namespace"], body["metadata"]["name"]]
            candidate = status.get("candidate") or {}
            stage.add_metric([*at, candidate.get("stage") or "None"], 1)
            weight.add_metric(at, float(candidate.get("weight") or 0))
            cost.add_metric(at, float(status.get("costPerHour") or 0))
            ready.add_metric(at, float(status.get("readyReplicas") or 0))
            for zone in status.get("zones") or ():
                zones.add_metric([*at, zone["pool"], zone["zone"]], int(zone.get("state") == "BackingOff"))
        yield from (stage, weight, cost, ready, zones)

    def _of_runs(self) -> Iterator[Metric]:
        where = ["namespace", "name"]
        restarts = GaugeMetricFamily("daybreak_run_restarts", "Restarts of a stage.", labels=where)
        progress = GaugeMetricFamily("daybreak_run_progress_percent", "How much is done.", labels=where)
        stalled = GaugeMetricFamily(
            "daybreak_stalled", "1 when a person has to act.", labels=["kind", *where]
        )
        for body, status in self._statuses(names.KIND_RUN):
            at = [body["metadata"]["namespace"], body["metadata"]["name"]]
            restarts.add_metric(at, float(status.get("restarts") or 0))
            progress.add_metric(at, float(status.get("progressPercent") or 0))
        for kind in (names.KIND_RUN, names.KIND_DEPLOYMENT):
            for body, status in self._statuses(kind):
                said = {c["type"]: c["status"] for c in status.get("conditions") or ()}
                at = [kind, body["metadata"]["namespace"], body["metadata"]["name"]]
                stalled.add_metric(at, int(said.get("Stalled") == "True"))
        yield from (restarts, progress, stalled)

    def _statuses(self, kind: str) -> Iterator[tuple[Object, Mapping[str, Any]]]:
        for key in self._store.known():
            body = self._store.get(key) if key.kind == kind else None
            if body is not None:
                yield body, body.get("status") or {}
