"""A run's ``podTemplate`` laid over a pod: a strategic merge patch, as ``kubectl patch`` means it.

Owns the merging: mappings are merged, named lists by their key, other lists replaced, null deletes a field. Checks
nothing of what comes out: that is the API server's.

Source of the keys: patchMergeKey of the fields of PodSpec and Container in k8s.io/api/core/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from daybreak_operator.core.plan import Json

MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
DIRECTIVE = "$patch"


def patched_pod(pod: Mapping[str, Json], template: Mapping[str, object]) -> dict[str, Json]:
    """Return a pod template (``metadata``, ``spec``) with a run's patch on it.

    A container that the pod does not have and the patch gives no image is left out: it is meant for other pods of
    the run. What the operator finds its pods by (labels) always stays.
    """
    merged: dict[str, Any] = merge(pod, template)
    spec = merged.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
        spec["containers"] = [
            item for item in spec["containers"] if not isinstance(item, dict) or item.get("image")
        ]
    metadata = pod.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if labels:
        merged = merge(merged, {"metadata": {"labels": labels}})
    return merged


def merge(base: object, patch: object, field: str = "") -> Any:
    """Return ``base`` with ``patch`` on it; ``field`` is the name that they stand under."""
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return _merged_mapping(base, patch)
    key = MERGE_KEYS.get(field)
    if key is not None and _is_named(base, key) and _is_named(patch, key):
        return _merged_list(base, patch, key)
    return patch


def _merged_mapping(base: Mapping[str, object], patch: Mapping[str, object]) -> dict[str, object]:
    if patch.get(DIRECTIVE) == "replace":
        return {name: value for name, value in patch.items() if name != DIRECTIVE}
    merged = dict(base)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif name != DIRECTIVE:
            merged[name] = merge(merged.get(name), value, name) if name in merged else value
    return merged


def _merged_list(base: list[dict[str, Any]], patch: list[dict[str, Any]], key: str) -> list[object]:
    merged = {item[key]: item for item in base}
    for item in patch:
        if item.get(DIRECTIVE) == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = merge(merged.get(item[key], {}), item)
    return list(merged.values())


def _is_named(items: object, key: str) -> TypeGuard[list[dict[str, Any]]]:
    """Return whether every item is a mapping with that key."""
    return isinstance(items, list) and all(
        isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in items
    )
