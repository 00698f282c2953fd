"""How an attempt of training can fail, one function per way, and what the run's failure rules make of it.

Owns the evidence and the rules' matching; ``restarts`` owns counting. Sources of thresholds stand beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.errors import EXIT_TRANSIENT, EXIT_USER, UserError, exit_code_of
from daybreak_contracts.resources.run import FailureRule
from daybreak_operator.core.observed.objects import ObservedJob, held_true
from daybreak_operator.core.observed.pods import ContainerFailure, ObservedPod, container_failures
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.rules import Rule, first_finding
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.stages.restarts import Action, FailureVerdict
from daybreak_operator.core.training.stages.results import StageReport
from daybreak_operator.core.training.status import step_table

RESULT_GRACE_S = 20.0
"""A pod reports its result before it ends, but the two reach our watches by different ways."""
HEARTBEAT_S = 300.0
"""Shortest silence that means death: collectives give up after 600 s at most, a checkpoint stall takes seconds."""
HEARTBEAT_STEPS = 20.0
"""And no shorter than this many steps at the run's own pace."""
REPORTED_HEARTBEAT_S = 900.0
"""Where the trainer cannot be asked, the progress that it reports (every 15 s) speaks for it, with more patience."""


@dataclass(frozen=True)
class TrainingAttempt:
    """One attempt of training as it is seen now."""

    context: RunContext
    number: int
    job: ObservedJob | None
    pods: tuple[ObservedPod, ...]
    """All of the attempt's, those that are leaving too."""
    report: StageReport
    was_up: bool
    """Whether all its pods were ready at once before."""

    @property
    def expected(self) -> int:
        """Pods that an attempt has."""
        return self.context.run.spec.training.nodes

    @property
    def is_queued(self) -> bool:
        """Whether a queue holds its job back."""
        return self.job is not None and self.job.is_queued

    @property
    def failures(self) -> list[ContainerFailure]:
        """Containers that failed, the first one first."""
        return container_failures(self.pods)

    @property
    def error(self) -> Exception | None:
        """What training said itself of its end."""
        return self.report.errors.get(names.STEP_TRAIN)

    @property
    def is_over(self) -> bool:
        """Whether the first pod or the whole job ended, so that the others may go."""
        done = [pod for pod in self.pods if pod.did_well and pod.is_first]
        return bool(done) or (self.job is not None and self.job.has_ended)


def verdict(attempt: TrainingAttempt) -> FailureVerdict | None:
    """Return what an attempt's failure leads to; None while it has not failed."""
    finding = first_finding(attempt, RULES)
    return FailureVerdict(action_for(attempt), finding) if finding is not None else None


def a_pod_was_disrupted(attempt: TrainingAttempt) -> Finding | None:
    """The cluster took a pod from its node: preemption, eviction, a reclaimed or lost node."""
    taken = [pod for pod in attempt.pods if pod.is_disrupted]
    if not taken:
        return None
    said = taken[0].why_disrupted[:800] or "no details given"
    return Finding("Disrupted", f"pod {taken[0].name} was disrupted ({said})")


def training_said_why(attempt: TrainingAttempt) -> Finding | None:
    """Rank 0 handed its error over."""
    error = attempt.error
    if error is None:
        return None
    codes = {EXIT_USER: "StepFailed", EXIT_TRANSIENT: "StepInterrupted"}
    reason = codes.get(exit_code_of(error), "StepCrashed")
    return Finding(reason, f"step {names.STEP_TRAIN}: {error}"[:2000])


def a_pod_failed(attempt: TrainingAttempt) -> Finding | None:
    """A container left with an exit code."""
    failures = attempt.failures
    if failures:
        return Finding("PodFailed", failures[0].sentence)
    failed = [pod for pod in attempt.pods if pod.phase == "Failed" and not pod.did_well]
    if not failed:
        return None
    said = failed[0].why_ended or (failed[0].message or "no details given")[:300]
    return Finding("PodFailed", f"pod {failed[0].name} failed ({said})")


def a_pod_was_deleted(attempt: TrainingAttempt) -> Finding | None:
    """Somebody deleted a pod: a new one may be made, but the other ranks would wait for the old."""
    gone = [pod for pod in attempt.pods if pod.is_leaving]
    if attempt.is_over or not gone:
        return None
    return Finding("PodDeleted", f"pod {gone[0].name} was deleted")


def a_pod_is_missing(attempt: TrainingAttempt) -> Finding | None:
    """All pods were there, now one is not."""
    if attempt.is_over or not attempt.was_up or len(attempt.pods) >= attempt.expected:
        return None
    return Finding("PodLost", f"{len(attempt.pods)} of {attempt.expected} training pods are left")


def a_pod_was_replaced(attempt: TrainingAttempt) -> Finding | None:
    """A pod is younger than the moment when all were up: the one before it is gone, and nobody told."""
    up = _up_since(attempt.context)
    if attempt.is_over or not attempt.was_up or up is None:
        return None
    for pod in attempt.pods:
        born = pod.metadata.created
        if born is not None and born.timestamp() > up:
            return Finding("PodReplaced", f"pod {pod.name} replaced a pod that is gone")
    return None


def the_job_failed(attempt: TrainingAttempt) -> Finding | None:
    """Its controller gave the job up, and not for a sidecar that was killed when the training had ended well."""
    held = held_true(attempt.job.conditions, "Failed") if attempt.job is not None else None
    if held is None or any(pod.is_first and pod.did_well for pod in attempt.pods):
        return None
    return Finding("JobFailed", f"the {attempt.context.launcher} failed: {held.message[:300]}")


def the_job_is_gone(attempt: TrainingAttempt) -> Finding | None:
    """Somebody deleted the job after all its pods were up."""
    if attempt.job is not None or not attempt.was_up:
        return None
    return Finding("JobDeleted", f"the {attempt.context.launcher} was deleted")


