"""What an installation decides once: images, back end, service accounts; from the environment the chart sets.

Owns no default that a manifest could also give; a run's own field always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_operator.node_labels import NodeLabels
from daybreak_operator.pod_defaults import PodDefaults

Backend = Literal["KubeflowPipelines", "Job"]
PREFIX = "DAYBREAK_"


def _split(value: Any) -> Any:
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names with commas between them."""


class Images(BaseModel):
    """One image per component, by digest in a real installation."""

    model_config = ConfigDict(frozen=True)

    data: str = "daybreak/data"
    train: str = "daybreak/train"
    evaluate: str = "daybreak/evaluate"
    serve: str = "daybreak/serve"
    vllm: str = "daybreak/vllm"
    pipelines: str = "daybreak/pipelines"


class Settings(BaseSettings):
    """An installation's choices; made by itself it holds the defaults, whatever the environment says."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix=PREFIX, env_nested_delimiter="_", extra="ignore", populate_by_name=True
    )

    images: Images = Field(default_factory=Images, validation_alias=f"{PREFIX}IMAGE")
    backend: Backend = "Job"
    """How pipelines run, unless the run says otherwise by the annotation ``names.ANNOTATION_BACKEND``."""
    kubeflow_url: str = ""
    """Address of the KFP API; needed by ``KubeflowPipelines``."""
    kubeflow_namespace: str = ""
    """Where Kubeflow runs the pods of all pipelines (its own namespace, as without profiles); empty: in the run's, as
    Kubeflow does with profiles (multi-user)."""
    kubeflow_experiment: str = "daybreak"
    pipeline_service_account: str = Field("daybreak-pipeline", validation_alias=f"{PREFIX}SERVICE_ACCOUNT")
    """Of pipeline, training and serving pods: what object storage by workload identity is bound to."""
    storage_secret: str = ""
    """Secret, in each namespace that pods run in, whose keys become environment of all that reach object storage."""
    shared_claim: str = Field("", validation_alias=names.ENV_SHARED_CLAIM)
    """PersistentVolumeClaim, in the run's namespace, that Spark's driver and executors write to at once; for runs with
    ``data.executors.count`` above 0."""
    pull_secrets: Names = Field((), validation_alias=names.ENV_PULL_SECRETS)
    """Secrets with registry credentials, in each namespace that pods run in; every pod's own account may have more."""
    gateway_clients: Names = ()
    """Namespaces whose pods may reach gateways' completions, such as an ingress's; empty: gateways have no policy."""
    cluster_domain: str = "cluster.local"
    namespace: str = "daybreak"
    """The operator's own namespace: its Lease lies there."""
    watch_namespaces: Names = ()
    """Empty: all."""
    cluster_scope: bool = True
    """Whether the operator may see what belongs to no namespace (nodes)."""
    pod_defaults: PodDefaults = Field(default_factory=PodDefaults)
    """As JSON: what all pods that are made for runs and deployments share."""
    node_labels: NodeLabels = Field(default_factory=NodeLabels)
    """As JSON: what nodes are told apart by."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read no environment that was not given."""
        return (init_settings,)


class GivenEnvironment(EnvSettingsSource):
    """The variables that a caller gives, in place of the process's own."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self._given.items()}


DEFAULTS = Settings()


def image_pull_secrets(settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return the field of a pod's spec that lets its node fetch images; none where no credentials are needed."""
    if not settings.pull_secrets:
        return {}
    return {"imagePullSecrets": [{"name": name} for name in settings.pull_secrets]}


def _wrong(error: ValidationError) -> str:
    first = error.errors()[0]
    variable, *below = first["loc"]
    where = f"{PREFIX}{str(variable).upper()}"
    if below:  # one of the values that are JSON
        return f"{where}: {'.'.join(map(str, below))}: {first['msg']}, got {first['input']!r}"
    plain = "true or false" if first["type"].startswith("bool") else "text"
    wanted = first.get("ctx", {}).get("expected", plain).replace("'", "")
    return f"{where} must be {wanted}, got {first['input']!r}"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings that ``DAYBREAK_*`` variables give; a wrong value is a UserError that names it."""
    try:
        settings = Settings(**GivenEnvironment(environment)())
    except SettingsError as error:
        raise UserError(f"a {PREFIX} variable that must be JSON is not: {error}") from error
    except ValidationError as error:
        raise UserError(_wrong(error)) from error
    if settings.backend == "KubeflowPipelines" and not settings.kubeflow_url:
        raise UserError("DAYBREAK_KUBEFLOW_URL must be set when DAYBREAK_BACKEND is KubeflowPipelines")
    if not (settings.cluster_scope or settings.watch_namespaces):
        raise UserError(
            "DAYBREAK_WATCH_NAMESPACES must name namespaces when DAYBREAK_CLUSTER_SCOPE is false: "
            "without rights in the whole cluster no others can be watched"
        )
    return settings
