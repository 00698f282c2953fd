"""The stages data and model: one pipeline each, run by Kubeflow or by a Kubernetes Job.

Owns when an attempt begins and what its end means. Results come from the ConfigMap alone: job and pipeline states only
say that a step can no longer answer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from daybreak_contracts import arguments, names
from daybreak_contracts.errors import EXIT_USER, TransientError, UserError
from daybreak_operator.core.observed.objects import ObservedJob
from daybreak_operator.core.observed.pods import ObservedPod, container_failures
from daybreak_operator.core.plan import Finding, Json, Object, Ref, Submit
from daybreak_operator.core.rules import first_finding
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.children import executors, owned, pipeline_pods, pods
from daybreak_operator.core.training.context import PIPELINES, STAGE_STEPS, RunContext, StageOutcome
from daybreak_operator.core.training.stages import (
    blockers,
    data_use,
    pipeline_runs,
    queueing,
    restarts,
    results,
)
from daybreak_operator.core.training.stages.blockers import BlockerInput
from daybreak_operator.core.training.stages.restarts import FailureVerdict
from daybreak_operator.core.training.stages.results import StageReport, StepError
from daybreak_operator.core.training.status import step_table

RESULT_GRACE_S = 20.0
"""A pod reports its result before it ends, but the two reach our watches by different ways."""
OLD_ATTEMPT_GRACE_S = 60.0
"""What an attempt that reported an error has to end by itself, with its logs, before the next one stops it."""
NO_NODE, NO_NODE_S = "NoNodeTakesPod", 600.0
"""Longer than autoscalers take for the first node of a kind."""
REQUEUE_S = 30.0
HELD_REQUEUE_S = 15.0
"""While a queue holds the Job: what it says of it is asked."""
BACKEND_REQUEUE_S = 10.0
"""Kubeflow tells nothing by itself: it is asked."""


def reconcile(context: RunContext, stage: str) -> StageOutcome:
    """Return what is to be done about a pipeline stage that is not complete."""
    if step_table.attempt(context.steps, stage) == 0:
        context = replace(context, steps=step_table.renewed(context.steps, stage, 1, context.moment))
    number = step_table.attempt(context.steps, stage)
    if not _has_begun(context, stage, number):
        return _begin(context, stage, number)
    report = results.report_of(context, stage, number)
    plan = data_use.plan_with(context, report.results)
    steps = results.taken_in(context.steps, stage, report, context.moment, data_use.messages(plan))
    if step_table.is_complete(steps, stage):
        return StageOutcome(steps=steps, metrics=data_use.metrics(plan))
    verdict = (
        _reported_error(stage, report)
        or _ended_early(context, stage, number)
        or _waits_with_another_template(context, stage, number)
        or _waits_in_another_queue(context, stage, number)
    )
    if verdict is not None:
        return restarts.after(context, stage, steps, verdict)
    return _continue(replace(context, steps=steps), stage, number, report)


def _has_begun(context: RunContext, stage: str, number: int) -> bool:
    if step_table.has_begun(context.steps, stage):
        return True
    run = context.observed.pipelines.get(_run_id(context, stage, number))
    seen = run is not None and run.state != "Absent"
    return context.backend == "KubeflowPipelines" and context.observed.backend_error is None and seen


def _begin(context: RunContext, stage: str, number: int) -> StageOutcome:
    """Begin an attempt when its time has come and no earlier one is about."""
    waiting = StageOutcome(steps=context.steps, requeue_after_s=BACKEND_REQUEUE_S)
    before = blockers.BEFORE_A_STAGE if stage == names.STAGE_DATA else (blockers.something_named_is_missing,)
    missing = first_finding(BlockerInput(context.observed, launcher=context.launcher), before)
    if missing is not None:
        return replace(waiting, stalled=missing, requeue_after_s=REQUEUE_S)
    pause = restarts.seconds_until_due(context, stage)
    if pause > 0:
        said = step_table.of_stage(context.steps, stage)[0].message
        return replace(waiting, waiting=Finding("BackOff", said), requeue_after_s=max(1.0, pause))
    older = _older(context, stage, number)
    if older is not None:
        return older
    if context.backend == "KubeflowPipelines":
        impossible = pipeline_pods.cannot_be_on_kubeflow(context)
        if impossible is not None:
            return replace(waiting, stalled=impossible, requeue_after_s=REQUEUE_S)
        return _submit(context, stage, number)
    steps = step_table.begun(context.steps, stage, context.moment)
    return StageOutcome(
        steps=steps, apply=(*_supporting_objects(context, stage, number), _job(context, stage, number))
    )


def _older(context: RunContext, stage: str, number: int) -> StageOutcome | None:
    """Wait for what earlier attempts left running; stop it when it does not end by itself."""
    due = instant(step_table.of_stage(context.steps, stage)[0].start_time) or context.moment
    late = (context.moment - due).total_seconds() >= OLD_ATTEMPT_GRACE_S
    jobs = [job for job in context.jobs(stage) if job.attempt < number and not job.has_ended]
    earlier = [_run_id(context, stage, attempt) for attempt in range(1, number)]
    alive = [run_id for run_id in pipeline_runs.alive(context.observed) if run_id in earlier]
    if not jobs and not alive:
        return None
    stoppable = [run_id for run_id in pipeline_runs.to_stop(context.observed) if run_id in earlier]
    return StageOutcome(
        steps=context.steps,
        waiting=Finding("AttemptEnds", "an earlier attempt has not ended yet"),
        delete=tuple(job.ref for job in jobs if late and not job.is_leaving),
        terminate=tuple(stoppable) if late else (),
        requeue_after_s=BACKEND_REQUEUE_S,
    )


def _submit(context: RunContext, stage: str, number: int) -> StageOutcome:
    run_id = _run_id(context, stage, number)
    run = context.observed.pipelines.get(run_id)
    if context.observed.backend_error is not None or run is None:
        said = context.observed.backend_error or "it has not answered yet"
        finding = Finding("BackendUnavailable", f"Kubeflow Pipelines is unreachable: {said}")
        return StageOutcome(steps=context.steps, waiting=finding, requeue_after_s=BACKEND_REQUEUE_S)
    submit = Submit(
        run_id=run_id,
        pipeline=PIPELINES[stage],
        display_name=f"{context.namespace}/{names.stage_child(context.name, stage, number)}",
        experiment=context.observed.settings.kubeflow_experiment,
        parameters=_parameters(context, stage, number),
        service_account=owned.account(context),
        namespace="" if context.observed.settings.kubeflow_namespace else context.namespace,
        pods=pipeline_pods.pods_of(context, stage, number),
    )
    return StageOutcome(
        steps=context.steps,
        apply=_supporting_objects(context, stage, number),
        submit=(submit,),
        requeue_after_s=BACKEND_REQUEUE_S,
    )


def _continue(context: RunContext, stage: str, number: int, report: StageReport) -> StageOutcome:
    """Keep what a running attempt needs as it shall be; tell how far it is."""
    own_pods = (*context.pods(stage, number), *_drivers(context, stage, number))
    jobs = context.jobs(stage, number)
    apply = _supporting_objects(context, stage, number)
    on_kubeflow = context.backend == "KubeflowPipelines"
    waiting = None
    if on_kubeflow and context.observed.backend_error is not None:
        said = f"Kubeflow Pipelines is unreachable: {context.observed.backend_error}"
        waiting = Finding("BackendUnavailable", said)
    stalled = first_finding(
        BlockerInput(context.observed, own_pods, jobs, moment=context.moment), blockers.RUNNING
    )
    going = [step.name for step in step_table.of_stage(context.steps, stage) if step.state == "Running"]
    if not on_kubeflow and not jobs:
        apply = (*apply, _job(context, stage, number))
    held = _held(context, jobs) or queueing.why_gated(own_pods)
    homeless = _no_node_takes(context, own_pods)
    return StageOutcome(
        steps=context.steps,
        apply=apply,
        stalled=stalled or (homeless if homeless is not None and homeless.reason == NO_NODE else None),
        waiting=waiting or held or homeless,
        share=report.share if report.step in going else 0.0,
        activity=report.activity if report.step in going else "",
        requeue_after_s=BACKEND_REQUEUE_S if on_kubeflow else HELD_REQUEUE_S if held else REQUEUE_S,
    )


def _no_node_takes(context: RunContext, own_pods: tuple[ObservedPod, ...]) -> Finding | None:
    """A pod finds no node: at first an autoscaler may bring one, later a person is to look."""
    for pod in own_pods:
        if not pod.why_unscheduled or pod.is_leaving:
            continue
        made = pod.metadata.created or context.moment
        late = (context.moment - made).total_seconds() >= NO_NODE_S
        remedy = (
            "; ask for less or tolerate it in podTemplate, make the claim that it names, or add a node"
            if late
            else ""
        )
        words = f"pod {pod.name} waits for a node: {pod.why_unscheduled[:1000]}{remedy}"
        return Finding(NO_NODE if late else "WaitsForNode", words)
    return None


def _held(context: RunContext, jobs: tuple[ObservedJob, ...]) -> Finding | None:
    """A queue holds the stage's Job."""
    held = [job for job in jobs if job.is_queued and not job.has_ended]
    return Finding("Queued", queueing.why_held(context, held[0])) if held else None


