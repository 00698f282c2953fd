"""The TrainJob of one attempt (``trainer.kubeflow.org/v1alpha1``, Kubeflow Trainer 2) and the runtime that it names.

Owns their shape. Everything about the pods stands in the TrainingRuntime, which is the run's own and in its namespace;
the TrainJob says how many. Trainer makes a JobSet with one Indexed Job of it and sets ``PET_*`` itself. As with our own
Job the controller makes no pod a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.training.children import gang, owned, pods
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget

API_GROUP = "trainer.kubeflow.org"
API_VERSION = f"{API_GROUP}/v1alpha1"
NODE = "node"
"""What Trainer calls the replicated job and the container that train; ``PET_*`` go into no other."""
ANCESTOR = {f"{API_GROUP}/trainjob-ancestor-step": "trainer"}
"""Label by which Trainer finds them."""


def train_job(context: RunContext, number: int, place: PlacementTarget) -> tuple[Object, Object]:
    """Return the runtime and the job of an attempt."""
    nodes = context.run.spec.training.nodes
    runtime = names.training_service(context.name)
    job = {
        "apiVersion": API_VERSION,
        "kind": "TrainJob",
        "metadata": gang.job_metadata(context, number, place),
        "spec": {
            "runtimeRef": {"apiGroup": API_GROUP, "kind": "TrainingRuntime", "name": runtime},
            "trainer": {"numNodes": nodes, "numProcPerNode": gang.processes_per_node(context)},
        },
    }
    return _runtime(context, runtime, gang.pod_template(context, number, place)), job


def _runtime(context: RunContext, name: str, template: Mapping[str, Json]) -> Object:
    """Return the runtime, one a run: each attempt puts its own pods into it before its job is made."""
    nodes = context.run.spec.training.nodes
    job = {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimitPerIndex": 0,
        "template": _named_for_trainer(template),
    }
    replicated = {"name": NODE, "replicas": 1, "template": {"metadata": {"labels": ANCESTOR}, "spec": job}}
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRuntime",
        "metadata": owned.metadata(context, name, owned.labels(context, names.ROLE_TRAINING)),
        "spec": {
            "mlPolicy": {"numNodes": nodes, "torch": {}},
            "template": {"spec": {"replicatedJobs": [replicated]}},
        },
    }


def _named_for_trainer(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template with training's container under Trainer's name; a ``podTemplate`` says ours."""
    spec = template["spec"]
    containers = [
        {**item, "name": NODE} if item["name"] == pods.CONTAINER else item for item in spec["containers"]
    ]
    return {**template, "spec": {**spec, "containers": containers}}
