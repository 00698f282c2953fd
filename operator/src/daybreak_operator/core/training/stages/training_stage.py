"""The stage train: one PyTorchJob per attempt, begun anew as a whole when any part of it fails.

Owns when an attempt begins, when its place is given up, and what is shown of it. ``failure`` owns how it can fail.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from daybreak_contracts import names
from daybreak_contracts.resources.run_status import MetricStatus
from daybreak_operator.core.conditions import Condition
from daybreak_operator.core.plan import Finding, Object, Ref
from daybreak_operator.core.times import instant
from daybreak_operator.core.training import placement
from daybreak_operator.core.training.children import owned, pytorch_job
from daybreak_operator.core.training.context import Look, Scene
from daybreak_operator.core.training.observed import objects, pod_state
from daybreak_operator.core.training.placement import Place
from daybreak_operator.core.training.stages import blockers, failure, restarts, results
from daybreak_operator.core.training.stages.failure import Attempt
from daybreak_operator.core.training.stages.restarts import Verdict
from daybreak_operator.core.training.status import decimals, step_table

STAGE = names.STAGE_TRAIN
LOOK_S = 15.0
"""The trainer is asked for its metrics at each look; heartbeats and time limits need no more."""
OLD_PODS_S = 120.0
"""Pods on a node that no longer answers stay Terminating for ever: no longer than this they are waited for, and a
worker that does not end after the result is given no more either."""
CAPACITY = "CapacityAvailable"


def look(scene: Scene) -> Look:
    """Return what is to be done about training while it is not complete."""
    if step_table.attempt(scene.steps, STAGE) == 0:
        scene = replace(scene, steps=step_table.renewed(scene.steps, STAGE, 1, scene.moment))
    number = step_table.attempt(scene.steps, STAGE)
    if not step_table.has_begun(scene.steps, STAGE):
        return _begin(scene, number)
    report = results.report_of(scene, STAGE, number)
    steps = results.taken_in(scene.steps, STAGE, report, scene.moment)
    if step_table.is_complete(steps, STAGE):
        return Look(steps=steps, metrics=_metrics(scene, number))
    attempt = _attempt(scene, number, report)
    if is_queued(attempt.job) and attempt.error is None:
        return _goes_on(replace(scene, steps=steps), attempt)
    verdict = failure.verdict(attempt)
    if verdict is not None:
        return _fails(scene, steps, attempt, verdict)
    if the_pods_are_late(attempt):
        return _moves_on(scene, steps)
    return _goes_on(replace(scene, steps=steps), attempt)


def _begin(scene: Scene, number: int) -> Look:
    """Begin an attempt when its time has come and nothing of an earlier one is left."""
    waiting = Look(steps=scene.steps, look_again_s=LOOK_S)
    old = [job for job in scene.own("PyTorchJob", STAGE) if objects.attempt(job) != number]
    remove = tuple(objects.ref(job) for job in old if not objects.is_leaving(job))
    missing = blockers.something_named_is_missing(scene.observed)
    if missing is not None:
        return replace(waiting, stalled=missing, delete=remove)
    pause = restarts.seconds_until_due(scene, STAGE)
    if pause > 0:
        said = step_table.of_stage(scene.steps, STAGE)[0].message
        look_again = max(1.0, min(pause, LOOK_S)) if old else max(1.0, pause)
        finding = Finding("BackOff", said)
        return replace(waiting, waiting=finding, delete=remove, look_again_s=look_again)
    if old or _old_pods(scene, number):
        finding = Finding("AttemptEnds", "an earlier attempt has not ended yet")
        return replace(waiting, waiting=finding, delete=remove)
    steps = step_table.begun(scene.steps, STAGE, scene.moment)
    place = _place(scene)
    return Look(
        steps=steps,
        apply=(*_furniture(scene, number), pytorch_job.pytorch_job(scene, number, place)),
        capacity=_unknown("PodsPending", "The training pods were asked for."),
        place=place,
        look_again_s=LOOK_S,
    )


def stragglers(scene: Scene) -> tuple[Ref, ...]:
    """Return jobs that still run a while after training handed its result over: they hold machines for nothing."""
    ended = instant(step_table.of_stage(scene.steps, STAGE)[0].completion_time)
    if ended is None or (scene.moment - ended).total_seconds() < OLD_PODS_S:
        return ()
    jobs = scene.own("PyTorchJob", STAGE)
    return tuple(
        objects.ref(job) for job in jobs if not objects.has_ended(job) and not objects.is_leaving(job)
    )


def _old_pods(scene: Scene, number: int) -> bool:
    due = instant(step_table.of_stage(scene.steps, STAGE)[0].start_time)
    if due is not None and (scene.moment - due).total_seconds() >= OLD_PODS_S:
        return False
    alive = ("Pending", "Running", "")
    return any(
        objects.attempt(pod) != number and pod_state.phase(pod) in alive for pod in scene.own("Pod", STAGE)
    )


def _attempt(scene: Scene, number: int, report: results.Report) -> Attempt:
    jobs = [job for job in scene.own("PyTorchJob", STAGE) if objects.attempt(job) == number]
    own_pods = tuple(pod for pod in scene.own("Pod", STAGE) if objects.attempt(pod) == number)
    was_up = any(item.type == CAPACITY and item.status == "True" for item in scene.status.conditions)
    return Attempt(scene, number, jobs[-1] if jobs else None, own_pods, report, was_up)


def _fails(scene: Scene, steps: step_table.Steps, attempt: Attempt, verdict: Verdict) -> Look:
    """End an attempt: the whole job goes, and after a disruption the next place is tried."""
    look = restarts.after(scene, STAGE, steps, verdict)
    job = attempt.job
    stop = (objects.ref(job),) if job is not None and not objects.is_leaving(job) else ()
    if look.failed is not None:
        return look
    place = _place(scene)
    if any(pod_state.is_disrupted(pod) for pod in attempt.pods):
        place = placement.place_after(scene.run.spec.training.placement, place)
    capacity = _unknown("Restarting", verdict.finding.message)
    return replace(look, delete=stop, capacity=capacity, place=place)


def the_pods_are_late(attempt: Attempt) -> bool:
    """Not all pods were up within ``podsReadyTimeoutSeconds``, and it is no image that they wait for."""
    began = waits_since(attempt.job)
    if attempt.was_up or began is None or _are_up(attempt):
        return False
    if blockers.an_image_cannot_be_pulled(attempt.pods) or blockers.a_container_cannot_be_made(attempt.pods):
        return False
    limit = attempt.scene.run.spec.run_policy.pods_ready_timeout_seconds
    return (attempt.scene.moment - began).total_seconds() >= limit


def waits_since(job: Object | None) -> datetime | None:
    """Return since when a job's pods are wanted; None while a queue holds it back."""
    if job is None or is_queued(job):
        return None
    times = [objects.created(job)]
    for held in (job.get("status") or {}).get("conditions") or ():
        if held.get("type") == "Suspended" and held.get("status") == "False":
            times.append(instant(held.get("lastTransitionTime")))
    known = [time for time in times if time is not None]
    return max(known) if known else None


