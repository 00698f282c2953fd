"""What the pod of a data stage is told when Spark's executors shall work beside it, and the volume they share.

Owns the environment that ``daybreak_data.spark.kubernetes`` reads; the rights to make pods are the service account's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.context import RunContext


def environment(context: RunContext, stage: str, attempt: int) -> list[dict[str, Any]]:
    """Return the variables for executors; none where the run wants none."""
    if not _wanted(context, stage):
        return []
    settings = context.observed.settings
    fields = {
        names.ENV_POD_NAME: "metadata.name",
        names.ENV_POD_NAMESPACE: "metadata.namespace",
        names.ENV_POD_IP: "status.podIP",
    }
    labels = owned.labels(context, names.ROLE_EXECUTOR, stage, attempt)
    values = {
        names.ENV_POD_ACCOUNT: owned.account(context),
        names.ENV_EXECUTOR_IMAGE: context.images.data,
        names.ENV_EXECUTOR_LABELS: ",".join(f"{name}={value}" for name, value in labels.items()),
        names.ENV_SHARED_CLAIM: settings.shared_claim,
        names.ENV_PULL_SECRETS: ",".join(settings.pull_secrets),
    }
    known = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    return known + [{"name": name, "value": value} for name, value in values.items()]


def scratch(context: RunContext, stage: str) -> Mapping[str, Any]:
    """Return the volume that the steps work on: one that executors can mount too, where there are any."""
    claim = context.observed.settings.shared_claim
    if not claim or not _wanted(context, stage):
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": claim}}


def _wanted(context: RunContext, stage: str) -> bool:
    return stage == names.STAGE_DATA and context.run.spec.data.executors.count > 0