def the_heartbeat_stopped(attempt: TrainingAttempt) -> Finding | None:
    """Training answers, but its steps do not go on."""
    silence, limit = _silence_s(attempt)
    if attempt.is_over or silence is None or silence <= limit:
        return None
    # No number that rises: while an action is under way the sentence must stay what it is.
    return Finding("HeartbeatStopped", f"training made no progress for more than {limit:.0f} s")


def no_result_was_reported(attempt: TrainingAttempt) -> Finding | None:
    """Training ended well, but nobody got its result."""
    ended = attempt.job.ended if attempt.job is not None else None
    for pod in attempt.pods:
        if ended is None and pod.is_first and pod.did_well:
            ended = instant(pod.finished)
    if ended is None or (attempt.context.moment - ended).total_seconds() < RESULT_GRACE_S:
        return None
    return Finding("ResultMissing", "training ended without reporting a result")


RULES: tuple[Rule[TrainingAttempt], ...] = (
    a_pod_was_disrupted,
    training_said_why,
    a_pod_failed,
    a_pod_was_deleted,
    the_job_failed,
    the_job_is_gone,
    a_pod_is_missing,
    a_pod_was_replaced,
    the_heartbeat_stopped,
    no_result_was_reported,
)
"""In the order in which they explain a failure best; all evidence counts for the rules, whichever explains it."""


def action_for(attempt: TrainingAttempt) -> Action:
    """Return what the first rule that matches says; a failure that no rule names is a counted restart.

    A pod or job that somebody took away is no failure of training: a rule that names neither condition nor exit
    code does not count it.
    """
    conditions = {kind for pod in attempt.pods for kind in pod.conditions_held}
    code = exit_code(attempt)
    for rule in attempt.context.run.spec.run_policy.failure_rules:
        if matches(rule, conditions, code):
            catches_all = rule.on_pod_condition is None and rule.on_exit_codes is None
            if rule.action == "Restart" and catches_all and _was_taken_away(attempt):
                return "RestartFree"
            return rule.action
    return "RestartFree" if _was_taken_away(attempt) else "Restart"


def matches(rule: FailureRule, conditions: set[str], code: int | None) -> bool:
    """Return whether a rule matches: everything that it names must be there."""
    by_condition = rule.on_pod_condition is None or rule.on_pod_condition in conditions
    by_code = rule.on_exit_codes is None or (code is not None and code in rule.on_exit_codes)
    return by_condition and by_code


def exit_code(attempt: TrainingAttempt) -> int | None:
    """Return the exit code that rules are held against.

    A user's error that training reported is a 2 whichever pod fell first; else it is the code of the first
    container that failed, because the others fall after it; else that of the error.
    """
    error, failures = attempt.error, attempt.failures
    if isinstance(error, UserError):
        return EXIT_USER
    if failures:
        return failures[0].exit_code
    return exit_code_of(error) if error is not None else None


def _was_taken_away(attempt: TrainingAttempt) -> bool:
    """A pod was told to stop, by a queue too, or the job is gone: not one of the ways in which training itself fails.

    A trainer that is told to stop saves its state and leaves with 75.
    """
    if attempt.is_over and attempt.job is not None:
        return False
    told = [pod for pod in attempt.pods if pod.is_leaving]
    codes = {failure.exit_code for failure in attempt.failures}
    explained = attempt.error is None or exit_code_of(attempt.error) == EXIT_TRANSIENT
    if told or _a_queue_took_it_back(attempt):
        return explained and codes <= {EXIT_TRANSIENT, 143}
    silent = not codes and attempt.error is None
    lost = a_pod_is_missing(attempt) or a_pod_was_replaced(attempt) or the_job_is_gone(attempt)
    return silent and lost is not None


def _a_queue_took_it_back(attempt: TrainingAttempt) -> bool:
    """A queue stopped the job: it holds it now, or it has let it in again since all pods were up."""
    job, up = attempt.job, _up_since(attempt.context)
    if job is None or job.is_queued or up is None:
        return job is not None and job.is_queued
    held = next((one for one in job.conditions if (one.type, one.status) == ("Suspended", "False")), None)
    return held is not None and held.changed is not None and held.changed.timestamp() > up


def _up_since(context: RunContext) -> float | None:
    for condition in context.status.conditions:
        if condition.type == "CapacityAvailable" and condition.status == "True":
            moment = instant(condition.last_transition_time)
            return moment.timestamp() if moment is not None else None
    return None


def _silence_s(attempt: TrainingAttempt) -> tuple[float | None, float]:
    """Return how long training has shown no sign of life, and how long it may.

    Both by our own clock: a node's may be minutes off. Nothing counts from before the attempt began.
    """
    context, observed = attempt.context, attempt.context.observed
    snapshot, told_s, reported_s = observed.progress, observed.progress_silent_s, observed.report_silent_s
    began = instant(step_table.of_stage(context.steps, names.STAGE_TRAIN)[0].start_time) or context.moment
    begun_s = (context.moment - began).total_seconds()
    if snapshot is not None and snapshot.attempt in (0, attempt.number) and told_s is not None:
        steps_left = snapshot.total_steps - snapshot.step
        pace = snapshot.seconds_left / steps_left if snapshot.seconds_left and steps_left > 0 else 0.0
        return min(told_s, begun_s), max(HEARTBEAT_S, HEARTBEAT_STEPS * pace)
    reports = attempt.report.step == names.STEP_TRAIN and attempt.report.updated is not None
    if snapshot is None and reports and reported_s is not None:
        return min(reported_s, begun_s), REPORTED_HEARTBEAT_S
    return None, HEARTBEAT_S
