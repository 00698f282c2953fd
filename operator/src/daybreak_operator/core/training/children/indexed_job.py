"""The Indexed Job of one attempt (``batch/v1``) and the headless Service by which its pods find the first: no Kubeflow.

Owns their shape. Restarts are ours, of all pods at once: ``backoffLimitPerIndex: 0`` lets the Job controller make no
pod a second time. ``backoffLimit: 0`` would do so too, but then the first pod that fails has the controller stop the
others, and what they say of their own end would be told from a deletion by hand no more.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.pod_shape.patch import merge
from daybreak_operator.core.training.children import gang, owned
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget

API_VERSION = "batch/v1"
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
"""Where the Job controller says which pod of the Job this is; Kubeflow Trainer's torch plugin reads the same."""


def service(context: RunContext) -> Object:
    """Return the Service that gives the pods of all attempts their names: a name holds the attempt's number."""
    selector = {names.LABEL_OWNER_UID: context.uid, names.LABEL_STAGE: names.STAGE_TRAIN}
    own = owned.labels(context, names.ROLE_TRAINING)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned.metadata(context, names.training_service(context.name), own),
        "spec": {
            "clusterIP": "None",
            "selector": selector,
            "ports": [{"name": "rendezvous", "port": names.PORT_RENDEZVOUS, "protocol": "TCP"}],
            # The others look for the first pod before it is ready.
            "publishNotReadyAddresses": True,
        },
    }


def indexed_job(context: RunContext, number: int, place: PlacementTarget) -> Object:
    """Return the job of an attempt: a pod for every node, numbered from 0."""
    nodes = context.run.spec.training.nodes
    pod = gang.pod_template(context, number, place, _rendezvous(context, number))
    template = merge(pod, {"spec": {"subdomain": names.training_service(context.name)}})
    return {
        "apiVersion": API_VERSION,
        "kind": "Job",
        "metadata": gang.job_metadata(context, number, place),
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimitPerIndex": 0,
            "template": template,
        },
    }


def _rendezvous(context: RunContext, number: int) -> list[dict[str, Json]]:
    """Return what torchrun reads: the same words that the training operator and Kubeflow Trainer set."""
    first = f"{gang.job_name(context, number)}-0.{names.training_service(context.name)}"
    said = {
        "PET_NNODES": str(context.run.spec.training.nodes),
        "PET_NPROC_PER_NODE": str(gang.processes_per_node(context)),
        "PET_MASTER_ADDR": first,
        "PET_MASTER_PORT": str(names.PORT_RENDEZVOUS),
    }
    known: list[dict[str, Json]] = [{"name": name, "value": value} for name, value in said.items()]
    return [*known, {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX}}}]
