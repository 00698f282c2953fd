"""What trainers and gateways count, fetched beside the workers: a reading wakes its object, and is there when decided.

Owns fetching, its pace and freshness; ``Readings`` is the pure part, ``Poller`` the HTTP. A pod that does not answer
is just not among the fresh readings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.kubernetes_access import host_in_url
from daybreak_contracts.metrics_snapshot import GatewaySnapshot, MetricsSnapshot, TrainerSnapshot
from daybreak_operator.core.observed.pods import is_first
from daybreak_operator.core.plan import Object
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.store import Store

LOG = logging.getLogger(__name__)

TRAINER_EVERY_S = 10.0
TIMEOUT_S = 2.0
NUM_AT_ONCE = 64
FRESH_INTERVALS = 3
PATIENT_MISSES = 3
"""So often in a row a pod is asked at its pace though it does not answer: it may be starting."""
SILENT_EVERY_S = 60.0
"""How seldom one that never answers is asked in the end: each try holds a connection for ``TIMEOUT_S``."""
TRAINER_PORT = names.PORT_TRAINER
GATEWAY_PORT = names.PORT_GATEWAY_METRICS


@dataclass(frozen=True)
class ScrapeTarget:
    """One pod to ask."""

    key: ObjectKey
    uid: str
    pod: str
    url: str
    kind: Literal["trainer", "gateway"]
    every_s: float


def targets(store: Store) -> Iterator[ScrapeTarget]:
    """Yield the pods that have something to tell: the first trainer of each run, every gateway."""
    for key, child in store.pods():
        if not _is_up(child):
            continue
        role = child["metadata"]["labels"].get(names.LABEL_ROLE)
        host = host_in_url(child["status"]["podIP"])
        uid, pod = child["metadata"]["uid"], child["metadata"]["name"]
        if role == names.ROLE_TRAINING and is_first(child["metadata"]["labels"], pod):
            yield ScrapeTarget(
                key, uid, pod, f"http://{host}:{TRAINER_PORT}/progress", "trainer", TRAINER_EVERY_S
            )
        elif role == names.ROLE_GATEWAY:
            url = f"http://{host}:{GATEWAY_PORT}/snapshot"
            yield ScrapeTarget(key, uid, pod, url, "gateway", store.every_s(key))


def _is_up(pod: Object) -> bool:
    status = pod.get("status") or {}
    going = "deletionTimestamp" in pod["metadata"]
    return status.get("phase") == "Running" and bool(status.get("podIP")) and not going


@dataclass
class Readings:
    """The newest metrics of every pod, and those at the start of each window of the guardrails."""

    clock: Callable[[], float]
    _asked: dict[str, float] = field(default_factory=dict)
    _misses: dict[str, int] = field(default_factory=dict)
    _silent: dict[str, tuple[ScrapeTarget, float]] = field(default_factory=dict)
    """Pods that did not answer the last time, and since when that is so."""
    _newest: dict[str, tuple[ScrapeTarget, float, MetricsSnapshot]] = field(default_factory=dict)
    _by_key: dict[ObjectKey, set[str]] = field(default_factory=dict)
    _earlier: dict[ObjectKey, tuple[Any, dict[str, GatewaySnapshot]]] = field(default_factory=dict)

    def due(self, found: Iterable[ScrapeTarget]) -> list[ScrapeTarget]:
        """Return the targets to ask now; forget pods that are not among them any more."""
        now = self.clock()
        known = {target.uid: target for target in found}
        for uid in list(self._asked):
            if uid not in known:
                self._forget(uid)
        chosen = [
            t for t in known.values() if now - self._asked.get(t.uid, float("-inf")) >= self._pause_s(t)
        ]
        for target in chosen:
            self._asked[target.uid] = now
        return chosen

    def take(self, target: ScrapeTarget, snapshot: MetricsSnapshot) -> bool:
        """Keep a reading; return whether it says anything new: nobody need look at an idle gateway's next one."""
        now, known = self.clock(), self._newest.get(target.uid)
        self._misses.pop(target.uid, None)
        self._silent.pop(target.uid, None)
        self._newest[target.uid] = (target, now, snapshot)
        self._by_key.setdefault(target.key, set()).add(target.uid)
        return known is None or not _is_fresh(known[0], known[1], now) or not same(known[2], snapshot)

    def missed(self, target: ScrapeTarget) -> bool:
        """A pod did not answer; return whether what it said before is too old since."""
        self._misses[target.uid] = self._misses.get(target.uid, 0) + 1
        self._silent.setdefault(target.uid, (target, self.clock()))
        known = self._newest.get(target.uid)
        if known is None or _is_fresh(known[0], known[1], self.clock()):
            return False
        self._drop_reading(target.uid)
        return True

    def progress(self, key: ObjectKey) -> TrainerSnapshot | None:
        """Return the fresh metrics of the run's newest attempt."""
        found = [snapshot for snapshot in self._fresh(key) if isinstance(snapshot, TrainerSnapshot)]
        return max(found, key=lambda snapshot: (snapshot.attempt, snapshot.updated), default=None)

    def gateways(self, key: ObjectKey) -> tuple[GatewaySnapshot, ...]:
        """Return the fresh metrics of the deployment's gateways, by name."""
        found = [snapshot for snapshot in self._fresh(key) if isinstance(snapshot, GatewaySnapshot)]
        return tuple(sorted(found, key=lambda snapshot: snapshot.instance))

    def silent(self, key: ObjectKey) -> dict[str, float]:
        """Return the pods of an object that were asked in vain, and for how many seconds nothing came of it."""
        now = self.clock()
        return {target.pod: now - since for target, since in self._silent.values() if target.key == key}

    def earlier(self, key: ObjectKey, window: Any) -> tuple[GatewaySnapshot, ...]:
        """Return the readings at the start of the window: the first ones seen since it is this window.

        A gateway that came later counts from its own first reading in it.
        """
        began, kept = self._earlier.get(key, (None, {}))
        if began != window:
            kept = {}
        for snapshot in self.gateways(key):
            before = kept.get(snapshot.instance)
            if before is None or before.started != snapshot.started:
                kept[snapshot.instance] = snapshot
        self._earlier[key] = (window, kept)
        return tuple(kept[name] for name in sorted(kept))

    def drop(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._earlier.pop(key, None)

    def _pause_s(self, target: ScrapeTarget) -> float:
        beyond = self._misses.get(target.uid, 0) + 1 - PATIENT_MISSES
        slower = target.every_s * 2.0 ** min(beyond, 10) if beyond > 0 else 0.0
        return max(target.every_s, min(slower, SILENT_EVERY_S))

    def _fresh(self, key: ObjectKey) -> Iterator[MetricsSnapshot]:
        now = self.clock()
        for uid in self._by_key.get(key, ()):
            target, at, snapshot = self._newest[uid]
            if _is_fresh(target, at, now):
                yield snapshot

    def _forget(self, uid: str) -> None:
        del self._asked[uid]
        self._misses.pop(uid, None)
        self._silent.pop(uid, None)
        self._drop_reading(uid)

    def _drop_reading(self, uid: str) -> None:
        found = self._newest.pop(uid, None)
        if found is not None:
            key = found[0].key
            self._by_key[key].discard(uid)
            if not self._by_key[key]:
                del self._by_key[key]


def _is_fresh(target: ScrapeTarget, at: float, now: float) -> bool:
    return now - at <= FRESH_INTERVALS * target.every_s


def same(one: MetricsSnapshot, other: MetricsSnapshot) -> bool:
    """Return whether two readings say the same, but for the time of a gateway's (a trainer's is its heartbeat)."""
    if isinstance(one, GatewaySnapshot) and isinstance(other, GatewaySnapshot):
        return one == other.model_copy(update={"at": one.at})
    return one == other


@dataclass
class Poller:
    """Asks pods for their metrics, many at once, none for long."""

    store: Store
    readings: Readings
    enqueue: Callable[[ObjectKey], None]
    tick_s: float = 1.0
    _at_work: set[str] = field(default_factory=set)
    _found: tuple[int, list[ScrapeTarget]] = (-1, [])
    """The targets, and the store's generation that they are of."""

    async def run(self) -> None:
        """Ask for ever."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=NUM_AT_ONCE)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                for target in self.readings.due(self._targets()):
                    if target.uid not in self._at_work:
                        self._at_work.add(target.uid)
                        tasks.create_task(self._ask(session, target))
                await asyncio.sleep(self.tick_s)

    def _targets(self) -> list[ScrapeTarget]:
        if self._found[0] != self.store.generation:
            self._found = self.store.generation, list(targets(self.store))
        return self._found[1]

    async def _ask(self, session: aiohttp.ClientSession, target: ScrapeTarget) -> None:
        is_news = False
        try:
            async with session.get(target.url) as answer:
                answer.raise_for_status()
                text = await answer.read()
            made = TrainerSnapshot if target.kind == "trainer" else GatewaySnapshot
            is_news = self.readings.take(target, made.model_validate_json(text))
        except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
            LOG.debug("metrics snapshot not fetched", extra={"pod": target.pod, "error": str(error)})
            is_news = self.readings.missed(target)
        finally:
            self._at_work.discard(target.uid)
        if is_news:
            self.enqueue(target.key)