def _reported_error(stage: str, report: StageReport) -> FailureVerdict | None:
    """A step said itself why it failed."""
    for step in STAGE_STEPS[stage]:
        if step in report.errors:
            return error_verdict(step, report.errors[step])
    return None


def error_verdict(step: str, error: StepError) -> FailureVerdict:
    """Return what a step's own error leads to: the user's fault ends the run, all else is tried again."""
    finding = Finding(error_reason(error), f"step {step}: {error}"[: step_table.MAX_MESSAGE])
    return FailureVerdict("Fail" if isinstance(error, UserError) else "Restart", finding)


def error_reason(error: StepError) -> str:
    """Return the reason that stands for the kind of a step's error."""
    if isinstance(error, UserError):
        return "StepFailed"
    return "StepInterrupted" if isinstance(error, TransientError) else "StepCrashed"


def _ended_early(context: RunContext, stage: str, number: int) -> FailureVerdict | None:
    """What ran the pipeline has ended, or is gone, and steps are missing."""
    if context.backend == "KubeflowPipelines":
        return _kubeflow_ended(context, stage, number)
    return _job_ended(context, stage, number)


def _waits_with_another_template(context: RunContext, stage: str, number: int) -> FailureVerdict | None:
    """The run's ``podTemplate`` was corrected while no pod could start with the one before."""
    own_pods = (*context.pods(stage, number), *_drivers(context, stage, number))
    jobs = [job for job in context.jobs(stage, number) if not job.has_ended]
    if any(pod.phase not in ("Pending", "") for pod in own_pods):
        return None
    if not owned.was_made_by_another_template(context, (*jobs, *own_pods)):
        return None
    said = Finding(
        "PodTemplateChanged", f"stage {stage}: podTemplate was changed before its pods had started"
    )
    return FailureVerdict("RestartFree", said)


