"""Why pods do not come up: no node of their kind, a queue, an image, a volume, a model that storage does not give."""

from __future__ import annotations

from datetime import UTC, datetime

from daybreak_contracts import names
from daybreak_operator.core.deployment.rollout import blockers
from daybreak_operator.core.deployment.rollout.demand import without_nodes
from daybreak_operator.core.deployment.rollout.sizing import carrier_of
from daybreak_operator.core.deployment.status.view import View
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.observed.waits import what_does_not_come
from daybreak_operator.core.plan import Finding

PATIENCE_S = 600
"""How long an autoscaler may take to bring the first node of a kind before a person is to look."""
REMEDY = (
    "correct the pools, label the nodes, or name the label in the chart's nodeLabels (docs/nodes.md); an autoscaler "
    "that brings such nodes needs nothing"
)


def no_node_has_the_label(view: View) -> Finding | None:
    """Fewer replicas answer than are needed, and no node that is there meets what any pool demands."""
    carrier = carrier_of(view.state)
    if carrier is None or view.fleet.ready(carrier) >= view.sizing.needed:
        return None
    lacking = without_nodes(view.observed.settings.node_labels, view.spec.pools, view.observed.node_kinds)
    return Finding("NoNodeHasLabel", f"{lacking}: {REMEDY}") if lacking is not None else None


def nodes_do_not_come(view: View) -> Finding | None:
    """The same, for longer than an autoscaler takes."""
    short_since = view.state.memory.short_since
    if short_since is None or view.fleet.at - short_since < PATIENCE_S:
        return None
    return no_node_has_the_label(view)


def a_queue_holds_replicas(view: View) -> Finding | None:
    """Fewer answer than are needed, and a queue keeps pods from the scheduler: it has no room."""
    stable = view.state.stable
    gated = [pod.observed for pod in view.fleet.alive() if pod.observed.is_gated]
    if not gated or (stable is not None and view.fleet.ready(stable.digest) >= view.sizing.needed):
        return None
    queue = gated[0].label(names.LABEL_QUEUE) or "of Kueue or another gate"
    said = (
        f"queue {queue} holds {len(gated)} serving pods, first {gated[0].name}: raise its quota, or give the "
    )
    return Finding("Queued", f"{said}deployment a priority class that preempts others (docs/queues.md)")


def containers_cannot_start(view: View) -> Finding | None:
    """An image that cannot be pulled, a container that cannot be made."""
    pods = [child for child in view.observed.children if isinstance(child, ObservedPod)]
    alive = [pod for pod in pods if not pod.is_leaving and pod.phase not in ("Failed", "Succeeded")]
    now = datetime.fromtimestamp(view.fleet.at, UTC)
    waits = what_does_not_come(alive, view.observed.pods_wait, now)
    return blockers.containers_cannot_start(alive) or waits or blockers.fetch_fails(alive)


def gateways_end(view: View) -> Finding | None:
    """Gateways that do not stay up, while their kubelet starts them again."""
    why = blockers.gateway_crash_of(
        child for child in view.observed.children if isinstance(child, ObservedPod) and not child.is_leaving
    )
    return (
        Finding("GatewayCrashes", f"{why}; correct spec.gateway or what it names")
        if why is not None
        else None
    )
