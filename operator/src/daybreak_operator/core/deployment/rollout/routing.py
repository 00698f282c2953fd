"""The document that tells gateways who gets which model, made from the state of a rollout.

Owns when its version rises. What a gateway does with it is ``contracts.routing``'s.
"""

from __future__ import annotations

from collections.abc import Iterable

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_contracts.routing import Routing
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.rollout.sleep import HOLD_S, may_sleep
from daybreak_operator.core.deployment.state import RolloutState

SHADOW_PERCENT = 10
"""Share of the stable model's requests that a model in stage Shadow sees too: the most that the serving design allows
(c6, "mirror <= 10 % after the answer is sent")."""


def route(
    state: RolloutState, spec: ModelDeploymentSpec, fleet: EngineFleet, snapshots: Iterable[GatewaySnapshot]
) -> Routing:
    """Return the document; its version rises exactly when something in it changes.

    Also above what a gateway has seen: a status that was lost must not make gateways deaf.
    """
    candidate = state.rolling
    sleeps = may_sleep(spec) and state.stable is not None
    warm = candidate is not None and fleet.ready(candidate.digest) > 0
    document = Routing(
        version=0,
        salt=spec.experiment.salt,
        staff_groups=spec.rollout.staff_groups,
        stable=state.stable.digest if state.stable is not None else None,
        candidate=candidate.digest if candidate is not None else None,
        staff=warm and spec.rollout.staff,
        weight=candidate.weight if candidate is not None and warm else 0,
        shadow_percent=SHADOW_PERCENT if candidate is not None and candidate.stage == "Shadow" else 0,
        hold_ms=spec.gateway.hold_ms,
        max_new_tokens=spec.gateway.max_new_tokens,
        wake_seconds=HOLD_S if sleeps else 0,
        cold_start_seconds=state.cold_start_s or 0 if sleeps else 0,
    )
    stored = state.routing
    if stored is not None and stored.model_copy(update={"version": 0}) == document:
        return stored
    seen = max((reading.routing_version for reading in snapshots), default=0)
    version = max(stored.version if stored is not None else 0, state.routed, seen) + 1
    return document.model_copy(update={"version": version})
