"""Which children a deployment shall have, and which of those there are may go.

Owns the moment: a model's pods go ``DRAIN_S`` after it left the routing. The objects' shape is elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.children import engine as engines
from daybreak_operator.core.deployment.children.gateway import gateway_children, gateway_policy, gateway_route
from daybreak_operator.core.deployment.children.identity import OwnerIdentity, identity_of
from daybreak_operator.core.deployment.observed.fleet import EngineFleet, place_of
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout.revision import runtime_of
from daybreak_operator.core.deployment.rollout.sizing import Sizing
from daybreak_operator.core.deployment.state import CandidateModel, RolloutState, StableModel
from daybreak_operator.core.observed.objects import ObservedObject
from daybreak_operator.core.plan import Object, Ref

DRAIN_S = 30
"""From leaving the routing to the end: gateways hear of it within two seconds, a completion takes less than one."""
DRAIN_MAX_S = 300
"""The end even where a gateway has not told that it heard of it."""
BY_REVISION = ("Deployment", "Service", "PodDisruptionBudget")


@dataclass(frozen=True)
class ChildrenInput:
    """All that children are made of."""

    observed: DeploymentObservation
    spec: ModelDeploymentSpec
    state: RolloutState
    fleet: EngineFleet
    sizing: Sizing
    at: float
    """Unix time of this pass."""

    @property
    def owner(self) -> OwnerIdentity:
        """Return whose children they are."""
        return identity_of(self.observed.deployment)

    def serving(self) -> dict[str, StableModel | CandidateModel]:
        """Return the models that have pods, by digest: the stable one and the one that is rolled out."""
        there = (self.state.stable, self.state.rolling)
        return {one.digest: one for one in there if one is not None}


def without_finished(state: RolloutState, observed: DeploymentObservation, now: float) -> RolloutState:
    """Return the state without retired models of which nothing is left, or that serve again."""
    serving = {one.digest for one in (state.stable, state.rolling) if one is not None}
    there = {child.label(names.LABEL_REVISION) for child in observed.children}
    retired = tuple(
        one
        for one in state.retired
        if one.digest not in serving and (now - one.since < DRAIN_S or names.short(one.digest) in there)
    )
    return replace(state, retired=retired)


def children_of(family: ChildrenInput) -> tuple[Object, ...]:
    """Return every child to have."""
    annotations = family.observed.deployment["metadata"].get("annotations") or {}
    found = gateway_children(family.owner, family.spec.gateway, family.observed.settings)
    route = gateway_route(family.owner, annotations) if family.observed.has_gateway_api else None
    policy = gateway_policy(family.owner, family.observed.settings)
    found += [child for child in (route, policy) if child is not None]
    found.append(engines.engine_policy(family.owner))
    runtime = runtime_of(family.spec, family.observed.settings)
    for digest, model in family.serving().items():
        revision = engines.EngineRevision(
            family.owner, family.spec, family.observed.settings, digest, model.uri, model.runtime or runtime
        )
        found += [engines.engine_service(revision), engines.engine_budget(revision)]
        found += _deployments(family, revision)
    return tuple(found)


def _deployments(family: ChildrenInput, revision: engines.EngineRevision) -> Iterator[Object]:
    """Yield the model's Deployments: where it shall have replicas, and where it had some (0 is said, too).

    While something is missing that pods need, no machine is asked for in vain.
    """
    there = {child.name for child in family.fleet.deployments}
    desired = Counter(family.sizing.desired.get(revision.digest, {}))
    desired.update(pod.place for pod in family.fleet.last(revision.digest))
    for pool in family.spec.pools:
        for zone in dict.fromkeys(pool.zones):
            count = desired[pool.name, zone]
            exists = names.engine_name(family.owner.name, revision.digest, pool.name, zone) in there
            if exists or (count and not family.observed.missing):
                yield engines.engine_deployment(revision, pool, zone, count)


def leftovers(family: ChildrenInput) -> tuple[Ref, ...]:
    """Return the objects to delete, and pods whose node goes: that takes them out of the gateways' view at once."""
    found = [*_of_other_models(family), *_of_removed_pools(family), *_routes(family), *_on_lost_nodes(family)]
    return tuple(child.ref for child in [*found, *_policies(family)])


def _of_other_models(family: ChildrenInput) -> Iterator[ObservedObject]:
    kept = {names.short(digest) for digest in family.serving()}
    kept |= {names.short(one.digest) for one in family.state.retired if _drains(family, one.since)}
    for child in family.observed.children:
        revision = child.label(names.LABEL_REVISION)
        if child.kind in BY_REVISION and revision and revision not in kept and not child.is_leaving:
            yield child


def _drains(family: ChildrenInput, since: float) -> bool:
    """Return whether a model that left the routing at ``since`` may still be asked by a gateway."""
    version = family.state.routing.version if family.state.routing is not None else 0
    behind = any(reading.routing_version < version for reading in family.observed.snapshots)
    return family.at - since < (DRAIN_MAX_S if behind else DRAIN_S)


def _of_removed_pools(family: ChildrenInput) -> Iterator[ObservedObject]:
    """Yield Deployments in places that the spec no longer has, once the model answers enough elsewhere."""
    places = {(pool.name, zone) for pool in family.spec.pools for zone in pool.zones}
    for digest in family.serving():
        ready = sum(
            1 for pod in family.fleet.alive(digest) if pod.ready_since is not None and pod.place in places
        )
        is_stable = family.state.stable is not None and digest == family.state.stable.digest
        if is_stable and ready < family.sizing.needed:
            continue
        for child in family.fleet.deployments:
            same = child.label(names.LABEL_REVISION) == names.short(digest)
            if same and place_of(child) not in places and not child.is_leaving:
                yield child


def _routes(family: ChildrenInput) -> Iterator[ObservedObject]:
    annotations = family.observed.deployment["metadata"].get("annotations") or {}
    for child in family.observed.children:
        if (
            child.kind == "HTTPRoute"
            and gateway_route(family.owner, annotations) is None
            and not child.is_leaving
        ):
            yield child


def _policies(family: ChildrenInput) -> Iterator[ObservedObject]:
    """Yield the gateways' policy once the installation names no clients of theirs any more."""
    if gateway_policy(family.owner, family.observed.settings) is not None:
        return
    for child in family.observed.children:
        is_gateways = child.name == names.gateway_name(family.owner.name)
        if child.kind == "NetworkPolicy" and is_gateways and not child.is_leaving:
            yield child


def _on_lost_nodes(family: ChildrenInput) -> Iterator[ObservedObject]:
    """Yield pods whose nodes go, but for a model's last ones: as long as they answer, they are better than none."""
    lost = frozenset(family.observed.reclaimed)
    last = {pod.name for digest in family.serving() for pod in family.fleet.last(digest)}
    for pod in family.fleet.pods:
        if pod.name in lost - last and not pod.observed.is_leaving:
            yield pod.observed