def _waits_in_another_queue(context: RunContext, stage: str, number: int) -> FailureVerdict | None:
    corrected = queueing.names_another(context, context.jobs(stage, number))
    return FailureVerdict("RestartFree", corrected) if corrected is not None else None


def _kubeflow_ended(context: RunContext, stage: str, number: int) -> FailureVerdict | None:
    run = context.observed.pipelines.get(_run_id(context, stage, number))
    if context.observed.backend_error is not None or run is None:
        return None
    if run.state in pipeline_runs.ALIVE:
        return None
    if run.ended is not None and context.moment.timestamp() - run.ended < RESULT_GRACE_S:
        return None
    own_pods = context.pods(stage, number)
    disrupted = _disrupted(stage, own_pods)
    if disrupted is not None:
        return FailureVerdict("RestartFree", disrupted)
    failures = container_failures(own_pods)
    told = [text for text in (run.message, failures[0].sentence if failures else "") if text]
    said = f": {'; '.join(told)}" if told else ""
    words = {
        "Absent": ("PipelineGone", "its Kubeflow run was deleted"),
        "Lost": ("PipelineGone", "the workflow of its Kubeflow run is gone"),
        "Failed": ("PipelineFailed", "its Kubeflow run failed and no step said why"),
        "Succeeded": ("ResultMissing", "its Kubeflow run succeeded, but not all steps reported a result"),
    }
    reason, sentence = words[run.state]
    return FailureVerdict("Restart", Finding(reason, f"stage {stage}: {sentence}{said}"))


def _job_ended(context: RunContext, stage: str, number: int) -> FailureVerdict | None:
    jobs = context.jobs(stage, number)
    if jobs and jobs[-1].is_queued and not jobs[-1].has_ended:
        return None  # a queue took its pod back, and will give it another
    ended = (jobs[-1].ended or _work_ended(context, stage, number)) if jobs else None
    if ended is None or (context.moment - ended).total_seconds() < RESULT_GRACE_S:
        return None
    own_pods = context.pods(stage, number)
    failures = container_failures(own_pods)
    if failures and failures[0].exit_code == EXIT_USER:
        return FailureVerdict("Fail", Finding("StepFailed", f"stage {stage}: {failures[0].sentence}"))
    disrupted = _disrupted(stage, own_pods)
    if disrupted is not None:
        return FailureVerdict("RestartFree", disrupted)
    said = failures[0].sentence if failures else f"Job {jobs[-1].name} ended"
    return FailureVerdict(
        "Restart", Finding("ResultMissing", f"stage {stage}: {said}, and not all steps reported a result")
    )


