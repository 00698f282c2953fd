"""All that a decision about a ModelDeployment may know: gathered by the shell, never fetched by the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_operator.core.deployment.observed.peers import PeerDeployment
from daybreak_operator.core.observed.objects import ObservedConfigMap, ObservedObject, ObservedWarning
from daybreak_operator.core.plan import Object
from daybreak_operator.core.pod_shape.demands import NodeKind
from daybreak_operator.settings import DEFAULTS, Settings


@dataclass(frozen=True)
class DeploymentObservation:
    """The deployment, what it follows, what belongs to it, and what its gateways count."""

    deployment: Object
    """The ModelDeployment as stored, with metadata and status."""
    followed: Object | None = None
    """The TrainingRun that it follows; None when it names none or there is none (the spec tells which)."""
    children: tuple[ObservedObject, ...] = ()
    """Deployments, Services, PodDisruptionBudgets, NetworkPolicies, Pods, HTTPRoutes with its labels and uid."""
    record: ObservedConfigMap | None = None
    """What was in production when a deployment of this name was last seen."""
    alone: bool = True
    """No other deployment is known."""
    peers: tuple[PeerDeployment, ...] = ()
    """Others that take up another runtime, or wait to."""
    snapshots: tuple[GatewaySnapshot, ...] = ()
    """Fresh readings, one per gateway that answered."""
    silent: Mapping[str, float] = field(default_factory=dict)
    """Name of a gateway that was asked for its reading in vain, to the seconds since that is so."""
    earlier: tuple[GatewaySnapshot, ...] = ()
    """What the guardrails compare with: the readings since when the same users get the candidate, kept by the shell."""
    unschedulable: Mapping[str, float] = field(default_factory=dict)
    """Name of a pod that no node takes, to the seconds since that is so."""
    pods_wait: tuple[ObservedWarning, ...] = ()
    """What was said of volumes and sandboxes of pods that have not begun (events)."""
    reclaimed: tuple[str, ...] = ()
    """Names of pods whose node was given notice."""
    stockouts: tuple[str, ...] = ()
    """Names of pods that the autoscaler or the cloud said it finds no machine for (events)."""
    taken: tuple[str, ...] = ()
    """Sentences about objects that have the name of a child and belong to others: each with its remedy."""
    missing: tuple[str, ...] = ()
    """Sentences about what the spec names and is not there (Secrets): each with its remedy."""
    has_gateway_api: bool = False
    node_kinds: frozenset[NodeKind] = frozenset()
    """Labels of the nodes that are there, as far as placement demands any."""
    settings: Settings = DEFAULTS
