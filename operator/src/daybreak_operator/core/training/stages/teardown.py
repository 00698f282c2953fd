"""A run that is over, or that is being deleted: nothing is made any more, only stopped and cleaned up.

Owns the promise that a finished run never begins anything again, whatever is deleted or edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from daybreak_contracts import names
from daybreak_operator.core import conditions
from daybreak_operator.core.conditions import ConditionUpdate
from daybreak_operator.core.observed.objects import ObservedJob
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Finding, Object, ObjectEvent, Plan, Ref, Status
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.core.training.stages import pipeline_runs
from daybreak_operator.core.training.status import codec, record

GRACE_S = 60.0
"""What jobs and pipelines have to end by themselves, so that pods stay for their logs, before they are stopped."""
DEADLINE_EXCEEDED = "DeadlineExceeded"
"""Such a run's jobs would go on: they get no grace."""
GIVE_UP_S = 600.0
"""A back end that cannot be asked this long after the run's deletion must not keep the run: an uninstall would hang."""
REQUEUE_S = 10.0
MAX_MESSAGE = 1000


def is_over(run: Object) -> bool:
    """Return whether a run has ended, for ever."""
    return conditions.is_true(codec.conditions(run.get("status")), "Finished")


def finished(observed: RunObservation, now: datetime) -> Plan:
    """Return what is left to do for a run that is over: remove what still runs, and itself when its time comes."""
    status = dict(observed.run.get("status") or {})
    generation = objects.metadata(observed.run).get("generation")
    if generation is not None:
        status["observedGeneration"] = generation
    ended = instant(status.get("completionTime")) or now
    since = (now - ended).total_seconds()
    verdict = conditions.find(codec.conditions(status), "Finished") or {}
    running = leftovers(observed)
    waited = verdict.get("reason") == DEADLINE_EXCEEDED or since >= GRACE_S
    remove = running if waited else ()
    ttl = _time_to_live(observed.run)
    waits = [GRACE_S - since] if running and not remove else []
    waits += [ttl - since] if ttl is not None else []
    waits += [REQUEUE_S] if running and remove else []
    stop = pipeline_runs.to_stop(observed) if waited else ()
    finalizer = pipeline_runs.may_run(observed)
    waits += [REQUEUE_S] if finalizer else []
    return Plan(
        status=status,
        apply=record.record_of(observed.run),
        delete=remove,
        terminate=stop,
        requeue_after_s=max(1.0, min(waits)) if waits else None,
        finalizer=finalizer,
        delete_self=ttl is not None and since >= ttl,
    )


def leftovers(observed: RunObservation) -> tuple[Ref, ...]:
    """Return what of the run still runs: jobs, and pods whose job is gone already."""
    uid = objects.uid(observed.run)
    own = [item for item in observed.children if item.label(names.LABEL_OWNER_UID) == uid]
    jobs = [item for item in own if isinstance(item, ObservedJob) and not item.is_leaving]
    running = [job for job in jobs if not job.has_ended]
    held = {job.uid for job in running}
    pods = [
        pod
        for pod in own
        if isinstance(pod, ObservedPod)
        and not pod.label(names.LABEL_KUBEFLOW_RUN)  # they end with their Kubeflow run
        and not pod.is_leaving
        and pod.phase not in ("Succeeded", "Failed")
        and not pod.metadata.owner_uids & held
    ]
    return tuple(item.ref for item in (*running, *pods))


def deleted(observed: RunObservation, now: datetime) -> Plan:
    """Return what to do for a run that is being deleted: stop what runs outside the cluster's own clean-up.

    Jobs and pods go with the run, by their owner references; artifacts stay.
    """
    status: Status = observed.run.get("status") or {}
    if not pipeline_runs.holds_finalizer(observed):
        return Plan(status=status)
    since = instant(objects.metadata(observed.run).get("deletionTimestamp")) or now
    if not pipeline_runs.may_run(observed):
        return Plan(status=status)
    if (now - since).total_seconds() >= GIVE_UP_S:
        said = "Kubeflow Pipelines did not stop in ten minutes; look for runs of this TrainingRun there."
        told = ObjectEvent("Warning", "PipelineLeftRunning", said)
        # Nothing is asked of the back end once more: its refusal would hold the run for ever.
        left = Finding("PipelineLeftRunning", said)
        return Plan(status=_deleting(observed, left, now), events=(told,))
    return Plan(
        status=_deleting(observed, _what_is_waited_for(observed), now),
        terminate=pipeline_runs.to_stop(observed),
        requeue_after_s=REQUEUE_S,
        finalizer=True,
    )


def _what_is_waited_for(observed: RunObservation) -> Finding:
    if observed.backend_error is not None:
        said = f"Kubeflow Pipelines is unreachable: {observed.backend_error}"
        return Finding("BackendUnavailable", said[:MAX_MESSAGE])
    runs = ", ".join(pipeline_runs.alive(observed))
    return Finding("Deleting", f"The run is being deleted; Kubeflow Pipelines is stopping {runs}.")


def _deleting(observed: RunObservation, finding: Finding, now: datetime) -> Status:
    """Return the status with what the deletion waits for, instead of what the run waited for before it."""
    status: Status = observed.run.get("status") or {}
    before = codec.conditions(status)
    if is_over(observed.run) or conditions.find(before, "Reconciling") is None:
        return status  # what is over says so for ever; of another nothing was ever said
    update = ConditionUpdate("Reconciling", "True", finding)
    told = conditions.merge(before, [update], objects.generation(observed.run), now)
    order = [held["type"] for held in before]
    return {**status, "conditions": sorted(told, key=lambda held: order.index(held["type"]))}


def _time_to_live(run: Object) -> int | None:
    """Return ``ttlSecondsAfterFinished``, read from the object as it is: its spec need not be valid any more."""
    policy = (run.get("spec") or {}).get("runPolicy") or {}
    value = policy.get("ttlSecondsAfterFinished") if isinstance(policy, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
