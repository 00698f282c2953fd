"""The stages data and model: one pipeline each, run by Kubeflow or by a Kubernetes Job.

Owns when an attempt begins and what its end means. Results come from the ConfigMap alone: job and pipeline states only
say that a step can no longer answer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from daybreak_contracts import arguments, names
from daybreak_contracts.errors import EXIT_USER, TransientError, UserError
from daybreak_operator.core.plan import Finding, Object, Submit
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.children import executors, owned, pipeline_pods, pods
from daybreak_operator.core.training.context import PIPELINES, STAGE_STEPS, Look, Scene
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.pod_state import container_failures, is_disrupted
from daybreak_operator.core.training.stages import blockers, pipeline_runs, restarts, results
from daybreak_operator.core.training.stages.restarts import Verdict
from daybreak_operator.core.training.stages.results import Report, StepError
from daybreak_operator.core.training.status import step_table

RESULT_GRACE_S = 20.0
"""A pod reports its result before it ends, but the two reach our watches by different ways."""
OLD_ATTEMPT_GRACE_S = 60.0
"""What an attempt that reported an error has to end by itself, with its logs, before the next one stops it."""
LOOK_S = 30.0
BACKEND_LOOK_S = 10.0
"""Kubeflow tells nothing by itself: it is asked."""


def look(scene: Scene, stage: str) -> Look:
    """Return what is to be done about a pipeline stage that is not complete."""
    if step_table.attempt(scene.steps, stage) == 0:
        scene = replace(scene, steps=step_table.renewed(scene.steps, stage, 1, scene.moment))
    number = step_table.attempt(scene.steps, stage)
    if not _has_begun(scene, stage, number):
        return _begin(scene, stage, number)
    report = results.report_of(scene, stage, number)
    steps = results.taken_in(scene.steps, stage, report, scene.moment)
    if step_table.is_complete(steps, stage):
        return Look(steps=steps)
    verdict = _handed_over_error(stage, report) or _ended_early(scene, stage, number)
    if verdict is not None:
        return restarts.after(scene, stage, steps, verdict)
    return _goes_on(replace(scene, steps=steps), stage, number, report)


def _has_begun(scene: Scene, stage: str, number: int) -> bool:
    if step_table.has_begun(scene.steps, stage):
        return True
    run = scene.observed.pipelines.get(_run_id(scene, stage, number))
    seen = run is not None and run.state != "Absent"
    return scene.backend == "KubeflowPipelines" and scene.observed.backend_error is None and seen


def _begin(scene: Scene, stage: str, number: int) -> Look:
    """Begin an attempt when its time has come and no earlier one is about."""
    waiting = Look(steps=scene.steps, look_again_s=BACKEND_LOOK_S)
    missing = blockers.something_named_is_missing(scene.observed)
    if missing is not None:
        return replace(waiting, stalled=missing, look_again_s=LOOK_S)
    pause = restarts.seconds_until_due(scene, stage)
    if pause > 0:
        said = step_table.of_stage(scene.steps, stage)[0].message
        return replace(waiting, waiting=Finding("BackOff", said), look_again_s=max(1.0, pause))
    older = _older(scene, stage, number)
    if older is not None:
        return older
    if scene.backend == "KubeflowPipelines":
        impossible = pipeline_pods.cannot_be_on_kubeflow(scene)
        if impossible is not None:
            return replace(waiting, stalled=impossible, look_again_s=LOOK_S)
        return _submit(scene, stage, number)
    steps = step_table.begun(scene.steps, stage, scene.moment)
    return Look(steps=steps, apply=(*_furniture(scene, stage, number), _job(scene, stage, number)))


def _older(scene: Scene, stage: str, number: int) -> Look | None:
    """Wait for what earlier attempts left running; stop it when it does not end by itself."""
    due = instant(step_table.of_stage(scene.steps, stage)[0].start_time) or scene.moment
    late = (scene.moment - due).total_seconds() >= OLD_ATTEMPT_GRACE_S
    jobs = [
        job for job in scene.own("Job", stage) if objects.attempt(job) < number and not objects.has_ended(job)
    ]
    earlier = [_run_id(scene, stage, attempt) for attempt in range(1, number)]
    alive = [run_id for run_id in pipeline_runs.alive(scene.observed) if run_id in earlier]
    if not jobs and not alive:
        return None
    stoppable = [run_id for run_id in pipeline_runs.to_stop(scene.observed) if run_id in earlier]
    return Look(
        steps=scene.steps,
        waiting=Finding("AttemptEnds", "an earlier attempt has not ended yet"),
        delete=tuple(objects.ref(job) for job in jobs if late and not objects.is_leaving(job)),
        terminate=tuple(stoppable) if late else (),
        look_again_s=BACKEND_LOOK_S,
    )


def _submit(scene: Scene, stage: str, number: int) -> Look:
    run_id = _run_id(scene, stage, number)
    run = scene.observed.pipelines.get(run_id)
    if scene.observed.backend_error is not None or run is None:
        said = scene.observed.backend_error or "it was not asked yet"
        finding = Finding("BackendUnavailable", f"Kubeflow Pipelines cannot be asked: {said}")
        return Look(steps=scene.steps, waiting=finding, look_again_s=BACKEND_LOOK_S)
    submit = Submit(
        run_id=run_id,
        pipeline=PIPELINES[stage],
        display_name=f"{scene.namespace}/{names.stage_child(scene.name, stage, number)}",
        experiment=scene.observed.settings.kubeflow_experiment,
        parameters=_parameters(scene, stage, number),
        service_account=owned.account(scene),
        namespace="" if scene.observed.settings.kubeflow_namespace else scene.namespace,
        pods=pipeline_pods.pods_of(scene, stage, number),
    )
    return Look(
        steps=scene.steps,
        apply=_furniture(scene, stage, number)[:3],
        submit=(submit,),
        look_again_s=BACKEND_LOOK_S,
    )


def _goes_on(scene: Scene, stage: str, number: int, report: Report) -> Look:
    """Keep what a running attempt needs as it shall be; tell how far it is."""
    own_pods = [pod for pod in scene.own("Pod", stage) if objects.attempt(pod) == number]
    jobs = [job for job in scene.own("Job", stage) if objects.attempt(job) == number]
    furniture = _furniture(scene, stage, number)
    on_kubeflow = scene.backend == "KubeflowPipelines"
    waiting = None
    if on_kubeflow and scene.observed.backend_error is not None:
        said = f"Kubeflow Pipelines cannot be asked: {scene.observed.backend_error}"
        waiting = Finding("BackendUnavailable", said)
    stalled = (
        blockers.something_named_is_missing(scene.observed)
        or blockers.an_image_cannot_be_pulled(own_pods)
        or blockers.a_container_cannot_be_made(own_pods)
        or blockers.a_quota_refuses_pods(scene.observed.events, jobs)
    )
    going = [step.name for step in step_table.of_stage(scene.steps, stage) if step.state == "Running"]
    apply = furniture[:3] if on_kubeflow else furniture
    if not on_kubeflow and not jobs:
        apply = (*apply, _job(scene, stage, number))
    return Look(
        steps=scene.steps,
        apply=apply,
        stalled=stalled,
        waiting=waiting,
        share=report.share if report.step in going else 0.0,
        activity=report.activity if report.step in going else "",
        look_again_s=BACKEND_LOOK_S if on_kubeflow else LOOK_S,
    )


def _handed_over_error(stage: str, report: Report) -> Verdict | None:
    """A step said itself why it failed."""
    for step in STAGE_STEPS[stage]:
        if step in report.errors:
            return error_verdict(step, report.errors[step])
    return None


def error_verdict(step: str, error: StepError) -> Verdict:
    """Return what a step's own error leads to: the user's fault ends the run, all else is tried again."""
    finding = Finding(error_reason(error), f"step {step}: {error}"[: step_table.MAX_MESSAGE])
    return Verdict("Fail" if isinstance(error, UserError) else "Restart", finding)


def error_reason(error: StepError) -> str:
    """Return the reason that stands for the kind of a step's error."""
    if isinstance(error, UserError):
        return "StepFailed"
    return "StepInterrupted" if isinstance(error, TransientError) else "StepCrashed"


