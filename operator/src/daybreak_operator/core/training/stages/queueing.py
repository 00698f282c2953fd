"""What a queue (Kueue) does to a run: for how long it held its jobs and why, and whether it heeds them at all.

Owns all three. That a job is held is seen by its ``suspend``, that a queue knows it by the Workload that refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from daybreak_operator.core.conditions import QUEUE_IGNORED, ConditionUpdate
from daybreak_operator.core.observed.objects import ObservedJob
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.times import instant, timestamp
from daybreak_operator.core.training import placement
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.status import step_table

PATIENCE_S = 30.0
"""Kueue makes its Workload right after the job; a busy one may take a while."""

OTHER_NODES = "doesn't match node affinity"
"""What Kueue says (0.19, flavorassigner) of a flavor whose nodes are not those that the pods ask for."""

HELD = (("Suspended", "True"), ("PodScheduled", "False"))
"""What conditions say of a job that is held, and of a pod."""

INTEGRATIONS = {"Job": "batch/job", "TrainJob": "trainer.kubeflow.org/trainjob"}
"""What Kueue's configuration calls them; it manages both unless told otherwise."""


@dataclass(frozen=True)
class QueueTime:
    """How long a run was held by a queue: what is over, and since when it is held now."""

    seconds: int
    since: str | None

    def until(self, moment: datetime) -> float:
        """Return all of it, that which goes on included."""
        since = instant(self.since)
        return self.seconds + (max(0.0, (moment - since).total_seconds()) if since is not None else 0.0)


def time_in_queue(context: RunContext) -> QueueTime:
    """Return how long the run was held, as it is to be stored after this pass."""
    stored = QueueTime(context.status.queued_seconds or 0, context.status.queued_since)
    jobs = _jobs(context)
    held = next((job for job in jobs if job.is_queued), None) or _all_gated(context)
    if held is not None:
        return stored if stored.since is not None else QueueTime(stored.seconds, _held_since(context, held))
    if stored.since is None:
        return stored
    return QueueTime(round(stored.until(_let_in(context, jobs, stored.since))), None)


def heeded(context: RunContext) -> ConditionUpdate | None:
    """Return whether the queue that the run names heeds its job; None while that is not known."""
    queue = owned.queue_labels(context).get(owned.QUEUE_LABEL)
    jobs = _jobs(context)
    if queue is None or not jobs:
        return None
    job, observed = jobs[-1], context.observed
    if job.is_queued or job.uid in observed.with_workload:
        said = Finding("QueueHeeds", f"Queue {queue} looks after {job.kind} {job.name}.")
        return ConditionUpdate(QUEUE_IGNORED, "False", said)
    if job.uid not in observed.without_workload or not _had_time(context, job):
        return None
    remedy = (
        "Kueue 0.19 does not manage PyTorchJob unless its configuration names kubeflow.org/pytorchjob under "
        "integrations.frameworks: add it, or set training.launcher to Job in a new run"
        if job.kind == "PyTorchJob"
        else f"install Kueue, or name {INTEGRATIONS.get(job.kind, job.kind)} under integrations.frameworks of its "
        "configuration and look at its managedJobsNamespaceSelector"
    )
    return ConditionUpdate(
        QUEUE_IGNORED,
        "True",
        Finding(
            "NoWorkload",
            f"the run names the queue {queue}, but no Workload of Kueue refers to {job.kind} {job.name}: "
            f"it runs outside every quota; {remedy}",
        ),
    )


def why_held(context: RunContext, job: ObservedJob) -> str:
    """Return a sentence about a job that is held: by which queue, and why in Kueue's words as far as it said any."""
    queue = job.label(owned.QUEUE_LABEL)
    who = f"Queue {queue}" if queue else "Its queue"
    said = context.observed.workload_says.get(job.uid)
    if said:
        return f"{who} holds {job.kind} {job.name}: {said}"
    if not queue or job.uid not in context.observed.without_workload or not _had_time(context, job):
        return f"{who} holds {job.kind} {job.name}."
    priority = job.label(owned.PRIORITY_LABEL)
    there = f", and whether there is a WorkloadPriorityClass {priority}" if priority else ""
    return (
        f"{who} holds {job.kind} {job.name}, but Kueue has made no Workload for it: "
        f"look whether its controller runs{there}"
    )


