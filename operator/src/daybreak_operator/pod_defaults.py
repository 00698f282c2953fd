"""What all pods of an installation share, as its chart's ``pods`` says it.

Owns the fields, and how much each container asks for where nobody says it. How it gets into a pod is
``core.pod_shape``'s; an object's own ``podTemplate`` always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Shape(BaseModel):
    """Base of the parts: camelCase outside, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ContainerResources(Shape):
    """What a container asks for and what it may take."""

    requests: Mapping[str, str | int | float] = Field(default_factory=dict)
    limits: Mapping[str, str | int | float] = Field(default_factory=dict)


class TrustedCertificates(Shape):
    """A bundle of certificates, in a ConfigMap of each namespace that pods run in."""

    config_map: str = ""
    """Empty: what the images trust by themselves."""
    key: str = "ca.crt"


REQUESTS: Mapping[str, Mapping[str, str]] = {
    "pipeline": {"cpu": "250m", "memory": "1Gi"},
    "pytorch": {"cpu": "500m", "memory": "1Gi"},
    "fetch": {"cpu": "50m", "memory": "256Mi"},
    "engine": {"cpu": "250m", "memory": "1Gi"},
    "gateway": {"cpu": "50m", "memory": "128Mi"},
}
"""By container: what each needs to start and to work on small models. No limits: memory follows from the model."""


def _resources() -> dict[str, ContainerResources]:
    return {name: ContainerResources(requests=amounts) for name, amounts in REQUESTS.items()}


class PodDefaults(Shape):
    """Defaults of every pod that is made for a TrainingRun or a ModelDeployment."""

    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    env: tuple[Mapping[str, Any], ...] = ()
    """In every container, as in a pod."""
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    priority_class_name: str = ""
    runtime_class_name: str = ""
    resources: Mapping[str, ContainerResources] = Field(default_factory=_resources)
    """By container."""
    certificates: TrustedCertificates = TrustedCertificates()
    fixed_user_ids: bool = True
    """False leaves the ids of users and groups to the cluster, as OpenShift wants it."""
