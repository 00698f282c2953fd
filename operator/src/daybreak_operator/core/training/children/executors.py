"""What the pod of a data stage is told when Spark's executors shall work beside it, and the volume they share.

Owns the environment that ``daybreak_data.spark.kubernetes`` reads; the rights to make pods are the service account's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_operator.core.plan import Json
from daybreak_operator.core.pod_shape.defaults import shaped
from daybreak_operator.core.training.children import owned, pods
from daybreak_operator.core.training.context import RunContext


def environment(context: RunContext, stage: str, attempt: int) -> list[dict[str, Json]]:
    """Return the variables for executors; none where the run wants none."""
    fields, values = pod_fields(context, stage), settings_of(context, stage, attempt)
    known: list[dict[str, Json]] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()
    ]
    return known + [{"name": name, "value": value} for name, value in values.items()]


def pod_fields(context: RunContext, stage: str) -> dict[str, str]:
    """Return the variables that the pod's own fields fill, by name; none where the run wants no executors."""
    if not _wanted(context, stage):
        return {}
    return {
        names.ENV_POD_NAME: "metadata.name",
        names.ENV_POD_NAMESPACE: "metadata.namespace",
        names.ENV_POD_IP: "status.podIP",
    }


def settings_of(context: RunContext, stage: str, attempt: int) -> dict[str, str]:
    """Return the variables with values, by name; none where the run wants no executors."""
    if not _wanted(context, stage):
        return {}
    settings = context.observed.settings
    labels = owned.labels(context, names.ROLE_EXECUTOR, stage, attempt)
    return {
        names.ENV_POD_ACCOUNT: owned.account(context),
        names.ENV_EXECUTOR_IMAGE: context.images.data,
        names.ENV_EXECUTOR_LABELS: ",".join(f"{name}={value}" for name, value in labels.items()),
        names.ENV_EXECUTOR_POD: json.dumps(_pod(context), sort_keys=True),
        names.ENV_SHARED_CLAIM: settings.shared_claim,
        names.ENV_PULL_SECRETS: ",".join(settings.pull_secrets),
    }


def scratch(context: RunContext, stage: str) -> Mapping[str, Json]:
    """Return the volume that the steps work on: one that executors can mount too, where there are any."""
    claim = context.observed.settings.shared_claim
    if not claim or not _wanted(context, stage):
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": claim}}


def _pod(context: RunContext) -> dict[str, Json]:
    """Return what the installation's defaults and the run's ``podTemplate`` make of an executor's pod.

    Spark adds what it asks of processor and memory by itself, in the place of what is said here.
    """
    container = {"name": names.CONTAINER_EXECUTOR, "image": context.images.data}
    labels, annotations = owned.queue_marks_of_an_executor(context)
    pod: dict[str, Json] = {
        "metadata": {"labels": labels, "annotations": {**pods.KEPT_ON_THEIR_NODES, **annotations}},
        "spec": {"containers": [container]},
    }
    return shaped(pod, context.observed.settings.pod_defaults, context.run.spec.training.pod_template)


def _wanted(context: RunContext, stage: str) -> bool:
    return stage == names.STAGE_DATA and context.run.spec.data.executors.count > 0
