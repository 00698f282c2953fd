"""Carries out a plan: what of it is still to do, and then the calls, in the order that a kill cannot spoil.

Finalizer; status where it records an attempt or is the first; pipelines stopped; children deleted, applied;
pipelines submitted; status; events; the finalizer's end; the object's own end. Whatever was not reached is done by
the next pass, because the plan is made anew from what is there. One child that is refused doesn't stop the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.core.plan import Event, Finding, Object, Plan, Ref, Submit
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.shell import drift, events
from daybreak_operator.shell.answers import ApiError, BusyError, ConflictError, NotFoundError, RefusedError
from daybreak_operator.shell.kube import Kube
from daybreak_operator.shell.resources import resource_for
from daybreak_operator.shell.store import ChildId, child_id, lean

LOG = logging.getLogger(__name__)
Body = dict[str, Any]
PIPELINE_RUN = ("pipelines.kubeflow.org/v2beta1", "Run", "")
"""What a Kubeflow run counts as among children."""


class Pipelines(Protocol):
    """Kubeflow's back end; raises TransientError when it is down."""

    def get(self, run_id: str) -> PipelineRun:
        """Return how a run stands."""

    def submit(self, request: Submit) -> None:
        """Start a run unless its id is there."""

    def terminate(self, run_id: str) -> None:
        """Stop a run; one that ended already is fine."""


@dataclass
class Memory:
    """What is remembered of one object between passes; losing it costs a request, never a mistake."""

    applied: dict[ChildId, frozenset[str]] = field(default_factory=dict)
    """Differences that the API server makes of our own children (quantities it spells its own way)."""
    alike: dict[ChildId, tuple[str, str]] = field(default_factory=dict)
    """Stamp and version of children that were found to be as wanted: they are not compared again."""
    status: tuple[str, str] | None = None
    """Digests of the status as sent, and as the server keeps it (with its defaults)."""
    finding: Finding | None = None
    """Why children were refused at the last pass."""
    refused: tuple[str, ...] = ()
    """The same in the API server's words, one sentence a child."""
    refused_ids: frozenset[ChildId] = frozenset()
    taken: dict[ChildId, Body] = field(default_factory=dict)
    """Objects that have a child's name and belong to others: they are left alone."""
    looked_at: float = 0.0
    """When those were last looked at."""


@dataclass(frozen=True)
class Work:
    """What a plan leaves to do. Empty: the world is as planned."""

    body: Body
    """The object, as the decision saw it."""
    plan: Plan
    apply: tuple[tuple[Body, bool], ...] = ()
    """Children, and whether they are known to be ours: then every field of ours is taken back."""
    delete: tuple[Ref, ...] = ()
    status: bool = False
    """Whether the status differs."""
    finalizers: list[str] | None = None
    """The list to write; None when it is right."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to call for."""
        plan = self.plan
        todo = (self.apply, self.delete, self.status, plan.submit, plan.terminate, plan.delete_self)
        return not any(todo) and self.finalizers is None


@dataclass
class Result:
    """What came of it: objects as the server gave them back, for the cache, and what went wrong."""

    own: Body | None = None
    children: list[Body] = field(default_factory=list)
    gone: list[Ref] = field(default_factory=list)
    wrote: bool = False
    said: bool = False
    """Whether the status was written: events follow it."""
    refused: dict[ChildId, Finding] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    retry_after_s: float = 0.0
    again: bool = False
    """Something came to light that the decision did not know: decide anew, before the status says half of it."""


def remaining(plan: Plan, body: Body, children: Mapping[ChildId, Body], memory: Memory) -> Work:
    """Return what of the plan is not so yet."""
    return Work(
        body,
        plan,
        tuple(_to_apply(plan, body, children, memory)),
        tuple(ref for ref in plan.delete if not _is_going(ref, children)),
        # What was refused is laid over the status when it is written.
        memory.finding is not None or not status_is(plan.status, body.get("status") or {}, memory),
        _finalizers(body, plan.finalizer),
    )


def status_is(wanted: Mapping[str, Any], stored: Mapping[str, Any], memory: Memory) -> bool:
    """Return whether the stored status says what is wanted; what the server adds by default counts as said."""
    sent, kept = drift.plain(wanted), drift.plain(stored)
    return bool(sent == kept or memory.status == (drift.digest(sent), drift.digest(kept)))


