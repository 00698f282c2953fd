"""Object metadata and conditions: the part of Kubernetes' own types that our manifests carry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from daybreak_contracts.resources.fields import Resource, Text


class ObjectMeta(BaseModel):
    """Kubernetes checks its own metadata; we only need the name, the namespace and the maps."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            min_length=1,
            max_length=40,  # child names are built from it and must stay below 63
        ),
    ]
    namespace: str = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(Resource):
    """A Kubernetes condition (metav1.Condition)."""

    type: Annotated[str, StringConstraints(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, StringConstraints(max_length=1024)]
    message: Annotated[str, StringConstraints(max_length=32768)]
    observed_generation: int | None = None
    last_transition_time: Text
