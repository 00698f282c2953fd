"""The PyTorchJob of one attempt (``kubeflow.org/v1``) and the arguments that its pods read.

Owns its shape. Restarts are ours: ``restartPolicy: Never``, and no ``backoffLimit``, because past it the training
operator 1.9 removes pods, and with them what they say.
"""

from __future__ import annotations

import json

from daybreak_contracts import arguments, names
from daybreak_contracts.planning import plan, sharding, sizes
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.training import placement
from daybreak_operator.core.training.children import owned, pods
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget
from daybreak_operator.core.training.status import step_table

API_VERSION = "kubeflow.org/v1"
PROGRESS_PORT = names.PORT_TRAINER
"""Rank 0 answers ``GET /progress`` here."""


def train_arguments(context: RunContext, number: int) -> Object:
    """Return the ConfigMap with the arguments of training."""
    place = arguments.RunSettings(output=context.run.spec.output.uri, work_dir=names.WORK_DIR)
    args = arguments.train_args(context.run, place, step_table.results(context.steps))
    text = json.dumps(args.model_dump(mode="json"), sort_keys=True)
    own = owned.labels(context, names.ROLE_ARGUMENTS, names.STAGE_TRAIN, number)
    name = names.arguments_name(context.name, names.STAGE_TRAIN, number)
    return owned.config_map(context, name, own, {owned.ARGUMENTS_FILE: text})


def pytorch_job(context: RunContext, number: int, place: PlacementTarget) -> Object:
    """Return the job of an attempt: a master, and a worker for every further node."""
    training = context.run.spec.training
    own = owned.labels(context, names.ROLE_TRAINING, names.STAGE_TRAIN, number)
    where = {names.LABEL_ZONE: place.zone, names.LABEL_MARKET: place.market}
    own |= {key: value for key, value in where.items() if value is not None}
    template = pods.template(context, _wish(context, number, place, own))
    replicas = {"Master": _replicas(1, template)}
    if training.nodes > 1:
        replicas["Worker"] = _replicas(training.nodes - 1, template)
    name = names.stage_child(context.name, names.STAGE_TRAIN, number)
    return {
        "apiVersion": API_VERSION,
        "kind": "PyTorchJob",
        "metadata": owned.metadata(context, name, own | owned.labels_of_job(context)),
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},
            "nprocPerNode": str(max(1, training.gpus_per_node)),
            "pytorchReplicaSpecs": replicas,
        },
    }


def _replicas(count: int, template: dict[str, Json]) -> dict[str, Json]:
    return {"replicas": count, "restartPolicy": "Never", "template": template}


def _grace_s(context: RunContext) -> int:
    """Return the time that a checkpoint may take after SIGTERM: it follows from the size of the state."""
    spec = context.run.spec
    parameters = sizes.num_parameters(
        sizes.dimensions_of(spec.wanted_model()), plan.vocabulary_of(spec.tokenizer)
    )
    processes = plan.asked_hardware(spec.training).processes
    sharded = sharding.is_sharded(parameters, processes, None)
    return sharding.shutdown_seconds(parameters, processes, sharded)


def _wish(context: RunContext, number: int, place: PlacementTarget, own: dict[str, str]) -> pods.PodRequest:
    training = context.run.spec.training
    gpus = {names.RESOURCE_GPU: str(training.gpus_per_node)}
    together = {names.LABEL_OWNER_UID: context.uid, names.LABEL_STAGE: names.STAGE_TRAIN}
    return pods.PodRequest(
        stage=names.STAGE_TRAIN,
        attempt=number,
        labels=own,
        container=pods.CONTAINER,
        image=training.image or context.images.train,
        command=(
            *("python", "-m", "daybreak_train.pod"),
            *("--args-file", f"{pods.SETTINGS_FOLDER}/{owned.ARGUMENTS_FILE}"),
        ),
        arguments=names.arguments_name(context.name, names.STAGE_TRAIN, number),
        env=pods.tracking_env(context),
        # Data loaders and NCCL share memory; a container's own /dev/shm has 64 MB.
        volumes=[{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}],
        mounts=[{"name": "shared-memory", "mountPath": "/dev/shm"}],
        ports=[{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
        resources={"limits": gpus, "requests": gpus} if training.gpus_per_node else {},
        grace_s=_grace_s(context),
        affinity=placement.affinity(training.placement, place, together, training.nodes),
    )
