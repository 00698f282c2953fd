"""What the start of a replica took: as a whole, and by the stages that its pod's status tells.

Pure. What the serving pod measures itself (load and warm-up apart) is in its metrics.
"""

from __future__ import annotations

from dataclasses import replace

from daybreak_operator.core.capacity.placement.offerings import PLACED_S
from daybreak_operator.core.deployment.observed.fleet import FETCH, EngineFleet
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.state import ColdStartStages, RolloutState
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.times import seconds_of


def with_cold_start(state: RolloutState, fleet: EngineFleet, observed: DeploymentObservation) -> RolloutState:
    """Return the state with what it took until the first replica answered, seen when it begins to."""
    stored = observed.deployment.get("status") or {}
    carrier = state.stable or state.rolling
    if carrier is None or stored.get("readyReplicas"):
        return state
    ready = [
        (pod.ready_since, pod.observed) for pod in fleet.alive(carrier.digest) if pod.ready_since is not None
    ]
    since, pod = min(ready, key=lambda one: (one[0], one[1].name), default=(0.0, None))
    made = pod.metadata.created if pod is not None else None
    if pod is None or made is None or any(container.restarts for container in pod.containers):
        return state  # it answered before, or nobody knows since when it was waited for
    took_s = int(since - made.timestamp())
    if not 0 < took_s <= PLACED_S:
        return state
    return replace(state, cold_start_s=took_s, cold_start=stages_of(pod, since))


def stages_of(pod: ObservedPod, ready_since: float) -> ColdStartStages:
    """Return the stages of a pod that answers since then; what its status does not tell is None."""
    created = pod.metadata.created.timestamp() if pod.metadata.created is not None else None
    placed = next(
        (
            one.changed.timestamp()
            for one in pod.conditions
            if one.type == "PodScheduled" and one.status == "True" and one.changed is not None
        ),
        None,
    )
    fetch = next((one.ended for one in pod.containers if one.is_init and one.name == FETCH), None)
    began = seconds_of(fetch.started) if fetch is not None and fetch.started else None
    fetched = seconds_of(fetch.finished) if fetch is not None and fetch.finished else None
    return ColdStartStages(
        machine_s=_between(created, placed),
        image_s=_between(placed, began),
        fetch_s=_between(began, fetched),
        load_s=_between(fetched, ready_since),
    )


def _between(begin: float | None, end: float | None) -> int | None:
    """Return whole seconds; clocks of two machines may differ by some."""
    return None if begin is None or end is None else max(0, int(end - begin))
