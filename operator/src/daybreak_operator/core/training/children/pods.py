"""The pods of a run: what is the same for a pipeline's pod and a training pod, under restricted pod security.

Owns the pod template; placement and GPUs are added by the training stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daybreak_contracts import names, result_reporter
from daybreak_operator.core.plan import Json
from daybreak_operator.core.pod_shape.defaults import shaped
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.settings import image_pull_secrets

USER = 10001
"""As in every image of ours; said here too, because an admission check reads it from the pod."""
SETTINGS_FOLDER = "/etc/daybreak"
CONTAINER = "pytorch"
"""The training operator finds a PyTorchJob's container by this name (kubeflow/trainer 1.9, DefaultContainerName)."""
PIPELINE_CONTAINER = "pipeline"


KEPT_ON_THEIR_NODES = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
"""What Karpenter and the cluster autoscaler leave alone when they tidy nodes up: hours of work would be moved to save
minutes of a machine. A run's ``podTemplate`` may say otherwise."""


@dataclass(frozen=True)
class PodRequest:
    """What differs from pod to pod."""

    stage: str
    attempt: int
    labels: Mapping[str, str]
    container: str
    image: str
    command: Sequence[str]
    arguments: str
    """Name of the ConfigMap with the arguments."""
    env: Sequence[Mapping[str, Json]] = ()
    volumes: Sequence[Mapping[str, Json]] = ()
    mounts: Sequence[Mapping[str, Json]] = ()
    ports: Sequence[Mapping[str, Json]] = ()
    resources: Mapping[str, Json] = field(default_factory=dict)
    affinity: Mapping[str, Json] = field(default_factory=dict)
    scratch: Mapping[str, Json] = field(default_factory=lambda: {"emptyDir": {}})
    """The volume that steps work on."""
    grace_s: int | None = None
    """From SIGTERM to SIGKILL; None is Kubernetes' own."""


def template(context: RunContext, wish: PodRequest) -> dict[str, Json]:
    """Return a pod template, with the run's own patch laid over it."""
    spec: dict[str, Json] = {
        "serviceAccountName": context.observed.settings.pipeline_service_account,
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        **image_pull_secrets(context.observed.settings),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(context, wish)],
        "volumes": [
            {"name": "settings", "configMap": {"name": wish.arguments}},
            {"name": "scratch", **wish.scratch},
            *wish.volumes,
        ],
    }
    if wish.grace_s is not None:
        spec["terminationGracePeriodSeconds"] = wish.grace_s
    if wish.affinity:
        spec["affinity"] = dict(wish.affinity)
    metadata = {"labels": dict(wish.labels), "annotations": dict(KEPT_ON_THEIR_NODES)}
    pod: dict[str, Json] = {"metadata": metadata, "spec": spec}
    return shaped(pod, context.observed.settings.pod_defaults, context.run.spec.training.pod_template)


def _container(context: RunContext, wish: PodRequest) -> dict[str, Json]:
    secret = context.observed.settings.storage_secret
    container: dict[str, Json] = {
        "name": wish.container,
        "image": wish.image,
        "command": list(wish.command),
        "env": [
            {
                "name": result_reporter.RESULTS_CONFIGMAP,
                "value": owned.results_configmap(context, wish.stage, wish.attempt),
            },
            {"name": "HOME", "value": names.WORK_DIR},
            {"name": "TMPDIR", "value": names.WORK_DIR},
            *wish.env,
        ],
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": names.WORK_DIR},
            *wish.mounts,
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    if wish.ports:
        container["ports"] = list(wish.ports)
    if wish.resources:
        container["resources"] = dict(wish.resources)
    return container


def tracking_env(context: RunContext) -> list[dict[str, Json]]:
    """Return what Weights & Biases reads its key from; a key that is not there makes it log offline."""
    secret = context.run.spec.tracking.wandb.secret_ref
    if not secret:
        return []
    source: dict[str, Json] = {"secretKeyRef": {"name": secret, "key": "apiKey", "optional": True}}
    return [{"name": "WANDB_API_KEY", "valueFrom": source}]
