"""Whether a deployment sleeps: it has no replica because nobody asks, and the next request wakes it.

Owns when it falls asleep and when it wakes. What gateways do not tell is unknown, and unknown is not idle: it keeps
what is awake awake, and wakes what sleeps. docs/decisions/0106-scale-to-zero.md says why it is so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.resources.deployment import ModelDeploymentSpec, Rollout
from daybreak_contracts.routing import START_GOES_ON_S
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout.cold_start import with_cold_start
from daybreak_operator.core.deployment.state import RolloutState, StableModel

HOLD_S = 50
"""How long a gateway holds a request for the first replica: less than the 60 s after which proxies give a silent
request up (nginx's proxy_read_timeout, the idle timeout of AWS's load balancers), so that who waits in vain gets our
503 that says when to come again, not their 504."""
UNREAD_S = 60
"""After this long, a gateway that is asked in vain may hold requests that nobody sees."""


@dataclass(frozen=True)
class Activity:
    """What gateways tell of who asks."""

    is_wanted: bool = False
    """Somebody asked lately, or waits for an answer."""
    is_complete: bool = False
    """Each gateway that there shall be tells."""
    is_hidden: bool = False
    """A gateway has been asked in vain for long."""


def activity_of(observed: DeploymentObservation, gateways: int, quiet_s: int) -> Activity:
    """Return who asks; ``quiet_s`` is how long ago the last request must be to count as nobody's."""
    told = observed.snapshots
    return Activity(
        is_wanted=any(_is_wanted(reading, quiet_s) for reading in told),
        is_complete=len(told) >= gateways and all(_is_quiet(reading, quiet_s) for reading in told),
        is_hidden=any(seconds >= UNREAD_S for seconds in observed.silent.values()),
    )


def _is_wanted(reading: GatewaySnapshot, quiet_s: int) -> bool:
    since = reading.quiet_since
    has_come = since is not None and since > reading.started and reading.at - since < quiet_s
    return has_come or reading.inflight + reading.held + reading.waking > 0


def _is_quiet(reading: GatewaySnapshot, quiet_s: int) -> bool:
    """Return whether a gateway is known to have had no request for so long: one that just started knows less."""
    return reading.quiet_since is not None and reading.at - reading.quiet_since >= quiet_s


def may_sleep(spec: ModelDeploymentSpec) -> bool:
    """Return whether the spec lets it sleep: a fixed number of replicas is kept whoever asks."""
    return spec.scaling.scale_to_zero_seconds is not None and spec.replicas is None


def settle(
    state: RolloutState, spec: ModelDeploymentSpec, fleet: EngineFleet, observed: DeploymentObservation
) -> RolloutState:
    """Return the state asleep or awake, and with what the last start took."""
    at, quiet_s = fleet.at, spec.scaling.scale_to_zero_seconds
    state = with_cold_start(state, fleet, observed)
    if quiet_s is None or not may_sleep(spec) or state.stable is None:
        return replace(state, asleep_since=None)
    activity = activity_of(observed, spec.gateway.replicas, quiet_s)
    if state.asleep_since is not None:
        wakes = activity.is_wanted or activity.is_hidden
        return replace(state, asleep_since=None, woken_at=at) if wakes else state
    is_idle = activity.is_complete and not activity.is_wanted and not activity.is_hidden
    if not is_idle or is_on_its_way(state, spec.rollout) or is_young(state, state.stable, fleet, quiet_s):
        return state
    return replace(state, asleep_since=at)


def requeue_after_s(
    state: RolloutState, spec: ModelDeploymentSpec, observed: DeploymentObservation
) -> float | None:
    """Return when to look although nothing is told: while it sleeps and a gateway is silent, for how long yet."""
    if state.asleep_since is None or len(observed.snapshots) >= spec.gateway.replicas:
        return None
    return float(UNREAD_S)


def is_on_its_way(state: RolloutState, rollout: Rollout) -> bool:
    """Return whether users meet a candidate that goes to everyone: a pause would begin its soak anew.

    One that nobody gets, or that only staff shall have, waits for people: it can wait asleep.
    """
    candidate = state.rolling
    if candidate is None:
        return False
    return candidate.weight > 0 or (rollout.everyone and state.staff_served)


def is_young(state: RolloutState, stable: StableModel, fleet: EngineFleet, quiet_s: int) -> bool:
    """Return whether replicas start, or answer for less than the quiet time: who woke them must find them there.

    Counted from the request alone, a start that takes longer than the quiet time would be given up again and again.
    """
    pods = fleet.alive(stable.digest)
    ready = [pod.ready_since for pod in pods if pod.ready_since is not None]
    if ready:
        return fleet.at - min(ready) < quiet_s
    if any(pod.placed for pod in pods):
        return True
    return state.woken_at is not None and fleet.at - state.woken_at < START_GOES_ON_S
