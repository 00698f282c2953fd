"""Carries out a plan: what of it is still to do, and then the calls, in the order that a kill cannot spoil.

Finalizer; status where it records an attempt or is the first; pipelines stopped; children deleted, applied;
pipelines submitted; status; events; the finalizer's end; the object's own end. Whatever was not reached is done by
the next pass, because the plan is made anew from what is there. One child that is refused doesn't stop the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.core.plan import Finding, Object, ObjectEvent, Plan, Ref
from daybreak_operator.shell.kube.answers import (
    ApiError,
    BusyError,
    ConflictError,
    NamespaceLeavesError,
    NotFoundError,
    RefusedError,
)
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import resource_for
from daybreak_operator.shell.reconcile import drift, events, standing
from daybreak_operator.shell.reconcile.work import (
    ChildToApply,
    Pipelines,
    ReconcileCache,
    Result,
    Work,
    status_is,
)
from daybreak_operator.shell.watches.keys import lean
from daybreak_operator.shell.watches.store import child_id

LOG = logging.getLogger(__name__)
Body = dict[str, Any]
PIPELINE_RUN = ("pipelines.kubeflow.org/v2beta1", "Run", "")
"""What a Kubeflow run counts as among children."""


@dataclass
class Executor:
    """Makes the calls; blocks, so it runs in a thread. ``now`` is the API server's time."""

    kube: Kube
    pipelines: Pipelines | None
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic

    def carry_out(self, work: Work, cache: ReconcileCache) -> Result:
        """Do what is to do. Refusals become findings, outages become errors: the caller tries again later."""
        result = Result(own=work.body)
        try:
            self._run(work, cache, result)
        except ConflictError:
            self._refresh(result)
        except NamespaceLeavesError:
            result.is_leaving = True
        except NotFoundError:
            result.errors.append("the object is gone")
        except (ApiError, TransientError) as error:
            _note(result, error)
        return result

    def remove(self, ref: Ref) -> Result:
        """Delete one object of a parent that is gone."""
        result = Result()
        self._delete((ref,), result)
        return result

    def _run(self, work: Work, cache: ReconcileCache, result: Result) -> None:
        plan = work.plan
        if work.finalizers is not None and plan.finalizer:
            self._set_finalizers(work.finalizers, result)
        if plan.status_first or is_new(work.body):
            self._write_status(plan.status, cache.finding, cache, result)
        if is_new(work.body):
            # Many objects at once: each is acknowledged before the first one's children are made.
            self._send_events(plan.events, result)
            result.again = True
            return
        stopped = self._pipelines_stopped(plan, result)
        self._delete(work.delete, result)
        self._apply(work.apply, cache, result)
        if self._is_news(cache, result):
            return
        self._submit(plan, result)
        self._write_status(plan.status, cache.finding, cache, result)
        self._send_events(drift.told(plan, work.body.get("status") or {}, cache.finding), result)
        if work.finalizers is not None and not plan.finalizer and stopped and not result.errors:
            self._set_finalizers(work.finalizers, result)
        if plan.delete_self and not result.errors:
            self._delete_self(result)

    def _is_news(self, cache: ReconcileCache, result: Result) -> bool:
        """Keep what was refused for the next decision; return whether this one did not know it."""
        ids = frozenset(result.refused)
        result.again = result.again or bool(ids - cache.refused_ids)
        cache.refused_ids = ids
        cache.refused = tuple(finding.message for finding in result.refused.values())
        cache.finding = next(iter(result.refused.values()), _name_conflict(cache) or cache.contests.finding())
        return result.again

    def _write_status(
        self, status: Mapping[str, Any], finding: Finding | None, cache: ReconcileCache, result: Result
    ) -> None:
        own = result.own
        if own is None:
            return
        stored = own.get("status") or {}
        generation = int(own["metadata"].get("generation", 0))
        said = drift.overlaid(status, stored, finding, generation, self.now())
        if status_is(said, stored, cache):
            return
        result.own = self.kube.replace_status({**own, "status": drift.plain(said)})
        result.wrote = result.said = True
        kept = result.own.get("status") or {}
        cache.status = (drift.digest(drift.plain(said)), drift.digest(drift.plain(kept)))

    def _set_finalizers(self, finalizers: list[str], result: Result) -> None:
        if result.own is not None:
            result.own = self.kube.set_finalizers(result.own, finalizers)
            result.wrote = True

    def _pipelines_stopped(self, plan: Plan, result: Result) -> bool:
        stopped = True
        for run_id in plan.terminate:
            try:
                _backend(self.pipelines).terminate(run_id)
                result.note("stopped", run_id)
            except TransientError as error:
                stopped = False
                _note(result, error)
        return stopped

    def _submit(self, plan: Plan, result: Result) -> None:
        for request in plan.submit:
            try:
                started = _backend(self.pipelines).submit(request)
                result.wrote = True
                if started:  # a run that was there is no news, though its back end was slow to know it
                    result.note("submitted", request.run_id)
            except UserError as error:
                result.refused[(*PIPELINE_RUN, request.run_id)] = Finding("PipelineRefused", str(error))
            except TransientError as error:
                _note(result, error)

    def _delete(self, refs: tuple[Ref, ...], result: Result) -> None:
        for ref in refs:
            try:
                left = self.kube.delete(ref)
            except ConflictError:
                left = None  # a namesake with another uid: ours is gone
            except (ApiError, TransientError) as error:
                _note(result, error)
                continue
            result.wrote = True
            result.note("deleted", f"{ref.kind}/{ref.name}")
            if left is None:
                result.gone.append(ref)
            else:
                result.children.append(left)

    def _apply(self, children: tuple[ChildToApply, ...], cache: ReconcileCache, result: Result) -> None:
        for wanted in children:
            child = wanted.body
            try:
                made = self._applied(wanted, cache, result)
            except NamespaceLeavesError:
                raise
            except NotFoundError as error:
                result.refused[child_id(child)] = _absent(child, error)
            except RefusedError as error:
                result.refused[child_id(child)] = _finding(child, error)
            except (ApiError, TransientError) as error:
                _note(result, error)
            else:
                if made is not None:
                    result.children.append(made)
                    result.note("applied", f"{child['kind']}/{child['metadata']['name']}")
                    result.wrote = True
                    cache.applied[child_id(child)] = drift.differences(child, made)
                    cache.sent[child_id(child)] = drift.stamp_of(child)

    def _applied(self, wanted: ChildToApply, cache: ReconcileCache, result: Result) -> Body | None:
        """Apply a child; None where an object of its name belongs to somebody else."""
        child = wanted.body
        try:
            if wanted.is_taken_back:
                return self._taken_back(child, cache)
            unnoticed = not wanted.is_ours and standing.goes_unnoticed(child)
            if unnoticed and self._belongs_to_another(child, cache, result):
                return None
            return self.kube.apply(child, force=wanted.is_ours or drift.is_record(child))
        except ConflictError:  # fields are somebody else's, or the object is
            if self._belongs_to_another(child, cache, result):
                return None
            return self.kube.apply(child, force=True)
        except RefusedError as error:
            if standing.may_be_anothers(error) and self._belongs_to_another(child, cache, result):
                return None
            raise

    def _taken_back(self, child: Body, cache: ReconcileCache) -> Body:
        """Set our fields again; once that happens often, learn whose they are first."""
        identity, said = child_id(child), ""
        if cache.contests.is_open(identity):
            try:
                self.kube.apply(child, force=False)
            except ConflictError as error:
                said = str(error)
        cache.contests.taken(identity, self.clock(), said)
        return self.kube.apply(child, force=True)

    def _belongs_to_another(self, child: Body, cache: ReconcileCache, result: Result) -> bool:
        """Look whether an object of the child's name belongs to somebody else."""
        metadata = child["metadata"]
        found = self.kube.find(resource_for(child), metadata["namespace"], metadata["name"])
        if found is None or standing.is_ours(found, child):
            return False
        cache.name_conflicts[child_id(child)] = lean(found)
        result.again = True
        return True

    def recheck_conflicts(self, cache: ReconcileCache) -> None:
        """Forget those that are gone, or have another controller by now, or none."""
        for identity, theirs in list(cache.name_conflicts.items()):
            metadata = theirs["metadata"]
            try:
                found = self.kube.find(resource_for(theirs), metadata["namespace"], metadata["name"])
            except (ApiError, TransientError):
                continue
            if found is None or standing.is_another(found, theirs):
                del cache.name_conflicts[identity]

    def _send_events(self, wanted: tuple[ObjectEvent, ...], result: Result) -> None:
        for event in wanted if result.said else ():
            try:
                self.kube.create(events.body_of(event, result.own or {}, self.now()))
                result.note("events", event.reason)
            except ConflictError:
                continue  # the same was said in the same second
            except NamespaceLeavesError:
                return
            except (ApiError, TransientError) as error:
                LOG.warning("event not sent", extra={"reason": event.reason, "error": str(error)})

    def _delete_self(self, result: Result) -> None:
        own = result.own
        if own is not None:
            metadata = own["metadata"]
            self.kube.delete(
                Ref(own["apiVersion"], own["kind"], metadata["namespace"], metadata["name"], metadata["uid"])
            )
            result.wrote = True

    def _refresh(self, result: Result) -> None:
        """What we knew is old: bring the newest into the cache, decide anew."""
        result.errors.append("changed since it was read")
        own = result.own
        if own is None:
            return
        metadata = own["metadata"]
        try:
            result.own = self.kube.get(resource_for(own), metadata["namespace"], metadata["name"])
        except (ApiError, TransientError) as error:
            _note(result, error)


