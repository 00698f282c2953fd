"""The TrainJob of one attempt (``trainer.kubeflow.org/v1alpha1``, Kubeflow Trainer 2) and the runtime that it names.

Owns their shape. Everything about the pods stands in the TrainingRuntime, which is the attempt's own and in the run's
namespace; the TrainJob says how many. Trainer makes a JobSet with one Indexed Job of it and sets ``PET_*`` itself. As
with our own Job the controller makes no pod a second time.

Trainer reads the runtime from a cache of its own. One that all attempts shared could be read there as the attempt
before had left it, and pods would train with that one's arguments (0105); and a TrainJob whose runtime is not there yet
is refused. So each attempt has a new one, which is made a pass before its job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import ObservedObject
from daybreak_operator.core.plan import Json, Object, Ref
from daybreak_operator.core.training.children import gang, owned, pods
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget

API_GROUP = "trainer.kubeflow.org"
API_VERSION = f"{API_GROUP}/v1alpha1"
RUNTIME = "TrainingRuntime"
NODE = "node"
"""What Trainer calls the replicated job and the container that train; ``PET_*`` go into no other."""
ANCESTOR = {f"{API_GROUP}/trainjob-ancestor-step": "trainer"}
"""Label by which Trainer finds them."""


def train_job(context: RunContext, number: int, place: PlacementTarget) -> tuple[Object, ...]:
    """Return the runtime of an attempt, and once that is there its job; both have one name."""
    nodes = context.run.spec.training.nodes
    name = names.train_job(context.name, number, nodes)
    runtime = _runtime(context, number, name, gang.pod_template(context, number, place))
    if not any(item.name == name for item in _runtimes(context)):
        return (runtime,)
    job = {
        "apiVersion": API_VERSION,
        "kind": "TrainJob",
        "metadata": gang.job_metadata(context, number, place, name),
        "spec": {
            "runtimeRef": {"apiGroup": API_GROUP, "kind": RUNTIME, "name": name},
            "trainer": {"numNodes": nodes, "numProcPerNode": gang.processes_per_node(context)},
        },
    }
    return runtime, job


def old_runtimes(context: RunContext, number: int) -> tuple[Ref, ...]:
    """Return the runtimes of other attempts: nothing reads them any more."""
    return tuple(item.ref for item in _runtimes(context) if item.attempt != number and not item.is_leaving)


def _runtimes(context: RunContext) -> list[ObservedObject]:
    own = [item for item in context.observed.children if item.kind == RUNTIME]
    return [item for item in own if item.label(names.LABEL_OWNER_UID) == context.uid]


def _runtime(context: RunContext, number: int, name: str, template: Mapping[str, Json]) -> Object:
    nodes = context.run.spec.training.nodes
    job = {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimitPerIndex": 0,
        "template": _named_for_trainer(template),
    }
    own = owned.labels(context, names.ROLE_TRAINING, names.STAGE_TRAIN, number)
    replicated = {"name": NODE, "replicas": 1, "template": {"metadata": {"labels": ANCESTOR}, "spec": job}}
    return {
        "apiVersion": API_VERSION,
        "kind": RUNTIME,
        "metadata": owned.metadata(context, name, own),
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
