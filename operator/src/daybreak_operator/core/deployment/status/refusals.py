"""Why the API server takes no pods of a Deployment, in its own words, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable

from daybreak_operator.core.observed.objects import ObservedDeployment, held_true
from daybreak_operator.core.plan import Finding

REMEDIES = (
    ("must specify", "name it in podTemplate (resources), in the chart's pods.resources, or by a LimitRange"),
    ("exceeded quota", "raise the quota, or ask for fewer replicas or less in podTemplate (resources)"),
    (
        "usage per",
        "ask for that in podTemplate (resources) or in the chart's pods.resources, or change the LimitRange",
    ),
    (
        "must be less than or equal to",
        "ask for less in podTemplate (resources) or in the chart's pods.resources, or raise the LimitRange",
    ),
    ("violates PodSecurity", "take it out of podTemplate, or let the namespace allow it"),
    (
        "no PriorityClass",
        "create that class, or correct priorityClassName in podTemplate or the chart's pods",
    ),
    ("RuntimeClass", "create that class, or correct runtimeClassName in podTemplate or the chart's pods"),
)
"""What the API server's admission says, and the remedy: quotas, LimitRanges, pod security, absent classes."""


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


def remedy_of(refusal: str) -> str:
    """Return what a person can do about pods that the API server does not take."""
    if "serviceaccount" in refusal and "not found" in refusal:
        return "create that service account in this namespace, or correct the chart's serviceAccount.name"
    return next(
        (remedy for words, remedy in REMEDIES if words in refusal), "allow them, or change what they ask for"
    )