def _backend(pipelines: Pipelines | None) -> Pipelines:
    if pipelines is None:
        raise TransientError("no Kubeflow back end is set up: set DAYBREAK_KUBEFLOW_URL")
    return pipelines


def is_new(body: Object) -> bool:
    """Return whether nothing was ever said of the object."""
    return not body.get("status")


def _note(result: Result, error: ApiError | TransientError) -> None:
    if isinstance(error, BusyError):
        result.retry_after_s = max(result.retry_after_s, error.retry_after_s)
    result.errors.append(str(error))


def _finding(child: Object, error: ApiError) -> Finding:
    name = f"{child['kind']} {child['metadata']['name']}"
    if "exceeded quota" in str(error):
        return Finding("QuotaExceeded", f"{name}: {error}")
    return Finding("ApplyFailed", f"{name} was refused: {error}")


def _name_conflict(cache: ReconcileCache) -> Finding | None:
    said = [
        f"{theirs['kind']} {theirs['metadata']['name']} exists and does not belong to this object: "
        "delete or rename it, or give this object another name"
        for theirs in cache.name_conflicts.values()
    ]
    return Finding("NameTaken", "; ".join(said)) if said else None


def _absent(child: Object, error: ApiError) -> Finding:
    return Finding(
        "ApplyFailed",
        f"{child['kind']} {child['metadata']['name']} can't be made: {error}; is {child['apiVersion']} installed?",
    )
