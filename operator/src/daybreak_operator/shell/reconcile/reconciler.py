"""One pass over one key: gather, decide, execute. What the queue calls.

Owns the way of a pass and what is remembered between passes; a fault that one object brings to light stays with it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

from daybreak_contracts import names
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.plan import Finding, Object, Plan, Ref
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.shell.metrics.prometheus import Metrics
from daybreak_operator.shell.reconcile import drift
from daybreak_operator.shell.reconcile.execute import Executor
from daybreak_operator.shell.reconcile.gather import ExternalState, Gather, ask_pipelines, named_secrets
from daybreak_operator.shell.reconcile.queue import Done
from daybreak_operator.shell.reconcile.work import Pipelines, ReconcileCache, Result, Work, remaining
from daybreak_operator.shell.watches.kept import key_of
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.store import Store

LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

LEAVING_RECHECK_S = 30.0
"""How often it is tried whether a namespace that was being deleted takes objects again: it never does, but for a clock
or an answer that was wrong."""
CONFLICT_RECHECK_S = 15.0
"""How often it is looked whether a name that others have is free again."""


@dataclass(frozen=True)
class Decisions:
    """The pure part: observed state to desired state."""

    training: Callable[[RunObservation, datetime], Plan]
    deployment: Callable[[DeploymentObservation, datetime], Plan]
    pipeline_ids: Callable[[Object, Any], tuple[str, ...]]
    """Kubeflow runs that a decision about a TrainingRun must know, by the run and the settings."""


class Threads:
    """Where blocking calls run."""

    def __init__(self, num: int) -> None:
        self._pool = ThreadPoolExecutor(num, thread_name_prefix="api")

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class Reconciler:
    """Passes over keys."""

    store: Store
    gather: Gather
    decisions: Decisions
    executor: Executor
    pipelines: Pipelines | None
    threads: Threads
    metrics: Metrics
    enqueue: Callable[[ObjectKey], None]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    conflict_recheck_s: float = CONFLICT_RECHECK_S
    _caches: dict[ObjectKey, tuple[str, ReconcileCache]] = field(default_factory=dict)
    _leaving: dict[str, float] = field(default_factory=dict)
    """Namespaces that are being deleted, and when that was seen."""

    async def work(self, key: ObjectKey) -> Done:
        """Make one pass; whatever happens, it ends with an answer to the queue."""
        began = time.perf_counter()
        try:
            done = await self._pass(key)
            how = "failed" if done.failed else "ok"
        except Exception as error:
            # The one place that catches everything: a bug that one object shows must not stop the others.
            LOG.exception("unhandled error in reconcile", extra=_named(key))
            done, how = await self._report_internal_error(key, error), "bug"
        self.metrics.reconciled(key.kind, how, time.perf_counter() - began)
        return done

    async def _pass(self, key: ObjectKey) -> Done:
        asked = await self._ask(key)
        body = self.store.get(key)
        known, _ = self._caches.get(key, ("", None))
        if body is None:
            return await self._gone(key)
        if known and known != body["metadata"]["uid"] and (gone := await self._gone(key)).failed:
            return gone
        if self._is_leaving(body):
            return Done(requeue_after_s=LEAVING_RECHECK_S)
        cache = self._cache(key, body)
        cache.contests.settle(self.clock())
        await self._recheck_conflicts(cache)
        plan = self._decide(body, asked, cache)
        work = remaining(plan, body, self.store.children_of(body["metadata"]["uid"]), cache, self.clock())
        recheck_s = self.conflict_recheck_s if cache.name_conflicts else None
        look_s = cache.contests.next_look_s(self.clock())
        waits = [wait for wait in (plan.requeue_after_s, recheck_s, look_s) if wait is not None]
        if work.is_empty:
            # A child that was refused would still be to apply, so nothing is refused any more.
            return Done(requeue_after_s=min(waits, default=None))
        result = await self.threads.call(self.executor.carry_out, work, cache)
        self._take(result)
        _log(key, result)
        if result.is_leaving:
            self._seen_leaving(key.namespace)
            return Done(requeue_after_s=LEAVING_RECHECK_S)
        return Done(
            failed=bool(result.errors or result.refused) and not result.again,
            again=result.wrote or result.again,
            requeue_after_s=None if result.errors else min(waits, default=None),
            retry_after_s=result.retry_after_s,
        )

    def _is_leaving(self, body: Object) -> bool:
        """Return whether an object's namespace goes, and it with it in a moment: nothing can be made there.

        One that is being deleted itself is still seen to: its finalizer would hold the namespace.
        """
        seen_at = self._leaving.get(body["metadata"]["namespace"], float("-inf"))
        return self.clock() - seen_at < LEAVING_RECHECK_S and "deletionTimestamp" not in body["metadata"]

    def _seen_leaving(self, namespace: str) -> None:
        now = self.clock()
        if namespace not in self._leaving:
            LOG.info("namespace is being deleted, nothing is made there", extra={"namespace": namespace})
        going = {one: at for one, at in self._leaving.items() if now - at < 2 * LEAVING_RECHECK_S}
        self._leaving = {**going, namespace: now}

    async def _ask(self, key: ObjectKey) -> ExternalState:
        body = self.store.get(key)
        if body is None:
            return ExternalState()
        stale = self.gather.secrets.stale(named_secrets(body, self.gather.settings))
        if stale:
            await self.threads.call(self.gather.secrets.ask, stale)
        if key.kind != names.KIND_RUN:
            return ExternalState()
        unknown = self.gather.workloads.stale(self.gather.jobs_of(body))
        if unknown:
            await self.threads.call(self.gather.workloads.ask, unknown)
        run_ids = self.decisions.pipeline_ids(body, self.gather.settings)
        if not run_ids:
            return ExternalState()
        return await self.threads.call(ask_pipelines, self.pipelines, run_ids)

    async def _recheck_conflicts(self, cache: ReconcileCache) -> None:
        if cache.name_conflicts and self.clock() - cache.conflicts_checked_at >= self.conflict_recheck_s:
            cache.conflicts_checked_at = self.clock()
            await self.threads.call(self.executor.recheck_conflicts, cache)

    def _decide(self, body: Object, asked: ExternalState, cache: ReconcileCache) -> Plan:
        now = self.now()
        if body["kind"] == names.KIND_RUN:
            return self.decisions.training(self.gather.training(body, asked, cache), now)
        return self.decisions.deployment(self.gather.deployment(body, now), now)

    async def _report_internal_error(self, key: ObjectKey, error: Exception) -> Done:
        """Tell in the object's status that we failed at it, as far as that can be told."""
        body = self.store.get(key)
        if body is None:
            return Done(failed=True)
        said = f"{type(error).__name__}: {error}; this is a bug of the operator, see its log"
        stored = body.get("status") or {}
        finding = Finding("InternalError", said[:1024])
        status = drift.overlaid(stored, stored, finding, body["metadata"].get("generation", 0), self.now())
        work = Work(body, Plan(status=status), status=True)
        self._take(await self.threads.call(self.executor.carry_out, work, self._cache(key, body)))
        return Done(failed=True)

    def _take(self, result: Result) -> None:
        """Let the cache know what we wrote before the watches bring it back: the next pass must see it."""
        concerned: set[ObjectKey] = set()
        if result.own is not None:
            concerned |= self.store.put(result.own)
            if result.wrote and not result.errors:
                # The next pass follows from that something was written, and is slowed down if that never ends.
                concerned.discard(key_of(result.own))
        for child in result.children:
            self.store.put_child(child)
        for ref in result.gone:
            metadata = {"namespace": ref.namespace, "name": ref.name, "uid": ref.uid}
            self.store.drop_child({"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata})
        for key in concerned:
            self.enqueue(key)

    def _cache(self, key: ObjectKey, body: Object) -> ReconcileCache:
        uid = body["metadata"]["uid"]
        known = self._caches.get(key)
        if known is None or known[0] != uid:
            known = self._caches[key] = (uid, ReconcileCache())
        return known[1]

    async def _gone(self, key: ObjectKey) -> Done:
        """Clean up after an object that was seen to go: with a run goes what is remembered of its end.

        Not with one that was never seen: a backup may bring the record first, and the run after it.
        """
        uid, _ = self._caches.get(key, ("", None))
        identity = ("v1", "ConfigMap", key.namespace, names.finished_name(key.name))
        record = self.store.child(identity) if key.kind == names.KIND_RUN and uid else None
        if record is not None and drift.is_record(record) and owner_uid(record) == uid:
            result = await self.threads.call(self.executor.remove, Ref(*identity, record["metadata"]["uid"]))
            self._take(result)
            if result.errors:
                return Done(failed=True, retry_after_s=result.retry_after_s)
        self._forget(key)
        return Done()

    def _forget(self, key: ObjectKey) -> None:
        self._caches.pop(key, None)
        self.gather.readings.drop(key)
        self.gather.silence.drop(key)


def owner_uid(child: Object) -> str:
    """Return whose child an object is, by its label."""
    return str((child["metadata"].get("labels") or {}).get(names.LABEL_OWNER_UID, ""))


def _named(key: ObjectKey) -> dict[str, Any]:
    return {"kind": key.kind, "namespace": key.namespace, "object": key.name}


def _log(key: ObjectKey, result: Result) -> None:
    if result.errors or result.refused:
        errors = [*result.errors, *(finding.message for finding in result.refused.values())]
        LOG.warning("reconcile incomplete", extra={**_named(key), "errors": errors})
    if result.wrote or result.did:
        did = {**result.did, "status": result.said}
        LOG.info("changed", extra={**_named(key), **{name: what for name, what in did.items() if what}})
