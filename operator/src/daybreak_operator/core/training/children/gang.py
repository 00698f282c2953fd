"""What a training's pods are, whatever kind of job makes them: their arguments, image, volumes, time to save, place.

Owns the pod of one attempt; ``pytorch_job``, ``indexed_job`` and ``train_job`` own how as many of it are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from daybreak_contracts import arguments, names
from daybreak_contracts.planning import plan, sharding, sizes
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.training import placement
from daybreak_operator.core.training.children import owned, pods
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget
from daybreak_operator.core.training.status import step_table

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


def job_name(context: RunContext, number: int) -> str:
    """Return the name of an attempt's job."""
    return names.stage_child(context.name, names.STAGE_TRAIN, number)


def pod_labels(context: RunContext, number: int, place: PlacementTarget) -> dict[str, str]:
    """Return the labels of an attempt's pods; its job has them too."""
    own = owned.labels(context, names.ROLE_TRAINING, names.STAGE_TRAIN, number)
    where = {names.LABEL_ZONE: place.zone, names.LABEL_MARKET: place.market}
    return own | {key: value for key, value in where.items() if value is not None}


def job_metadata(
    context: RunContext, number: int, place: PlacementTarget, name: str | None = None
) -> dict[str, Json]:
    """Return the metadata of an attempt's job: its pods' labels, and what a queue reads."""
    own = pod_labels(context, number, place) | owned.labels_of_job(context)
    return owned.metadata(context, name or job_name(context, number), own)


def pod_template(
    context: RunContext, number: int, place: PlacementTarget, env: Sequence[Mapping[str, Json]] = ()
) -> dict[str, Json]:
    """Return the template of an attempt's pods; ``env`` is what a launcher adds to their environment."""
    return pods.template(context, _wish(context, number, place, env))


def processes_per_node(context: RunContext) -> int:
    """Return how many processes each pod starts: one a GPU; on a CPU the pod decides."""
    return max(1, context.run.spec.training.gpus_per_node)


def _grace_s(context: RunContext) -> int:
    """Return the time that a checkpoint may take after SIGTERM: it follows from the size of the state."""
    spec = context.run.spec
    parameters = sizes.num_parameters(
        sizes.dimensions_of(spec.wanted_model()), plan.vocabulary_of(spec.tokenizer)
    )
    processes = plan.asked_hardware(spec.training).processes
    sharded = sharding.is_sharded(parameters, processes, None)
    return sharding.shutdown_seconds(parameters, processes, sharded)


def _wish(
    context: RunContext, number: int, place: PlacementTarget, env: Sequence[Mapping[str, Json]]
) -> pods.PodRequest:
    training = context.run.spec.training
    gpus = {names.RESOURCE_GPU: str(training.gpus_per_node)}
    together = {names.LABEL_OWNER_UID: context.uid, names.LABEL_STAGE: names.STAGE_TRAIN}
    return pods.PodRequest(
        stage=names.STAGE_TRAIN,
        attempt=number,
        labels=pod_labels(context, number, place),
        container=pods.CONTAINER,
        image=training.image or context.images.train,
        command=(
            *("python", "-m", "daybreak_train.pod"),
            *("--args-file", f"{pods.SETTINGS_FOLDER}/{owned.ARGUMENTS_FILE}"),
        ),
        arguments=names.arguments_name(context.name, names.STAGE_TRAIN, number),
        # No argument: a trainer's image of an earlier version refuses arguments that it does not know.
        env=[*pods.tracking_env(context), {"name": names.ENV_RUN_UID, "value": context.uid}, *env],
        # Data loaders and NCCL share memory; a container's own /dev/shm has 64 MB.
        volumes=[{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}],
        mounts=[{"name": "shared-memory", "mountPath": "/dev/shm"}],
        ports=[{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
        resources={"limits": gpus, "requests": gpus} if training.gpus_per_node else {},
        grace_s=_grace_s(context),
        affinity=placement.affinity(
            training.placement, place, together, training.nodes, context.observed.settings.node_labels
        ),
    )