def is_queued(job: Object | None) -> bool:
    """Return whether a queue holds a job back: its pods are gone by the queue's will, and come again by it."""
    policy = ((job or {}).get("spec") or {}).get("runPolicy") or {}
    return bool(policy.get("suspend"))


def _moves_on(scene: Scene, steps: step_table.Steps) -> Look:
    """Give a place up that did not bring all pods up in time: a free restart in the next one."""
    wanted = scene.run.spec.training.placement
    place, limit = _place(scene), scene.run.spec.run_policy.pods_ready_timeout_seconds
    following = placement.place_after(wanted, place)
    finding = Finding(
        "NoCapacity",
        f"not all training pods were ready within {limit} s in {_words(place)}; next is {_words(following)}",
    )
    look = restarts.after(scene, STAGE, steps, Verdict("RestartFree", finding))
    jobs = [job for job in scene.own("PyTorchJob", STAGE) if not objects.is_leaving(job)]
    return replace(
        look,
        delete=tuple(objects.ref(job) for job in jobs),
        capacity=Condition(CAPACITY, "False", finding),
        place=following,
    )


def _goes_on(scene: Scene, attempt: Attempt) -> Look:
    """Keep what a running attempt needs as it shall be; tell how far it is."""
    apply = _furniture(scene, attempt.number)
    if attempt.job is None:
        apply = (*apply, pytorch_job.pytorch_job(scene, attempt.number, _place(scene)))
    jobs = [attempt.job] if attempt.job is not None else []
    stalled = (
        blockers.something_named_is_missing(scene.observed)
        or blockers.an_image_cannot_be_pulled(attempt.pods)
        or blockers.a_container_cannot_be_made(attempt.pods)
        or blockers.a_quota_refuses_pods(scene.observed.events, jobs)
    )
    snapshot = scene.observed.progress
    known = snapshot is not None and snapshot.attempt in (0, attempt.number) and snapshot.total_steps > 0
    return Look(
        steps=scene.steps,
        apply=apply,
        stalled=stalled,
        capacity=_capacity(attempt),
        metrics=_metrics(scene, attempt.number),
        share=snapshot.step / snapshot.total_steps
        if snapshot is not None and known
        else attempt.report.share,
        activity=attempt.report.activity,
        seconds_left=snapshot.seconds_left if snapshot is not None and known else None,
        look_again_s=LOOK_S,
    )


