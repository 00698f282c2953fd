"""What conditions speak of: the state after a pass and what was seen in it."""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout.sizing import Sizing
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.plan import Finding


@dataclass(frozen=True)
class View:
    """All that rules are given."""

    observed: DeploymentObservation
    spec: ModelDeploymentSpec
    state: RolloutState
    fleet: EngineFleet
    sizing: Sizing
    target: TargetModel | AwaitedModel
    turn: Finding | None = None
    """For whom it waits before it takes up the installation's image."""
