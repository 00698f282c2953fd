"""The running operator: puts queue, caches, watches, Lease, watchdog and probes together, and takes them apart again.

Owns the order of starting and stopping. A replica that waits has warm caches and answers its probes; one that loses
the Lease stops working at once and waits again (every write asks ``Leadership.held`` first).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_contracts.list_watch import BackOff
from daybreak_operator.settings import Settings
from daybreak_operator.shell import health, preflight
from daybreak_operator.shell.health import Pulse, Sign
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.kube.client import REQUEST_S, Kube, Selector
from daybreak_operator.shell.kube.resources import (
    CHILDREN,
    EVENTS,
    NODES,
    OPTIONAL,
    PODS,
    PRIMARIES,
    ApiResource,
)
from daybreak_operator.shell.lease.leadership import Leadership, LeaseTimes, LostLeadershipError
from daybreak_operator.shell.metrics.prometheus import Metrics, Observations
from daybreak_operator.shell.metrics.snapshots import Poller, Readings
from daybreak_operator.shell.reconcile.execute import Executor
from daybreak_operator.shell.reconcile.gather import STOCKOUT_REASONS, WAIT_REASONS, Gather, Secrets
from daybreak_operator.shell.reconcile.queue import Schedule, WorkQueue
from daybreak_operator.shell.reconcile.reconciler import CONFLICT_RECHECK_S, Decisions, Reconciler, Threads
from daybreak_operator.shell.reconcile.silence import Silence
from daybreak_operator.shell.reconcile.work import Pipelines
from daybreak_operator.shell.reconcile.workloads import Workloads
from daybreak_operator.shell.watches import kopf_events
from daybreak_operator.shell.watches.keys import ObjectKey, Priority
from daybreak_operator.shell.watches.marks import Marks, taken_off
from daybreak_operator.shell.watches.nodes import NodeInventory
from daybreak_operator.shell.watches.reflector import ABSENT_S, SILENCE_S, Reflector
from daybreak_operator.shell.watches.store import ListResult, Store, child_id

LOG = logging.getLogger(__name__)
Body = dict[str, Any]

NUM_WORKERS = 16
EVENT_FILTERS = (
    "involvedObject.kind=Job,type=Warning",
    "involvedObject.kind=PyTorchJob,type=Warning",
    "involvedObject.kind=TrainJob,type=Warning",
    "involvedObject.kind=JobSet,type=Warning",
    *(f"involvedObject.kind=Pod,reason={reason}" for reason in (*STOCKOUT_REASONS, *WAIT_REASONS)),
)
"""Events that say why pods don't come: refused by a quota, no machine found, a volume that does not come."""


@dataclass(frozen=True)
class Timing:
    """All times, so that a test need not wait for the real ones."""

    silence_s: float = SILENCE_S
    """After so long without an event or bookmark a watch is taken up again."""
    margin_s: float = 25.0
    """How much later than that the process ends, when the watch didn't come back: 75 s in all.

    It is time for some tries: each takes up to 10 s to connect, and waits up to 10 s before the next.
    """
    request_s: float = REQUEST_S
    stuck_s: float = 120.0
    """So long may no pass end while there is work."""
    loop_s: float = 60.0
    """The event loop may be busy without a pause for so long."""
    absent_s: float = ABSENT_S
    conflict_recheck_s: float = CONFLICT_RECHECK_S
    resync_s: float = 600.0
    """How often both kinds are listed anew: kopf tells no deletion that fell into a gap of its watch (0014)."""
    sync_s: float = 120.0
    """The first lists may take so long."""
    drain_s: float = 10.0
    """Passes under way may take so long to end when we are asked to stop."""
    lease: LeaseTimes = field(default_factory=LeaseTimes)
    back_off: BackOff = field(default_factory=BackOff)


@dataclass(frozen=True)
class OperatorConfig:
    """What a process is started with."""

    kube: Kube
    settings: Settings
    decisions: Decisions
    me: str
    """This replica's identity: the pod's name."""
    port: int
    """Of probes and metrics; 0: any free one."""
    pipelines: Pipelines | None = None
    timing: Timing = field(default_factory=Timing)
    end: Callable[[int], object] = os._exit
    """What the watchdog ends the process by."""
    take_signals: Callable[[asyncio.Event], None] = lambda stop: None
    """Lets signals set the event, in the event loop's thread; called once kopf has set its own handlers."""


