"""Who a child belongs to and what it is for, in the names and labels that every child carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from daybreak_contracts import names
from daybreak_operator.core.plan import Json, Object


@dataclass(frozen=True)
class OwnerIdentity:
    """A ModelDeployment's name, namespace and uid."""

    name: str
    namespace: str
    uid: str
    queue: Mapping[str, str] = field(default_factory=dict)
    """Kueue's labels of it, to be copied to the Deployments of its engines: their pods then wait for the queue."""

    def labels(self, role: str, **more: str) -> dict[str, str]:
        """Return the labels of a child; ``more`` names revision, pool, zone, market."""
        known = {
            "revision": names.LABEL_REVISION,
            "pool": names.LABEL_POOL,
            "zone": names.LABEL_ZONE,
            "market": names.LABEL_MARKET,
        }
        return {
            names.LABEL_OWNER_KIND: names.KIND_DEPLOYMENT,
            names.LABEL_OWNER: self.name,
            names.LABEL_OWNER_UID: self.uid,
            names.LABEL_ROLE: role,
            **{known[key]: value for key, value in more.items()},
        }

    def selector(self, role: str, **more: str) -> dict[str, str]:
        """Return the labels that pods of a role are found by: without the uid, which selectors cannot change."""
        labels = self.labels(role, **more)
        del labels[names.LABEL_OWNER_UID], labels[names.LABEL_OWNER_KIND]
        return labels

    def child(
        self,
        api_version: str,
        kind: str,
        name: str,
        labels: dict[str, str],
        *,
        annotations: Mapping[str, str] | None = None,
        **parts: Json,
    ) -> dict[str, Json]:
        """Return a child object; owner reference and field owner are the shell's."""
        metadata: dict[str, Json] = {"name": name, "namespace": self.namespace, "labels": labels}
        if annotations:
            metadata["annotations"] = annotations
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def identity_of(deployment: Object) -> OwnerIdentity:
    """Return the identity of a stored ModelDeployment."""
    metadata = deployment["metadata"]
    given = metadata.get("labels") or {}
    queue = {label: str(given[label]) for label in names.QUEUE_LABELS if given.get(label)}
    return OwnerIdentity(
        metadata["name"], metadata.get("namespace", "default"), metadata.get("uid", ""), queue
    )
