"""Which model answers whom: the small document between operator and gateways, and the rule that reads it. Pure.

The operator writes it into a ModelDeployment's ``status.routing.document``; every gateway watches it. Users are
split by a hash, so gateways agree without speaking to each other and nobody flips back while the ramp grows.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from daybreak_contracts.resources.deployment import Gateway

NUM_BUCKETS = 10_000
"""Hundredths of a percent, as GrowthBook's hash version 2 has them."""

START_GOES_ON_S = 900
"""How long a start goes on for which no machine was found yet, though nobody asks any more: cluster-autoscaler's
max-node-provision-time. A start given up sooner never ends where clients are less patient than the cloud. Gateways
remember as long that they asked for it."""


class Routing(BaseModel):
    """Who gets which model. ``weight`` and ``shadow_percent`` are percent of users and of requests."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    version: Annotated[int, Field(ge=0)]
    """Rises with every change; a gateway never goes back to a lower one."""
    salt: str
    staff_groups: tuple[str, ...] = ()
    stable: str | None = None
    """Digest of the model that everyone gets; None before the first model serves."""
    candidate: str | None = None
    """Digest of the model that is rolled out, whether or not anyone gets it yet."""
    staff: bool = False
    """Whether staff get the candidate."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    shadow_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the stable model's requests that the candidate also sees, without anyone seeing its answer."""
    hold_ms: int = Gateway().hold_ms
    max_new_tokens: int = Gateway().max_new_tokens
    wake_seconds: Annotated[int, Field(ge=0)] = 0
    """How long a request may wait for the stable model's first engine, which it wakes; 0: engines always run."""
    cold_start_seconds: Annotated[int, Field(ge=0)] = 0
    """What such an engine last took to come up; 0: not known."""


def bucket_of(salt: str, user: str) -> int:
    """Return the user's bucket, 0 to 9,999: 32-bit FNV-1a twice over, as GrowthBook's hash version 2."""
    return fnv1a32(str(fnv1a32(salt + user))) % NUM_BUCKETS


def fnv1a32(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-8 bytes (Fowler, Noll, Vo)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def choose(routing: Routing, user: str, groups: Collection[str]) -> str | None:
    """Return the digest of the model that answers this user; None when none serves yet."""
    if routing.candidate is None:
        return routing.stable
    if routing.staff and not set(groups).isdisjoint(routing.staff_groups):
        return routing.candidate
    if bucket_of(routing.salt, user) < routing.weight * NUM_BUCKETS // 100:
        return routing.candidate
    return routing.stable
