"""What a person can do about pods that the API server does not take, by its own words; the same for both kinds."""

from __future__ import annotations

QUOTA_FULL = "exceeded quota"
DENIED = ("denied the request", "denied request")
"""What it says of a webhook that refuses an object, and of a policy of its own (ValidatingAdmissionPolicy)."""
REMEDIES = (
    ("must specify", "name it in podTemplate (resources), in the chart's pods.resources, or by a LimitRange"),
    ("status unknown for quota", "that quota was made just now, and this passes by itself"),
    (
        "insufficient quota to match these scopes",
        "make a ResourceQuota here with that priority class among its scopes, or correct priorityClassName",
    ),
    (QUOTA_FULL, "raise the quota, or ask for fewer replicas or less in podTemplate (resources)"),
    (
        "usage per",
        "ask for that in podTemplate (resources) or in the chart's pods.resources, or change the LimitRange",
    ),
    (
        "limit to request ratio",
        "ask for more or limit it lower in podTemplate (resources), or change the LimitRange",
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
    (
        "security context constraint",
        "set the chart's pods.fixedUserIds to false, or take what it names out of podTemplate",
    ),
    (
        "namespace whitelist",
        "take the toleration out of podTemplate or the chart's pods, or let the namespace allow it (its annotations)",
    ),
    (
        "namespace node label selector",
        "take the node selector out of podTemplate or the chart's pods, or change that of the namespace",
    ),
    ("image policy webhook", "sign or allow that image, or name another in the chart's images"),
    *(
        (
            words,
            "do what it says in podTemplate (labels, resources) or the chart's pods, or exempt this namespace",
        )
        for words in DENIED
    ),
)
"""What the API server's admission says, and the remedy: quotas, LimitRanges, pod security, policies, absent classes;
the first that is found counts."""
WEBHOOK_DOWN = "failed calling webhook"
"""What it says of a webhook that does not answer."""


REFUSED = ("forbidden", "insufficient quota", *DENIED, WEBHOOK_DOWN)


def is_refusal(message: str) -> bool:
    """Return whether an event says that pods are not taken."""
    return any(words in message for words in REFUSED)


def remedy_of(refusal: str) -> str:
    """Return what a person can do about pods that the API server does not take."""
    if WEBHOOK_DOWN in refusal:
        return (
            "bring that webhook's service back, or remove its configuration: nobody else can let pods through"
        )
    if "serviceaccount" in refusal and "not found" in refusal:
        return "create that service account in this namespace, or correct the chart's serviceAccount.name"
    return next(
        (remedy for words, remedy in REMEDIES if words in refusal),
        "allow them, or change in podTemplate what they ask for",
    )