def _are_up(attempt: Attempt) -> bool:
    up = [pod for pod in attempt.pods if pod_state.is_up(pod) and not objects.is_leaving(pod)]
    return len(up) >= attempt.expected


def _capacity(attempt: Attempt) -> Condition:
    if is_queued(attempt.job):
        return _unknown("Queued", "A queue holds the training job back.")
    if attempt.was_up or _are_up(attempt):
        words = "All training pods were ready." if attempt.expected > 1 else "The training pod was ready."
        return Condition(CAPACITY, "True", Finding("PodsReady", words))
    unscheduled = [text for text in map(pod_state.why_unscheduled, attempt.pods) if text]
    if unscheduled:
        return Condition(CAPACITY, "False", Finding("Unschedulable", unscheduled[0][:500]))
    return _unknown("PodsPending", "Not all training pods are ready yet.")


def _metrics(scene: Scene, number: int) -> tuple[MetricStatus, ...]:
    snapshot = scene.observed.progress
    if snapshot is None or snapshot.attempt not in (0, number):
        return ()
    values = {
        "loss": snapshot.loss,
        "tokensPerSecond": snapshot.tokens_per_second,
        "mfu": snapshot.mfu,
    }
    texts = {name: decimals.significant(value) for name, value in values.items() if value is not None}
    return tuple(MetricStatus(name=name, value=text) for name, text in texts.items() if text is not None)


def _furniture(scene: Scene, number: int) -> tuple[Object, ...]:
    results_name = names.stage_child(scene.name, STAGE, number)
    role, binding = owned.access(scene, [results_name], scene.namespace)
    return (
        owned.results(scene, STAGE, number),
        role,
        binding,
        pytorch_job.train_arguments(scene, number),
    )


def _place(scene: Scene) -> Place:
    return placement.place_of(scene.run.spec.training.placement, scene.status.zone, scene.status.market)


def _words(place: Place) -> str:
    said = [f"zone {place.zone}" if place.zone else "any zone", place.market or ""]
    return ", ".join(filter(None, said))


def _unknown(reason: str, message: str) -> Condition:
    return Condition(CAPACITY, "Unknown", Finding(reason, message))
