"""Whose turn it is when the installation brought another image: its deployments change one after the other.

Each needs room for a candidate beside its stable model, and what is wrong with an image is better met once than
everywhere. Owns who waits, for whom, and until when; a change that a spec asks for waits for nobody.
"""

from __future__ import annotations

from dataclasses import replace

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core import status_codec
from daybreak_operator.core.conditions import find
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.observed.peers import WAITS, PeerDeployment
from daybreak_operator.core.deployment.rollout.revision import is_model, revision_of
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.parts import part
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.times import seconds_of

SETTLE_S = 30.0
"""All deployments have said that they wait before the first one begins: the operator that changed the image has just
started, and sees them one by one."""
REQUEUE_S = 15.0


def waits_for_its_turn(
    state: RolloutState,
    spec: ModelDeploymentSpec,
    target: TargetModel | AwaitedModel,
    observed: DeploymentObservation,
    now: float,
) -> Finding | None:
    """Another deployment takes up the installation's new image, or is to do so before this one."""
    if observed.alone or isinstance(target, AwaitedModel) or not _is_an_upgrade(state, spec, target):
        return None
    metadata = observed.deployment["metadata"]
    me = f"{metadata['namespace']}/{metadata['name']}"
    ahead = [peer for peer in observed.peers if peer.upgrades] or [
        peer for peer in observed.peers if peer.called < me
    ]
    image = target.runtime.image if target.runtime is not None else ""
    if ahead:
        first: PeerDeployment = min(ahead, key=lambda peer: peer.called)
        return Finding(
            WAITS,
            f"the installation's image is {image} now; ModelDeployment {first.called} takes it up first",
        )
    if not _has_settled(observed, now):
        return Finding(WAITS, f"the installation's image is {image} now; deployments take it up one by one")
    return None


def _is_an_upgrade(state: RolloutState, spec: ModelDeploymentSpec, target: TargetModel) -> bool:
    """Return whether nothing but the installation's image asks for another revision, which has not begun."""
    stable, wanted = state.stable, target.runtime
    if stable is None or stable.runtime is None or wanted is None or spec.runtime.image:
        return False
    if not is_model(stable, target) or stable.runtime == wanted:
        return False
    if replace(stable.runtime, image=wanted.image) != wanted or state.rolling is not None:
        return False
    digest = revision_of(state, target).digest
    return digest not in state.rejected and (state.candidate is None or state.candidate.digest != digest)


def _has_settled(observed: DeploymentObservation, now: float) -> bool:
    held = find(status_codec.conditions(part(observed.deployment, "status")), "RolloutHealthy")
    if held is None or held.get("reason") != WAITS:
        return False
    return now - seconds_of(held.get("lastTransitionTime")) >= SETTLE_S
