"""Why the API server takes no pods of a Deployment, in its own words, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable

from daybreak_operator.core.observed.objects import ObservedDeployment, held_true
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.pod_shape.remedies import remedy_of


def refusal_of_pods(deployments: Iterable[ObservedDeployment], what: str) -> Finding | None:
    """Return what is said of the first Deployment whose pods are refused."""
    for child in deployments:
        failure = held_true(child.conditions, "ReplicaFailure")
        if failure is not None:
            why = failure.message or "no reason given"
            return Finding("ReplicasRefused", f"{what} are refused: {why}; {remedy_of(why)}")
    return None


def replacement_is_stuck(deployments: Iterable[ObservedDeployment]) -> Finding | None:
    """Return which Deployment cannot replace its pods by those of a changed shape: the old ones answer meanwhile."""
    for child in deployments:
        progress = next((one for one in child.conditions if one.type == "Progressing"), None)
        if progress is not None and progress.reason == "ProgressDeadlineExceeded" and child.stale_replicas:
            said = (
                f"Deployment {child.name} does not get on with replacing its pods: {child.stale_replicas} of an "
                "earlier shape answer on; see why the new one does not come up, make room for it (a GPU, quota), or "
                "take the change of podTemplate or of the chart's pods back"
            )
            return Finding("PodsNotReplaced", said)
    return None