def _ended_early(scene: Scene, stage: str, number: int) -> Verdict | None:
    """What ran the pipeline has ended, or is gone, and steps are missing."""
    if scene.backend == "KubeflowPipelines":
        return _kubeflow_ended(scene, stage, number)
    return _job_ended(scene, stage, number)


def _kubeflow_ended(scene: Scene, stage: str, number: int) -> Verdict | None:
    run = scene.observed.pipelines.get(_run_id(scene, stage, number))
    if scene.observed.backend_error is not None or run is None:
        return None
    if run.state in pipeline_runs.ALIVE:
        return None
    if run.ended is not None and scene.moment.timestamp() - run.ended < RESULT_GRACE_S:
        return None
    own_pods = [pod for pod in scene.own("Pod", stage) if objects.attempt(pod) == number]
    if any(is_disrupted(pod) for pod in own_pods):
        return Verdict("RestartFree", Finding("Disrupted", f"stage {stage}: a pod was taken from its node"))
    failures = container_failures(own_pods)
    told = [text for text in (run.message, failures[0].sentence if failures else "") if text]
    said = f": {'; '.join(told)}" if told else ""
    words = {
        "Absent": ("PipelineGone", "its Kubeflow run was deleted"),
        "Lost": ("PipelineGone", "the workflow of its Kubeflow run is gone"),
        "Failed": ("PipelineFailed", "its Kubeflow run failed and no step said why"),
        "Succeeded": ("ResultMissing", "its Kubeflow run succeeded, but not all steps handed on a result"),
    }
    reason, sentence = words[run.state]
    return Verdict("Restart", Finding(reason, f"stage {stage}: {sentence}{said}"))


