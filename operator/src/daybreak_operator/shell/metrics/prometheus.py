"""What Prometheus may ask: the operator's own work, and what it decided.

Owns names and labels of the metrics. Gauges about objects are read from the cache when asked for, so nothing is
written down twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daybreak_contracts import names
from daybreak_operator.core.conditions import TRAINING_HEALTHY
from daybreak_operator.core.plan import Object
from daybreak_operator.shell.watches.kept import Own
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.reflector import Reflector
from daybreak_operator.shell.watches.store import Store

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """Counters that code adds to, and a registry that others may join."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._objects: Objects | None = None
        self._reconcile = Histogram(
            "daybreak_reconcile_seconds",
            "Duration of one reconcile.",
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

    def observe(self, observations: Observations, store: Store) -> None:
        """From now on also tell of queue, watches and our own objects."""
        self.registry.register(observations)
        self._objects = Objects(store)

    def text(self) -> bytes:
        """Return the metrics as Prometheus reads them; may be called in any thread."""
        objects = "" if self._objects is None else self._objects.text()
        return generate_latest(self.registry) + objects.encode()


class Observations(Collector):
    """Gauges of queue and watches, made when asked for."""

    def __init__(
        self,
        watches: Iterable[Reflector],
        queue: Callable[[], tuple[int, float]],
        leads: Callable[[], bool],
    ) -> None:
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

    def _of_watches(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(
            "daybreak_watch_age_seconds", "Seconds since the last event or bookmark.", labels=["kind"]
        )
        restarts = CounterMetricFamily(
            "daybreak_watch_restarts", "Watches restarted after an error.", labels=["kind"]
        )
        for kind in sorted({watch.resource.kind for watch in self._watches}):
            same = [watch for watch in self._watches if watch.resource.kind == kind]
            age.add_metric([kind], max(watch.age_s() for watch in same))
            restarts.add_metric([kind], sum(watch.restarts for watch in same))
        yield age
        yield restarts


@dataclass(frozen=True)
class GaugeFamily:
    """A gauge of each object."""

    name: str
    says: str
    labels: tuple[str, ...]


WHERE = ("namespace", "name")
STAGE = GaugeFamily("daybreak_rollout_stage", "1 for the stage it is in.", (*WHERE, "stage"))
WEIGHT = GaugeFamily("daybreak_rollout_weight", "Percent of users.", WHERE)
COST = GaugeFamily("daybreak_cost_per_hour", "Price of what runs now.", WHERE)
READY = GaugeFamily("daybreak_ready_replicas", "Ready replicas.", WHERE)
ASLEEP = GaugeFamily("daybreak_asleep", "1 while no replica runs because nobody asks.", WHERE)
ZONES = GaugeFamily("daybreak_zone_backing_off", "1 while the zone is not asked.", (*WHERE, "pool", "zone"))
RESTARTS = GaugeFamily("daybreak_run_restarts", "Restarts of a stage.", WHERE)
PROGRESS = GaugeFamily("daybreak_run_progress_percent", "How much is done.", WHERE)
STALLED = GaugeFamily("daybreak_stalled", "1 when manual action is required.", ("kind", *WHERE))
CONDITION = GaugeFamily(
    "daybreak_condition", "1 for each condition as it is now.", ("kind", *WHERE, "type", "status", "reason")
)
HEALTHY = GaugeFamily("daybreak_training_healthy", "0 while the guard finds steps out of line.", WHERE)
SPIKES = GaugeFamily("daybreak_training_spikes", "Steps with a spike.", WHERE)
LEFT_OUT = GaugeFamily("daybreak_training_steps_left_out", "Steps whose update was not made.", WHERE)
REWINDS = GaugeFamily("daybreak_training_rewinds", "Returns to a checkpoint.", WHERE)
COUNTED = {"spikes": SPIKES, "stepsLeftOut": LEFT_OUT, "rewinds": REWINDS}
FAMILIES = (
    STAGE,
    WEIGHT,
    COST,
    READY,
    ASLEEP,
    ZONES,
    RESTARTS,
    PROGRESS,
    STALLED,
    CONDITION,
    HEALTHY,
    *COUNTED.values(),
)


def gauges(body: Object) -> Iterator[tuple[GaugeFamily, tuple[str, ...], float]]:
    """Yield what there is to tell of one of our own objects: family, values of its labels, value."""
    status: Mapping[str, Any] = body.get("status") or {}
    at = (body["metadata"]["namespace"], body["metadata"]["name"])
    if body["kind"] == names.KIND_DEPLOYMENT:
        candidate = status.get("candidate") or {}
        yield STAGE, (*at, candidate.get("stage") or "None"), 1.0
        yield WEIGHT, at, float(candidate.get("weight") or 0)
        yield COST, at, float(status.get("costPerHour") or 0)
        yield READY, at, float(status.get("readyReplicas") or 0)
        yield ASLEEP, at, float("asleepSince" in status)
        for zone in status.get("zones") or ():
            yield ZONES, (*at, zone["pool"], zone["zone"]), float(zone.get("state") == "BackingOff")
    else:
        yield RESTARTS, at, float(status.get("restarts") or 0)
        yield PROGRESS, at, float(status.get("progressPercent") or 0)
        for metric in status.get("metrics") or ():
            if metric["name"] in COUNTED:
                yield COUNTED[metric["name"]], at, float(metric["value"])
    said = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if TRAINING_HEALTHY in said and "True" not in (said.get("Trained"), said.get("Finished")):
        yield HEALTHY, at, float(said[TRAINING_HEALTHY] == "True")
    yield STALLED, (body["kind"], *at), float(said.get("Stalled") == "True")
    for one in status.get("conditions") or ():
        yield CONDITION, (body["kind"], *at, one["type"], one["status"], one.get("reason") or ""), 1.0


def line(family: GaugeFamily, values: Iterable[str], value: float) -> str:
    """Return one sample in Prometheus' text format."""
    pairs = sorted(zip(family.labels, values, strict=True))
    said = ",".join(f'{label}="{escaped(text)}"' for label, text in pairs)
    return f"{family.name}{{{said}}} {value}\n"


def escaped(text: str) -> str:
    """Return the value of a label as the text format spells it."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Objects:
    """The gauges of all our own objects as text. Each object's lines are made once a version, not once a scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: dict[ObjectKey, tuple[Own, dict[GaugeFamily, str]]] = {}
        self._lock = threading.Lock()

    def text(self) -> str:
        """Return the families; may be called in any thread."""
        with self._lock:
            now = {key: (own, self._of(key, own)) for key, own in self._store.kept()}
            self._lines = now
        parts = []
        for family in FAMILIES:
            parts.append(f"# HELP {family.name} {family.says}\n# TYPE {family.name} gauge\n")
            parts += [lines[family] for _, lines in now.values() if family in lines]
        return "".join(parts)

    def _of(self, key: ObjectKey, own: Own) -> dict[GaugeFamily, str]:
        known = self._lines.get(key)
        if known is not None and known[0] is own:
            return known[1]
        lines: dict[GaugeFamily, str] = {}
        for family, values, value in gauges(own.body):
            lines[family] = lines.get(family, "") + line(family, values, value)
        return lines
