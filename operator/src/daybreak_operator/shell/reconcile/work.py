"""What a plan leaves to do on an object, compared with what is there; and what came of doing it.

Owns what is remembered of an object between passes. Pure: ``Executor`` makes the calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from daybreak_contracts import names
from daybreak_operator.core.plan import Finding, Plan, Ref, Submit
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.shell.reconcile import drift
from daybreak_operator.shell.reconcile.contests import Contests
from daybreak_operator.shell.watches.store import ChildId, child_id

Body = dict[str, Any]


class Pipelines(Protocol):
    """Kubeflow's back end; raises TransientError when it is down."""

    def get(self, run_id: str) -> PipelineRun:
        """Return how a run stands."""

    def submit(self, request: Submit) -> bool:
        """Start a run unless its id is there; return whether this call did."""

    def terminate(self, run_id: str) -> None:
        """Stop a run; one that ended already is fine."""


@dataclass
class ReconcileCache:
    """What is remembered of one object between passes; losing it costs a request, never a mistake."""

    applied: dict[ChildId, frozenset[str]] = field(default_factory=dict)
    """Differences that the API server makes of our own children (quantities it spells its own way), and webhooks."""
    sent: dict[ChildId, str] = field(default_factory=dict)
    """Stamps of what was applied last: a webhook may take the one away that the object carries."""
    unchanged: dict[ChildId, tuple[str, str]] = field(default_factory=dict)
    """Stamp and version of children that were found to be as wanted: they are not compared again."""
    status: tuple[str, str] | None = None
    """Digests of the status as sent, and as the server keeps it (with its defaults)."""
    finding: Finding | None = None
    """Why children were refused at the last pass."""
    refused: tuple[str, ...] = ()
    """The same in the API server's words, one sentence a child."""
    refused_ids: frozenset[ChildId] = frozenset()
    contests: Contests = field(default_factory=Contests)
    """Children that others change again and again."""
    name_conflicts: dict[ChildId, Body] = field(default_factory=dict)
    """Objects that have a child's name and belong to others: they are left alone."""
    conflicts_checked_at: float = 0.0
    """When those were last looked at."""


@dataclass(frozen=True)
class ChildToApply:
    """A child that is not as it shall be."""

    body: Body
    is_ours: bool
    """Whether the one that is there is known to be ours: then every field of ours is taken back."""
    is_taken_back: bool = False
    """Whether what we want is what we applied last, so that somebody else has changed it."""


@dataclass(frozen=True)
class Work:
    """What a plan leaves to do. Empty: the cluster is as planned."""

    body: Body
    """The object, as the decision saw it."""
    plan: Plan
    apply: tuple[ChildToApply, ...] = ()
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
    did: dict[str, list[str]] = field(default_factory=dict)
    """What was done, by the word that the log has for it."""
    wrote: bool = False
    said: bool = False
    """Whether the status was written: events follow it."""
    refused: dict[ChildId, Finding] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    retry_after_s: float = 0.0
    is_leaving: bool = False
    """The namespace is being deleted: what was not reached never will be."""
    again: bool = False
    """Something came to light that the decision did not know: decide anew, before the status says half of it."""

    def note(self, word: str, what: str) -> None:
        """Remember that something was done."""
        self.did.setdefault(word, []).append(what)


def remaining(
    plan: Plan, body: Body, children: Mapping[ChildId, Body], cache: ReconcileCache, now: float
) -> Work:
    """Return what of the plan is not so yet; ``now`` is monotonic."""
    return Work(
        body,
        plan,
        tuple(_to_apply(plan, body, children, cache, now)),
        tuple(ref for ref in plan.delete if not _is_going(ref, children)),
        # What was refused is laid over the status when it is written.
        cache.finding is not None or not status_is(plan.status, body.get("status") or {}, cache),
        _finalizers(body, plan.finalizer),
    )


def status_is(wanted: Mapping[str, Any], stored: Mapping[str, Any], cache: ReconcileCache) -> bool:
    """Return whether the stored status says what is wanted; what the server adds by default counts as said."""
    sent, kept = drift.plain(wanted), drift.plain(stored)
    return bool(sent == kept or cache.status == (drift.digest(sent), drift.digest(kept)))


def _to_apply(
    plan: Plan, body: Body, children: Mapping[ChildId, Body], cache: ReconcileCache, now: float
) -> list[ChildToApply]:
    chosen = []
    for child in plan.apply:
        wanted = drift.stamped(child, body)
        identity = child_id(wanted)
        if identity in cache.name_conflicts:
            continue
        found = children.get(identity)
        if found is None:
            cache.applied.pop(identity, None)
            chosen.append(ChildToApply(wanted, is_ours=False))
            continue
        stamp, usual = drift.stamp_of(wanted), cache.applied.get(identity, frozenset())
        seen = (stamp, found["metadata"]["resourceVersion"])
        if cache.unchanged.get(identity) == seen:
            continue
        if stamp not in (drift.stamp_of(found), cache.sent.get(identity)):
            chosen.append(ChildToApply(wanted, is_ours=True))
        elif drift.differences(wanted, found) - usual:
            if cache.contests.may_take(identity, now):
                chosen.append(ChildToApply(wanted, is_ours=True, is_taken_back=True))
        else:
            cache.unchanged[identity] = seen
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