def _job_ended(scene: Scene, stage: str, number: int) -> Verdict | None:
    jobs = [job for job in scene.own("Job", stage) if objects.attempt(job) == number]
    ended = objects.ended_at(jobs[-1]) if jobs else None
    if ended is None or (scene.moment - ended).total_seconds() < RESULT_GRACE_S:
        return None
    own_pods = [pod for pod in scene.own("Pod", stage) if objects.attempt(pod) == number]
    failures = container_failures(own_pods)
    if failures and failures[0].exit_code == EXIT_USER:
        return Verdict("Fail", Finding("StepFailed", f"stage {stage}: {failures[0].sentence}"))
    if any(is_disrupted(pod) for pod in own_pods):
        return Verdict("RestartFree", Finding("Disrupted", f"stage {stage}: its pod was taken from its node"))
    said = failures[0].sentence if failures else f"Job {objects.name(jobs[-1])} ended"
    return Verdict(
        "Restart", Finding("ResultMissing", f"stage {stage}: {said}, and not all steps handed on a result")
    )


def _run_id(scene: Scene, stage: str, number: int) -> str:
    return names.pipeline_run_id(scene.uid, stage, number)


def _parameters(scene: Scene, stage: str, number: int) -> dict[str, Any]:
    """Return the parameters of a stage's pipeline; a Job's pod has the rest in its environment."""
    on_kubeflow = scene.backend == "KubeflowPipelines"
    place = arguments.Place(
        output=scene.run.spec.output.uri,
        work_dir=names.WORK_DIR,
        results_configmap=owned.results_configmap(scene, stage, number) if on_kubeflow else "",
        storage_secret=scene.observed.settings.storage_secret if on_kubeflow else "",
    )
    if stage == names.STAGE_DATA:
        return arguments.data_parameters(scene.run, place)
    return arguments.model_parameters(scene.run, place, step_table.results(scene.steps))


def _furniture(scene: Scene, stage: str, number: int) -> tuple[Object, ...]:
    """Return what an attempt needs besides its job: results, the right to write them, parameters."""
    results_name = names.stage_child(scene.name, stage, number)
    role, binding = owned.access(scene, [results_name], scene.pipelines_namespace)
    own = owned.labels(scene, names.ROLE_ARGUMENTS, stage, number)
    text = json.dumps(_parameters(scene, stage, number), sort_keys=True)
    parameters = owned.config_map(
        scene, names.arguments_name(scene.name, stage, number), own, {owned.PARAMETERS_FILE: text}
    )
    return (owned.results(scene, stage, number), role, binding, parameters)


def _job(scene: Scene, stage: str, number: int) -> Object:
    own = owned.labels(scene, names.ROLE_PIPELINE, stage, number)
    file = f"{pods.SETTINGS_FOLDER}/{owned.PARAMETERS_FILE}"
    wish = pods.PodWish(
        stage=stage,
        attempt=number,
        labels=own,
        container=pods.PIPELINE_CONTAINER,
        image=scene.images.pipelines,
        command=(
            *("python", "-m", "daybreak_pipelines", "job"),
            *("--pipeline", PIPELINES[stage], "--parameters", file),
        ),
        arguments=names.arguments_name(scene.name, stage, number),
        env=[*pods.tracking_env(scene), *executors.environment(scene, stage, number)],
        scratch=executors.scratch(scene, stage),
    )
    name = names.stage_child(scene.name, stage, number)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": owned.metadata(scene, name, {**own, **owned.queue_labels(scene)}),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": pods.template(scene, wish),
        },
    }
