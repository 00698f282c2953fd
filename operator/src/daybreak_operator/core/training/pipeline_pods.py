"""What a run's pods on Kubeflow get besides what their pipeline was compiled with.

Owns the fields of kfp-kubernetes' ``KubernetesExecutorConfig`` that are chosen when a run is submitted; who puts them
into the package is ``shell.kubeflow_package``.

Source of the fields: kubernetes_executor_config.proto of kubeflow/pipelines 2.17, and its driver, which reads them.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.plan import PipelinePods
from daybreak_operator.core.training import children
from daybreak_operator.core.training.scene import Scene


def pods_of(scene: Scene, stage: str, number: int) -> PipelinePods:
    """Return what the pods of an attempt get: labels by which the operator's own watch finds them."""
    labels = children.labels(scene, names.ROLE_PIPELINE, stage, number)
    return PipelinePods(platform={"podMetadata": {"labels": labels}})