class Operator:
    """One replica."""

    def __init__(self, installation: OperatorConfig) -> None:
        self._with = installation
        self._timing = installation.timing
        self.metrics = Metrics()
        self.kube = installation.kube
        self.kube.seen = self.metrics.requested
        self.leadership = Leadership(
            self.kube,
            installation.settings.namespace,
            installation.me,
            self._timing.lease,
            clock=time.monotonic,
            now=self.kube.clock.now,
        )
        self.kube.may_write = self.leadership.held
        self.kube.request_s = self._timing.request_s
        self.store = Store()
        self.nodes = NodeInventory(installation.settings.node_labels.keys)
        schedule = Schedule(random.random, self._timing.back_off)
        self.queue = WorkQueue(schedule, time.monotonic)
        self.readings = Readings(time.monotonic)
        self.marks = Marks(time.monotonic)
        self._putting: set[asyncio.Future[None]] = set()
        self.threads = Threads(NUM_WORKERS)
        self.lease_threads = Threads(2)  # never behind requests that wait for a lost connection
        self.watches = self._make_watches()
        self.loop_pulse = Pulse(time.monotonic)
        self.port = installation.port
        self.synced = False
        self._over = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # Taking in -------------------------------------------------------------------------------------------------

    def on_event(self, kind: str | None, body: Body) -> None:
        """Take in an event of one of our own kinds."""
        for key in self.store.drop(body) if kind == "DELETED" else self.store.put(body):
            self.queue.add(key, self.store.priority(key, is_echo=True))

    def listed(self, resource: ApiResource, listed: ListResult) -> None:
        """Take in a fresh list (called by a watch's thread)."""
        self._in_loop(self._listed, resource, listed)

    def event(self, resource: ApiResource, kind: str, body: Body) -> None:
        """Take in an event (called by a watch's thread)."""
        self._in_loop(self._event, resource, kind, body)

    def _listed(self, resource: ApiResource, listed: ListResult) -> None:
        if resource == NODES:
            self.nodes.replace(listed.bodies)
            self._wake(self.store.replace_nodes(listed.bodies))
            return
        if resource == EVENTS:
            for body in listed.bodies:
                self._wake(self.store.put_event(body))
            return
        self._wake(self.store.replace_children(resource.api_version, resource.kind, listed))

    def _event(self, resource: ApiResource, kind: str, body: Body) -> None:
        store, is_gone = self.store, kind == "DELETED"
        if resource == NODES:
            (self.nodes.drop if is_gone else self.nodes.put)(body)
            self._wake(store.drop_node(body) if is_gone else store.put_node(body))
        elif resource == EVENTS:
            self._wake(store.drop_event(body) if is_gone else store.put_event(body))
        else:
            labels = self._taken_off(resource, body, is_gone)
            if labels:
                task = asyncio.ensure_future(self._put_back(body, labels, is_gone))
                self._putting.add(task)
                task.add_done_callback(self._putting.discard)
            else:
                self._wake(store.drop_child(body) if is_gone else store.put_child(body))

    def _taken_off(self, resource: ApiResource, body: Body, is_gone: bool) -> dict[str, str]:
        """Return labels of ours that somebody took off one of our pods, if it is time to put them back."""
        if resource != PODS or not self.leadership.held():
            return {}
        labels = taken_off(self.store.child(child_id(body)), body, is_gone=is_gone)
        return labels if labels and self.marks.may_put(body["metadata"]["uid"]) else {}

    async def _put_back(self, body: Body, labels: dict[str, str], is_gone: bool) -> None:
        """Put labels back on a pod that is there; one that is not, or cannot be changed, is what the event says."""
        try:
            await self.threads.call(self.kube.set_labels, body, labels)
        except (ApiError, TransientError):
            self._wake(self.store.drop_child(body) if is_gone else self.store.put_child(body))
        else:  # the watch tells of it as it is now
            LOG.warning("labels put back", extra={"pod": body["metadata"]["name"], "labels": sorted(labels)})

    def _in_loop(self, function: Callable[..., None], *args: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            # The loop may close between the question and the call: then nobody waits for the event any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *args)

    def _wake(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            self.queue.add(key, self.store.priority(key))

    def _was_read(self, key: ObjectKey) -> None:
        self.queue.add(key, Priority.LATER)

    def _make_watches(self) -> list[Reflector]:
        made = [self._watch(NODES, None, Selector())] if self._with.settings.cluster_scope else []
        for namespace in self._with.settings.watch_namespaces or (None,):
            ours = Selector(labels=names.LABEL_OWNER_KIND)
            made += [self._watch(resource, namespace, ours) for resource in CHILDREN]
            made += [self._watch(EVENTS, namespace, Selector(fields=fields)) for fields in EVENT_FILTERS]
        made += [
            self._watch(PODS, namespace, Selector(labels=names.LABEL_OWNER_KIND))
            for namespace in preflight.pods_elsewhere(self._with.settings)
        ]
        return made

    def _watch(self, resource: ApiResource, namespace: str | None, chosen: Selector) -> Reflector:
        return Reflector(
            self.kube,
            resource,
            self,
            chosen,
            namespace,
            optional=resource in (*OPTIONAL, EVENTS),
            silence_s=self._timing.silence_s,
            absent_s=self._timing.absent_s,
        )

    # Life ------------------------------------------------------------------------------------------------------

    def signs(self) -> list[Sign]:
        """Return the signs of life: what probes tell and the watchdog ends the process for."""
        limit = self._timing.silence_s + self._timing.margin_s
        watches = [Sign(f"watch of {w.resource.kind}", w.age_s, limit) for w in self.watches]
        return [
            Sign("event loop", self.loop_pulse.age_s, self._timing.loop_s),
            Sign("work", self._without_progress_s, self._timing.stuck_s),
            *watches,
        ]

    def _without_progress_s(self) -> float:
        return self.queue.without_progress_s() if self.leadership.held() else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until asked to stop. Raises UserError for an installation that can't work, or what ended a part."""
        self._loop = asyncio.get_running_loop()
        await self.threads.call(preflight.check, self.kube, self._with.settings)
        self.metrics.observe(
            Observations(self.watches, self._queue_metrics, self.leadership.held), self.store
        )
        runner = await health.serve(self._with.port, self.signs(), lambda: self.synced, self.metrics)
        self.port = runner.addresses[0][1]
        parts = [asyncio.create_task(part, name=name) for name, part in self._parts(stop).items()]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([*parts, stopping], return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            for part in done - {stopping}:
                part.result()
        finally:
            await self._end(parts, stopping)
            await runner.cleanup()

    def _parts(self, stop: asyncio.Event) -> dict[str, Any]:
        made = self._with
        feed = kopf_events.Feed(
            self.on_event,
            self.kube.connection,
            made.settings.watch_namespaces,
            self._timing.silence_s,
            stop,
            lambda: made.take_signals(stop),
        )
        kopf = kopf_events.run(feed)
        return {"kopf": kopf, "pulse": self._beat(), "life": self._live()}

    async def _end(self, parts: list[asyncio.Task[None]], stopping: asyncio.Task[Any]) -> None:
        stopping.cancel()
        self._over.set()
        for watch in self.watches:
            watch.stop()
        for part in parts:
            if part.get_name() != "kopf":  # it ends by the flag
                part.cancel()
        await asyncio.wait(parts, timeout=self._timing.drain_s)
        await self.lease_threads.call(self.leadership.give_back)
        self.threads.close()
        self.lease_threads.close()
        for part in parts:
            part.cancel()

    async def _beat(self) -> None:
        while True:
            self.loop_pulse.beat()
            await asyncio.sleep(1.0)

    async def _live(self) -> None:
        await self._sync()
        health.watch_over(self.signs(), self._over, self._with.end)
        while True:
            await self.leadership.acquire(self.lease_threads.call)
            self._wake(
                self.store.known()
            )  # what another leader had planned to look at again is unknown to us
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.leadership.keep(self.lease_threads.call))
                    tasks.create_task(self.queue.work(self._reconciler().work, NUM_WORKERS))
                    tasks.create_task(Poller(self.store, self.readings, self._was_read).run())
                    tasks.create_task(self._resync())
            except* LostLeadershipError as lost:
                LOG.warning("leadership lost", extra={"error": str(lost.exceptions[0])})

    async def _sync(self) -> None:
        """Begin to watch, and wait until the caches hold everything: a decision on half of it would be wrong."""
        for watch in self.watches:
            watch.start()
        await self._relist()
        deadline = time.monotonic() + self._timing.sync_s
        while not all(watch.synced.is_set() for watch in self.watches):
            if time.monotonic() > deadline:
                late = {w.resource.kind: w.last_error for w in self.watches if not w.synced.is_set()}
                raise TransientError(f"the first lists did not come in time: {late}")
            await asyncio.sleep(0.05)
        await asyncio.sleep(0)  # lists were handed over before the events were set: let the loop take them in
        self.synced = True
        LOG.info("caches synced", extra={"objects": len(self.store.known())})

    async def _relist(self) -> None:
        for resource in PRIMARIES:
            for namespace in self._with.settings.watch_namespaces or (None,):
                listed = await self.threads.call(_whole, self.kube, resource, namespace)
                self._wake(self.store.replace(resource.kind, listed))

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._timing.resync_s)
            try:
                await self._relist()
            except (ApiError, TransientError) as error:
                LOG.warning("relist failed", extra={"error": str(error)})

    def _reconciler(self) -> Reconciler:
        made = self._with
        secrets = Secrets(self.kube, time.monotonic)
        return Reconciler(
            store=self.store,
            gather=Gather(
                self.store,
                self.readings,
                secrets,
                made.settings,
                self._is_absent,
                Silence(time.monotonic),
                lambda: self.nodes.kinds,
                Workloads(self.kube, time.monotonic),
            ),
            decisions=made.decisions,
            executor=Executor(self.kube, made.pipelines, self.kube.clock.now),
            pipelines=made.pipelines,
            threads=self.threads,
            metrics=self.metrics,
            enqueue=self.queue.add,
            now=self.kube.clock.now,
            clock=time.monotonic,
            conflict_recheck_s=self._timing.conflict_recheck_s,
        )

    def _is_absent(self, resource: ApiResource) -> bool:
        return all(watch.absent for watch in self.watches if watch.resource == resource)

    def _queue_metrics(self) -> tuple[int, float]:
        return self.queue.schedule.depth(), self.queue.age_s()


def _whole(kube: Kube, resource: ApiResource, namespace: str | None) -> ListResult:
    pages = list(kube.pages(resource, namespace, ""))
    return ListResult([body for page, _ in pages for body in page], pages[-1][1], namespace)