def _disrupted(stage: str, own_pods: tuple[ObservedPod, ...]) -> Finding | None:
    """The cluster took a pod from its node, or its node rejected it."""
    taken = next((pod for pod in own_pods if pod.is_disrupted), None)
    if taken is None:
        return None
    said = taken.why_disrupted[:800] or "no details given"
    return Finding("Disrupted", f"stage {stage}: pod {taken.name} was disrupted ({said})")


def _work_ended(context: RunContext, stage: str, number: int) -> datetime | None:
    """Return when the container that works ended: a sidecar that runs on keeps its pod, and so its Job, alive.

    A pod that is leaving says nothing of the one that follows it.
    """
    own = [pod for pod in context.pods(stage, number) if not pod.is_leaving]
    times = [pod.ended_at(pods.PIPELINE_CONTAINER) for pod in own]
    return max((time for time in times if time is not None), default=None)


def jobs_kept_alive(context: RunContext, stage: str) -> tuple[Ref, ...]:
    """Return the Jobs of a stage that is complete whose work has ended, while a sidecar keeps them running."""
    return tuple(
        job.ref
        for job in context.jobs(stage)
        if not job.has_ended
        and not job.is_leaving
        and (ended := _work_ended(context, stage, job.attempt)) is not None
        and (context.moment - ended).total_seconds() >= RESULT_GRACE_S
    )


def _run_id(context: RunContext, stage: str, number: int) -> str:
    return names.pipeline_run_id(context.uid, stage, number)


def _drivers(context: RunContext, stage: str, number: int) -> tuple[ObservedPod, ...]:
    """Return the pods with which Kubeflow prepares its tasks: where one can't start, nothing goes on."""
    run = context.observed.pipelines.get(_run_id(context, stage, number))
    known = (
        context.backend == "KubeflowPipelines" and run is not None and context.observed.backend_error is None
    )
    return run.pods if known and run is not None else ()


def _parameters(context: RunContext, stage: str, number: int) -> dict[str, Json]:
    """Return the parameters of a stage's pipeline; a Job's pod has the rest in its environment."""
    on_kubeflow = context.backend == "KubeflowPipelines"
    place = arguments.RunSettings(
        output=context.run.spec.output.uri,
        work_dir=names.WORK_DIR,
        results_configmap=owned.results_configmap(context, stage, number) if on_kubeflow else "",
        storage_secret=context.observed.settings.storage_secret if on_kubeflow else "",
    )
    if stage == names.STAGE_DATA:
        return arguments.data_parameters(context.run, place)
    return arguments.model_parameters(context.run, place, step_table.results(context.steps))


def _supporting_objects(context: RunContext, stage: str, number: int) -> tuple[Object, ...]:
    """Return what an attempt needs besides its job: results, the right to write them, who hears whom, parameters.

    Kubeflow is told the parameters; where its pods lie in another namespace, that one's policies are not the run's.
    """
    results_name = names.stage_child(context.name, stage, number)
    role, binding = owned.access(context, [results_name], context.pipelines_namespace)
    made: tuple[Object, ...] = (owned.results(context, stage, number), role, binding)
    if context.pipelines_namespace == context.namespace:
        made = (*made, owned.pipelines_policy(context))
    if context.backend == "KubeflowPipelines":
        return made
    own = owned.labels(context, names.ROLE_ARGUMENTS, stage, number)
    text = json.dumps(_parameters(context, stage, number), sort_keys=True)
    parameters = owned.config_map(
        context, names.arguments_name(context.name, stage, number), own, {owned.PARAMETERS_FILE: text}
    )
    return (*made, parameters)


def _job(context: RunContext, stage: str, number: int) -> Object:
    own = owned.labels(context, names.ROLE_PIPELINE, stage, number)
    file = f"{pods.SETTINGS_FOLDER}/{owned.PARAMETERS_FILE}"
    wish = pods.PodRequest(
        stage=stage,
        attempt=number,
        labels=own,
        container=pods.PIPELINE_CONTAINER,
        image=context.images.pipelines,
        command=(
            *("python", "-m", "daybreak_pipelines", "job"),
            *("--pipeline", PIPELINES[stage], "--parameters", file),
        ),
        arguments=names.arguments_name(context.name, stage, number),
        env=[*pods.tracking_env(context), *executors.environment(context, stage, number)],
        scratch=executors.scratch(context, stage),
    )
    name = names.stage_child(context.name, stage, number)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": owned.metadata(context, name, own | owned.labels_of_job(context)),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": pods.template(context, wish),
        },
    }
