"""Kubeflow Trainer's two kinds as an API server is told of them: its schema of what we write, in our own words.

Source: the types of kubeflow/trainer at 8c0f505 (v1alpha1; manifests/base/crds there). What stands below a pod template
is left open here: that the API server takes the same pods is shown by the Indexed Job. For where Trainer itself was
never built (`managers.py`).
"""

from __future__ import annotations

from typing import Any

from tests.cluster.reach import definition_of

GROUP = "trainer.kubeflow.org"
VERSION = "v1alpha1"
OPEN: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
IMMUTABLE = [{"rule": "self == oldSelf", "message": "field is immutable"}]
NUMBER: dict[str, Any] = {"type": "integer", "format": "int32"}
TEXT: dict[str, Any] = {"type": "string", "maxLength": 253}


def _of(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
        **more,
    }


REFERENCE = _of(
    {
        "apiGroup": {**TEXT, "default": GROUP},
        "kind": {**TEXT, "default": "ClusterTrainingRuntime"},
        "name": {**TEXT, "minLength": 1},
    },
    "name",
    **{"x-kubernetes-validations": IMMUTABLE},
)
TRAINER = _of(
    {"numNodes": {**NUMBER, "minimum": 0}, "numProcPerNode": {**NUMBER, "minimum": 1}},
    **{"x-kubernetes-validations": IMMUTABLE},
)
MANAGED_BY = {"type": "string", "default": f"{GROUP}/trainjob-controller"}
TRAIN_JOB = _of(
    {
        "runtimeRef": REFERENCE,
        "trainer": TRAINER,
        "suspend": {"type": "boolean", "default": False},
        "managedBy": MANAGED_BY,
    },
    "runtimeRef",
)
JOB = _of(
    {
        "completionMode": {"type": "string"},
        "completions": NUMBER,
        "parallelism": NUMBER,
        "backoffLimitPerIndex": NUMBER,
        "template": OPEN,
    },
    "template",
)
REPLICATED = _of(
    {
        "name": {"type": "string"},
        "replicas": {**NUMBER, "default": 1},
        "template": _of({"metadata": OPEN, "spec": JOB}),
    },
    *("name", "template"),
)
JOB_SET = _of(
    {
        "replicatedJobs": {
            "type": "array",
            "items": REPLICATED,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        }
    }
)
RUNTIME = _of(
    {
        "mlPolicy": _of({"numNodes": NUMBER, "torch": _of({})}),
        "template": _of({"metadata": OPEN, "spec": JOB_SET}),
    }
)


def definitions() -> list[dict[str, Any]]:
    """Return both definitions."""
    status = {"status": OPEN}
    return [
        definition_of(GROUP, VERSION, "TrainJob", _of({"spec": TRAIN_JOB, **status}), {"status": {}}),
        definition_of(GROUP, VERSION, "TrainingRuntime", _of({"spec": RUNTIME}), {}),
    ]
