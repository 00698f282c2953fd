"""Other ModelDeployments as far as they concern this one: which of them take up another image, or wait to.

Owns what is read of them; each version of one is read once.
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_operator.core import status_codec
from daybreak_operator.core.conditions import find
from daybreak_operator.core.parts import Stored, part
from daybreak_operator.core.plan import Object

WAITS = "WaitsForItsTurn"
"""Reason of RolloutHealthy while a deployment wants the installation's new image, and others come first."""
STANDS_STILL = ("Paused", "RolledBack", "Starved")
"""Stages that may last until somebody acts: the others do not wait for that."""


@dataclass(frozen=True)
class PeerDeployment:
    """A deployment that takes up another runtime for the model that it has, or waits to."""

    called: str
    """Its namespace and name."""
    upgrades: bool
    """It is at it, by itself; else it waits."""


def peer_of(deployment: Object) -> PeerDeployment | None:
    """Return a deployment as others see it; None of one that none waits for."""
    metadata, status = part(deployment, "metadata"), part(deployment, "status")
    if metadata.get("deletionTimestamp"):
        return None
    called = f"{metadata.get('namespace')}/{metadata.get('name')}"
    if _upgrades(part(deployment, "spec"), status):
        return PeerDeployment(called, upgrades=True)
    held = find(status_codec.conditions(status), "RolloutHealthy") or {}
    return PeerDeployment(called, upgrades=False) if held.get("reason") == WAITS else None


def _upgrades(spec: Stored, status: Stored) -> bool:
    stable, candidate = part(status, "stable"), part(status, "candidate")
    if not stable.get("digest") or stable.get("digest") != candidate.get("digest"):
        return False
    if stable.get("revision") == candidate.get("revision"):
        return False
    if status.get("asleepSince"):
        return False
    # Without the switch somebody else decides when it goes on.
    return candidate.get("stage") not in STANDS_STILL and part(spec, "rollout").get("everyone") is True