def _to_apply(
    plan: Plan, body: Body, children: Mapping[ChildId, Body], memory: Memory
) -> list[tuple[Body, bool]]:
    chosen = []
    for child in plan.apply:
        wanted = drift.stamped(child, body)
        identity = child_id(wanted)
        if identity in memory.taken:
            continue
        found = children.get(identity)
        if found is None:
            memory.applied.pop(identity, None)
            chosen.append((wanted, False))
            continue
        stamp, usual = drift.stamp_of(wanted), memory.applied.get(identity, frozenset())
        seen = (stamp, found["metadata"]["resourceVersion"])
        if memory.alike.get(identity) == seen:
            continue
        if drift.stamp_of(found) != stamp or drift.differences(wanted, found) - usual:
            chosen.append((wanted, True))
        else:
            memory.alike[identity] = seen
    return chosen


def _is_going(ref: Ref, children: Mapping[ChildId, Body]) -> bool:
    found = children.get((ref.api_version, ref.kind, ref.namespace, ref.name))
    if found is None or found["metadata"]["uid"] != ref.uid:
        return True
    return "deletionTimestamp" in found["metadata"]


def _finalizers(body: Body, wanted: bool) -> list[str] | None:
    have = body["metadata"].get("finalizers") or []
    if wanted == (names.FINALIZER in have):
        return None
    return [*have, names.FINALIZER] if wanted else [name for name in have if name != names.FINALIZER]


