"""What an installation decides once: images, back end, service accounts; from the environment the chart sets.

Owns no default that a manifest could also give; a run's own field always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daybreak_contracts import names
from daybreak_contracts.errors import UserError

Backend = Literal["KubeflowPipelines", "Job"]


@dataclass(frozen=True)
class Images:
    """One image per component, by digest in a real installation."""

    data: str = "daybreak/data"
    train: str = "daybreak/train"
    evaluate: str = "daybreak/evaluate"
    serve: str = "daybreak/serve"
    pipelines: str = "daybreak/pipelines"


@dataclass(frozen=True)
class Settings:
    """An installation's choices."""

    images: Images = field(default_factory=Images)
    backend: Backend = "Job"
    """How pipelines run, unless the run says otherwise by the annotation ``names.ANNOTATION_BACKEND``."""
    kubeflow_url: str = ""
    """Address of the KFP API; needed by ``KubeflowPipelines``."""
    kubeflow_namespace: str = ""
    """Where Kubeflow runs the pods of all pipelines (its own namespace, as without profiles); empty: in the run's, as
    Kubeflow does with profiles (multi-user)."""
    kubeflow_experiment: str = "daybreak"
    pipeline_service_account: str = "daybreak-pipeline"
    """Of pipeline, training and serving pods: what object storage by workload identity is bound to."""
    storage_secret: str = ""
    """Secret, in each namespace that pods run in, whose keys become environment of all that reach object storage."""
    shared_claim: str = ""
    """PersistentVolumeClaim, in the run's namespace, that Spark's driver and executors write to at once; for runs with
    ``data.executors.count`` above 0."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets with registry credentials, in each namespace that pods run in; every pod's own account may have more."""
    cluster_domain: str = "cluster.local"
    namespace: str = "daybreak"
    """The operator's own namespace: its Lease lies there."""
    watch_namespaces: tuple[str, ...] = ()
    """Empty: all."""


def image_pull_secrets(settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return the field of a pod's spec that lets its node fetch images; none where no credentials are needed."""
    if not settings.pull_secrets:
        return {}
    return {"imagePullSecrets": [{"name": name} for name in settings.pull_secrets]}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings that ``DAYBREAK_*`` variables give; a wrong value is a UserError that names it."""
    default, images = Settings(), Images()
    backend = environment.get("DAYBREAK_BACKEND", default.backend)
    if backend not in ("KubeflowPipelines", "Job"):
        raise UserError(f"DAYBREAK_BACKEND must be KubeflowPipelines or Job, got {backend!r}")
    url = environment.get("DAYBREAK_KUBEFLOW_URL", default.kubeflow_url)
    if backend == "KubeflowPipelines" and not url:
        raise UserError("DAYBREAK_KUBEFLOW_URL must be set when DAYBREAK_BACKEND is KubeflowPipelines")
    return Settings(
        images=Images(
            **{
                name: environment.get(f"DAYBREAK_IMAGE_{name.upper()}", getattr(images, name))
                for name in ("data", "train", "evaluate", "serve", "pipelines")
            }
        ),
        backend="Job" if backend == "Job" else "KubeflowPipelines",
        kubeflow_url=url,
        kubeflow_namespace=environment.get("DAYBREAK_KUBEFLOW_NAMESPACE", default.kubeflow_namespace),
        kubeflow_experiment=environment.get("DAYBREAK_KUBEFLOW_EXPERIMENT", default.kubeflow_experiment),
        pipeline_service_account=environment.get(
            "DAYBREAK_SERVICE_ACCOUNT", default.pipeline_service_account
        ),
        storage_secret=environment.get("DAYBREAK_STORAGE_SECRET", default.storage_secret),
        shared_claim=environment.get(names.ENV_SHARED_CLAIM, default.shared_claim),
        pull_secrets=tuple(filter(None, environment.get(names.ENV_PULL_SECRETS, "").split(","))),
        cluster_domain=environment.get("DAYBREAK_CLUSTER_DOMAIN", default.cluster_domain),
        namespace=environment.get("DAYBREAK_NAMESPACE", default.namespace),
        watch_namespaces=tuple(filter(None, environment.get("DAYBREAK_WATCH_NAMESPACES", "").split(","))),
    )
