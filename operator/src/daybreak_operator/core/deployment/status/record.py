"""What is in production, kept where a lost status does not take it: in a ConfigMap that no object owns.

Backups and GitOps bring a ModelDeployment back without its status. Owns what is remembered, and when it is believed:
only while the status names no stable model. docs/backup.md says what a person sees of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from daybreak_contracts import names
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_operator.core import status_codec
from daybreak_operator.core.deployment.children.identity import OwnerIdentity
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.deployment.status import codec
from daybreak_operator.core.observed.objects import ObservedConfigMap
from daybreak_operator.core.plan import Object, ObjectEvent

FILE = "production.json"
VERSION = "routingVersion"
KEPT = ("stable", "rejected", "rolloutDigest")
"""Parts of the status that are kept, as the status has them."""


def record_of(owner: OwnerIdentity, state: RolloutState) -> tuple[Object, ...]:
    """Return the record to have; none before a model was promoted or refused."""
    if state.stable is None and not state.rejected:
        return ()
    written = codec.write(state)
    kept = {part: written[part] for part in KEPT if part in written}
    version = state.routing.version if state.routing is not None else state.routed
    text = json.dumps({**kept, VERSION: version}, sort_keys=True)
    labels = owner.labels(names.ROLE_RECORD)
    return (owner.child("v1", "ConfigMap", names.record_name(owner.name), labels, data={FILE: text}),)


def recovered(state: RolloutState, record: ObservedConfigMap | None) -> RolloutState:
    """Return the state with what the record remembers, where the status remembers less."""
    kept = _read(record)
    if kept is None or state.stable is not None or state.routing is not None:
        return state
    found = codec.read(status_codec.sound(ModelDeploymentStatus, {part: kept.get(part) for part in KEPT}))
    version = kept.get(VERSION)
    # The status is written before the record: gateways may have seen one version more.
    routed = version + 1 if isinstance(version, int) and not isinstance(version, bool) else 0
    return replace(
        state,
        stable=found.stable,
        rejected=found.rejected,
        rollout_digest=found.rollout_digest,
        routed=max(state.routed, routed),
    )


def events_of(before: RolloutState, after: RolloutState) -> tuple[ObjectEvent, ...]:
    """Return what is told of a recovery."""
    if before.stable is not None or after.stable is None:
        return ()
    said = (
        f"the status was lost; model {after.stable.words} goes on serving everyone, as the ConfigMap "
        "NAME-production remembers"
    )
    return (ObjectEvent("Warning", "ProductionRecovered", said),)


def _read(record: ObservedConfigMap | None) -> Mapping[str, object] | None:
    try:
        kept = json.loads(record.data.get(FILE, "")) if record is not None else None
    except ValueError:
        return None
    return kept if isinstance(kept, dict) else None