def why_gated(pods: Iterable[ObservedPod]) -> Finding | None:
    """Return that a gate keeps a pod from the scheduler: Kueue's, where Kubeflow or Spark made the pod."""
    gated = [pod for pod in pods if pod.is_gated and not pod.is_leaving]
    if not gated:
        return None
    queue = gated[0].label(owned.QUEUE_LABEL)
    who = f"Queue {queue} holds" if queue else "A scheduling gate, which no queue of the run set, holds"
    more = f" and {len(gated) - 1} others" if len(gated) > 1 else ""
    return Finding("Queued", f"{who} pod {gated[0].name}{more}.")


def names_another(context: RunContext, jobs: Iterable[ObservedJob]) -> Finding | None:
    """A queue or priority was corrected in the run while the one before holds its job: it can begin anew with it."""
    wanted = owned.queue_labels(context)
    if owned.QUEUE_LABEL not in wanted:
        return None  # Kueue gives a job the default queue of its namespace where its run names none
    for job in jobs:
        if job.is_queued and not job.is_leaving and not job.has_ended:
            told = {label: job.label(label) for label in wanted}
            if told != wanted:
                words = ", ".join(
                    f"{label} is {value} now" for label, value in wanted.items() if told[label] != value
                )
                return Finding("QueueChanged", f"{words}; {job.kind} {job.name} waited with another")
    return None


def has_nothing_for_its_place(context: RunContext, job: ObservedJob | None) -> bool:
    """Return whether a queue has held a job for as long as pods may take, and its flavors lie elsewhere, or others do.

    Kueue keeps a job waiting for ever for nodes that none of its queue's flavors has.
    """
    wanted, since = context.run.spec.training.placement, instant(context.status.queued_since)
    if job is None or since is None or len(placement.places(wanted)) < 2:
        return False
    limit = context.run.spec.run_policy.pods_ready_timeout_seconds
    words = context.observed.workload_says.get(job.uid, "")
    return OTHER_NODES in words and (context.moment - since).total_seconds() >= limit


def _had_time(context: RunContext, job: ObservedJob) -> bool:
    """Return whether Kueue should have made a job's Workload by now."""
    created = job.metadata.created
    return created is not None and (context.moment - created).total_seconds() >= PATIENCE_S


def _jobs(context: RunContext) -> list[ObservedJob]:
    """Return the jobs of the stage that goes on, those that have not ended, the newest attempt last."""
    stage = step_table.current_stage(context.steps)
    jobs = context.jobs(stage) if stage is not None else ()
    return [job for job in jobs if not job.has_ended and not job.is_leaving]


def _all_gated(context: RunContext) -> ObservedPod | None:
    """Return the first pod of the stage that goes on, where gates hold all of them: none works."""
    stage = step_table.current_stage(context.steps)
    number = step_table.attempt(context.steps, stage) if stage is not None else 0
    alive = (
        [pod for pod in context.pods(stage, number) if pod.phase in ("Pending", "Running", "")]
        if stage
        else []
    )
    return alive[0] if alive and all(pod.is_gated for pod in alive) else None


def _held_since(context: RunContext, held_one: ObservedJob | ObservedPod) -> str:
    """Return since when a job or pod is held: as its controller says, but not before the run, nor later than now."""
    told = [held.changed for held in held_one.conditions if (held.type, held.status) in HELD]
    began = instant(context.status.start_time)
    since = (
        next((moment for moment in told if moment is not None), held_one.metadata.created) or context.moment
    )
    if began is not None:
        since = max(since, began)
    return timestamp(min(since, context.moment))


def _let_in(context: RunContext, jobs: list[ObservedJob], since: str) -> datetime:
    """Return when a job was let in: as its controller says, else now."""
    told = [
        held.changed
        for job in jobs
        for held in job.conditions
        if (held.type, held.status) == ("Suspended", "False") and held.changed is not None
    ]
    began = instant(since) or context.moment
    return min([moment for moment in told if began <= moment <= context.moment], default=context.moment)
