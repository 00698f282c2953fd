"""What a run's pods on Kubeflow get besides what their pipeline was compiled with.

Owns labels, the run's ``podTemplate`` and Spark's executors there, and the sentence for what Kubeflow cannot do; who
puts the fields into the package is ``shell.kubeflow_package``.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.plan import Finding, Json, PipelinePods
from daybreak_operator.core.pod_shape.defaults import for_others
from daybreak_operator.core.training.children import executors, owned, pods
from daybreak_operator.core.training.children.pod_translation import (
    CONTAINER,
    Translation,
    pull_secret,
    translated,
)
from daybreak_operator.core.training.context import RunContext

MAX_MESSAGE = 4000
EXECUTOR_STEPS = ("xray", "shards")
"""Steps that drive Spark executors: those whose arguments have ``executors``."""


def pods_of(context: RunContext, stage: str, number: int) -> tuple[PipelinePods, ...]:
    """Return what the pods of an attempt get; by the labels the operator's own watch finds them."""
    defaults, template = context.observed.settings.pod_defaults, context.run.spec.training.pod_template
    found = translated(for_others(defaults, template, CONTAINER))
    metadata = dict(found.platform.get("podMetadata") or {})
    own = owned.labels(context, names.ROLE_PIPELINE, stage, number) | owned.queue_labels(context)
    own |= owned.template_label(context)
    metadata["annotations"] = {**pods.KEPT_ON_THEIR_NODES, **metadata.get("annotations", {})}
    metadata["labels"] = {**metadata.get("labels", {}), **own}
    secrets = [
        *map(pull_secret, context.observed.settings.pull_secrets),
        *found.platform.get("imagePullSecret", ()),
    ]
    images = {"imagePullSecret": secrets} if secrets else {}
    every = PipelinePods({**found.platform, "podMetadata": metadata, **images}, found.container)
    drivers = _drivers(context, stage, number)
    return (every, drivers) if drivers is not None else (every,)


def cannot_be_on_kubeflow(context: RunContext) -> Finding | None:
    """A part of the run's ``podTemplate`` does not reach the pods that Kubeflow makes."""
    found = translated(context.run.spec.training.pod_template)
    said = [*_untold(found), *_elsewhere(context, found)]
    if not said:
        return None
    return Finding(
        "NotOnKubeflow",
        f"spec.training.podTemplate: {'; '.join(said)[:MAX_MESSAGE]}. Take it out, or let this run's pipelines be Jobs "
        f"by the annotation {names.ANNOTATION_BACKEND}: Job",
    )


def _untold(found: Translation) -> list[str]:
    if not found.refused:
        return []
    return [f"Kubeflow Pipelines has no way to give its pods {', '.join(dict.fromkeys(found.refused))}"]


def _elsewhere(context: RunContext, found: Translation) -> list[str]:
    """Tell what names an object of a namespace where the run's author need not have any rights."""
    if not found.neighbours or context.pipelines_namespace == context.namespace:
        return []
    named, place = ", ".join(dict.fromkeys(found.neighbours)), context.pipelines_namespace
    return [
        f"{named} would be looked for in {place}, where Kubeflow Pipelines runs the pods, not in {context.namespace}"
    ]


def _drivers(context: RunContext, stage: str, number: int) -> PipelinePods | None:
    """Return what a task that drives executors gets besides; None where the run has no executors."""
    fields = executors.pod_fields(context, stage)
    if not fields:
        return None
    platform: dict[str, Json] = {
        "fieldPathAsEnv": [{"name": name, "fieldPath": path} for name, path in fields.items()]
    }
    claim = context.observed.settings.shared_claim
    if claim:
        name: dict[str, Json] = {"constant": claim, "pvcNameParameter": {"runtimeValue": {"constant": claim}}}
        platform["pvcMount"] = [{**name, "mountPath": names.WORK_DIR}]
    values = executors.settings_of(context, stage, number)
    container: dict[str, Json] = {"env": [{"name": name, "value": value} for name, value in values.items()]}
    return PipelinePods(platform, container, EXECUTOR_STEPS)
