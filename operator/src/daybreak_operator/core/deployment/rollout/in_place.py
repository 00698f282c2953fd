"""A rollout without a machine to spare: the candidate takes over the stable model's machines, one after the other.

Owns when that begins, how many replicas each of the two then has and which share of users so many can take. Either has
at most one replica less than its users need (of hundreds one percent), and both are no more than the spec names.
"""

from __future__ import annotations

import math
from dataclasses import replace

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.rollout.steps import next_weight
from daybreak_operator.core.deployment.state import CandidateModel, RolloutState

PATIENCE_S = 600
"""How long a machine to spare is waited for: an autoscaler takes minutes, and what one gives up the others bear."""


def settle(state: RolloutState, spec: ModelDeploymentSpec, fleet: EngineFleet) -> RolloutState:
    """Return the state in which the candidate takes machines over, if the time has come for that."""
    candidate, stable = state.rolling, state.stable
    if candidate is None or stable is None or candidate.in_place or state.asleep_since is not None:
        return state
    wanted = spec.replicas or 0
    waited = candidate.stage == "Starved" and fleet.at - candidate.since >= PATIENCE_S
    if (
        not (waited or spec.rollout.in_place)
        or wanted < 2
        or not spec.rollout.everyone
        or fleet.ready(stable.digest) < wanted
    ):
        return state
    return replace(state, candidate=replace(candidate, in_place=True))


def replicas_in_place(state: RolloutState, spec: ModelDeploymentSpec) -> int | None:
    """Return of how many replicas stable model and candidate are made up together; None where each has its own."""
    candidate = state.rolling
    if candidate is None or not candidate.in_place or state.stable is None or state.asleep_since is not None:
        return None
    return spec.replicas if spec.replicas and spec.replicas > 1 else None


def slack(together: int) -> int:
    """Return how many replicas the users of a model may miss: one, or as many as one percent of users fill."""
    return math.ceil(together / 100)


def stays(together: int, weight: int) -> int:
    """Return the replicas that the stable model keeps: a few less than its users need, but one for the way back.

    >>> [stays(4, weight) for weight in (0, 25, 50, 100)]
    [3, 2, 1, 1]
    """
    return max(1, math.ceil(together * (100 - weight) / 100) - slack(together))


def next_share(candidate: CandidateModel, spec: ModelDeploymentSpec, together: int, ready: int) -> int:
    """Return the next share of users in percent: that of the ramp, or what a little fewer than it needs can take."""
    ramp = next_weight(candidate, spec.rollout)
    bearable = min(100, 100 * (ready + slack(together)) // together)
    return min(ramp, bearable) if bearable > candidate.weight else ramp