@dataclass
class Executor:
    """Makes the calls; blocks, so it runs in a thread. ``now`` is the wall clock."""

    kube: Kube
    pipelines: Pipelines | None
    now: Callable[[], datetime]

    def carry_out(self, work: Work, memory: Memory) -> Result:
        """Do what is to do. Refusals become findings, outages become errors: the caller tries again later."""
        result = Result(own=work.body)
        try:
            self._run(work, memory, result)
        except ConflictError:
            self._refresh(result)
        except NotFoundError:
            result.errors.append("the object is gone")
        except (ApiError, TransientError) as error:
            _note(result, error)
        return result

    def _run(self, work: Work, memory: Memory, result: Result) -> None:
        plan = work.plan
        if work.finalizers is not None and plan.finalizer:
            self._set_finalizers(work.finalizers, result)
        if plan.status_first or is_new(work.body):
            self._write_status(plan.status, memory.finding, memory, result)
        if is_new(work.body):
            # Many objects at once: each is acknowledged before the first one's children are made.
            self._send_events(plan.events, result)
            result.again = True
            return
        stopped = self._pipelines_stopped(plan, result)
        self._delete(work.delete, result)
        self._apply(work.apply, memory, result)
        if self._is_news(memory, result):
            return
        self._submit(plan, result)
        self._write_status(plan.status, memory.finding, memory, result)
        self._send_events(plan.events, result)
        if work.finalizers is not None and not plan.finalizer and stopped and not result.errors:
            self._set_finalizers(work.finalizers, result)
        if plan.delete_self and not result.errors:
            self._delete_self(result)

    def _is_news(self, memory: Memory, result: Result) -> bool:
        """Keep what was refused for the next decision; return whether this one did not know it."""
        ids = frozenset(result.refused)
        result.again = result.again or bool(ids - memory.refused_ids)
        memory.refused_ids = ids
        memory.refused = tuple(finding.message for finding in result.refused.values())
        memory.finding = next(iter(result.refused.values()), _name_taken(memory))
        return result.again

    def _write_status(
        self, status: Mapping[str, Any], finding: Finding | None, memory: Memory, result: Result
    ) -> None:
        own = result.own
        if own is None:
            return
        stored = own.get("status") or {}
        generation = int(own["metadata"].get("generation", 0))
        said = drift.overlaid(status, stored, finding, generation, self.now())
        if status_is(said, stored, memory):
            return
        result.own = self.kube.replace_status({**own, "status": drift.plain(said)})
        result.wrote = result.said = True
        kept = result.own.get("status") or {}
        memory.status = (drift.digest(drift.plain(said)), drift.digest(drift.plain(kept)))

    def _set_finalizers(self, finalizers: list[str], result: Result) -> None:
        if result.own is not None:
            result.own = self.kube.set_finalizers(result.own, finalizers)
            result.wrote = True

    def _pipelines_stopped(self, plan: Plan, result: Result) -> bool:
        stopped = True
        for run_id in plan.terminate:
            try:
                _backend(self.pipelines).terminate(run_id)
            except TransientError as error:
                stopped = False
                _note(result, error)
        return stopped

    def _submit(self, plan: Plan, result: Result) -> None:
        for request in plan.submit:
            try:
                _backend(self.pipelines).submit(request)
                result.wrote = True
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
            if left is None:
                result.gone.append(ref)
            else:
                result.children.append(left)

    def _apply(self, children: tuple[tuple[Body, bool], ...], memory: Memory, result: Result) -> None:
        for child, is_ours in children:
            try:
                if not is_ours and drift.says_nothing(child) and self._is_taken(child, memory, result):
                    continue
                made = self.kube.apply(child, force=is_ours)
            except NotFoundError as error:
                result.refused[child_id(child)] = _absent(child, error)
            except ConflictError as error:
                self._conflict(child, error, memory, result)
            except RefusedError as error:
                if not ("Controller" in str(error) and self._is_taken(child, memory, result)):
                    result.refused[child_id(child)] = _finding(child, error)
            except (ApiError, TransientError) as error:
                _note(result, error)
            else:
                result.children.append(made)
                result.wrote = True
                memory.applied[child_id(child)] = drift.differences(child, made)

    def _conflict(self, child: Body, error: ConflictError, memory: Memory, result: Result) -> None:
        try:
            if not self._is_taken(child, memory, result):
                _note(result, error)
        except (ApiError, TransientError) as trouble:
            _note(result, trouble)

    def _is_taken(self, child: Body, memory: Memory, result: Result) -> bool:
        """Look whether an object of the child's name belongs to somebody else; one of ours is just news to us."""
        metadata = child["metadata"]
        found = self.kube.find(resource_for(child), metadata["namespace"], metadata["name"])
        if found is None:
            return False
        if is_same_owner(found, child):
            result.children.append(found)
            return False
        memory.taken[child_id(child)] = lean(found)
        result.again = True
        return True

    def look_at_taken(self, memory: Memory) -> None:
        """Forget those that are gone, or ours by now."""
        for identity, theirs in list(memory.taken.items()):
            metadata = theirs["metadata"]
            try:
                found = self.kube.find(resource_for(theirs), metadata["namespace"], metadata["name"])
            except (ApiError, TransientError):
                continue
            if found is None or found["metadata"]["uid"] != metadata["uid"]:
                del memory.taken[identity]

    def _send_events(self, wanted: tuple[Event, ...], result: Result) -> None:
        for event in wanted if result.said else ():
            try:
                self.kube.create(events.body_of(event, result.own or {}, self.now()))
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


def is_same_owner(found: Object, child: Object) -> bool:
    """Return whether two objects have the same controller."""
    ours = {ref["uid"] for ref in child["metadata"]["ownerReferences"]}
    theirs = {ref["uid"] for ref in found["metadata"].get("ownerReferences") or () if ref.get("controller")}
    return bool(ours & theirs)


def _note(result: Result, error: ApiError | TransientError) -> None:
    if isinstance(error, BusyError):
        result.retry_after_s = max(result.retry_after_s, error.retry_after_s)
    result.errors.append(str(error))


def _finding(child: Object, error: ApiError) -> Finding:
    name = f"{child['kind']} {child['metadata']['name']}"
    if "exceeded quota" in str(error):
        return Finding("QuotaExceeded", f"{name}: {error}")
    return Finding("ApplyFailed", f"{name} was refused: {error}")


def _name_taken(memory: Memory) -> Finding | None:
    said = [
        f"{theirs['kind']} {theirs['metadata']['name']} is there and belongs to others: delete or rename it, "
        "or give this object another name"
        for theirs in memory.taken.values()
    ]
    return Finding("NameTaken", "; ".join(said)) if said else None


def _absent(child: Object, error: ApiError) -> Finding:
    return Finding(
        "ApplyFailed",
        f"{child['kind']} {child['metadata']['name']} can't be made: {error}; is {child['apiVersion']} installed?",
    )
