"""What a person can do about pods that the API server does not take, by its own words; the same for both kinds."""

from __future__ import annotations

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
WEBHOOK_DOWN = "failed calling webhook"
"""What it says of a webhook that does not answer."""


def remedy_of(refusal: str) -> str:
    """Return what a person can do about pods that the API server does not take."""
    if WEBHOOK_DOWN in refusal:
        return (
            "bring that webhook's service back, or remove its configuration: nobody else can let pods through"
        )
    if "serviceaccount" in refusal and "not found" in refusal:
        return "create that service account in this namespace, or correct the chart's serviceAccount.name"
    return next(
        (remedy for words, remedy in REMEDIES if words in refusal), "allow them, or change what they ask for"
    )
