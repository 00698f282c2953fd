"""Object metadata and conditions: the part of Kubernetes' own types that our manifests carry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from daybreak_contracts.resources.fields import OBJECT_NAME_PATTERN, Between, Name, Resource, Text

MAX_OBJECT_NAME = 40
"""Child names are built from it and must stay below 63."""


class ObjectMeta(BaseModel):
    """Kubernetes checks its own metadata; we only need the name, the namespace and the maps."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[
        str, StringConstraints(pattern=OBJECT_NAME_PATTERN, min_length=1, max_length=MAX_OBJECT_NAME)
    ]
    namespace: Name = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(Resource):
    """A Kubernetes condition (metav1.Condition)."""

    list_keys = ("type",)

    type: Annotated[str, StringConstraints(max_length=316)]
    """What it is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """One CamelCase word for programs."""
    message: Annotated[str, StringConstraints(max_length=32768)]
    """A sentence for people."""
    observed_generation: Annotated[int, Between(0)] | None = None
    """Generation of the spec that it is about."""
    last_transition_time: Text
    """When `status` last changed (RFC 3339)."""
