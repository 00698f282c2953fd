"""The PyTorchJob of one attempt (``kubeflow.org/v1``, training operator 1.9).

Owns its shape. Restarts are ours: ``restartPolicy: Never``, and no ``backoffLimit``, because past it the training
operator 1.9 removes pods, and with them what they say.
"""

from __future__ import annotations

from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.training.children import gang
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.placement import PlacementTarget

API_VERSION = "kubeflow.org/v1"


def pytorch_job(context: RunContext, number: int, place: PlacementTarget) -> Object:
    """Return the job of an attempt: a master, and a worker for every further node."""
    nodes = context.run.spec.training.nodes
    template = gang.pod_template(context, number, place)
    replicas = {"Master": _replicas(1, template)}
    if nodes > 1:
        replicas["Worker"] = _replicas(nodes - 1, template)
    return {
        "apiVersion": API_VERSION,
        "kind": "PyTorchJob",
        "metadata": gang.job_metadata(context, number, place),
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},
            "nprocPerNode": str(gang.processes_per_node(context)),
            "pytorchReplicaSpecs": replicas,
        },
    }


def _replicas(count: int, template: dict[str, Json]) -> dict[str, Json]:
    return {"replicas": count, "restartPolicy": "Never", "template": template}
