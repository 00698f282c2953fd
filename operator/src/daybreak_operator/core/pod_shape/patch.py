"""A ``podTemplate`` laid over a pod: a strategic merge patch, as ``kubectl patch`` means it.

Owns the merging: mappings are merged, named lists by their key, other lists replaced, null deletes a field. Two lists
that have no key are joined instead, for what stands in them is placement's: the tolerations of a pod, and the terms of
nodes that it demands. Checks nothing of what comes out: that is the API server's.

Source of the keys: patchMergeKey of the fields of PodSpec and Container in k8s.io/api/core/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from daybreak_operator.core.parts import Stored, items, part
from daybreak_operator.core.plan import Json

Part = Stored
"""A part of an object that nobody has checked."""
Made = dict[str, Any]
"""A part that is being put together; what comes out is the API server's to check."""
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
CONTAINERS = ("initContainers", "containers")
DIRECTIVE = "$patch"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def patched_pod(pod: Part, *templates: Part) -> dict[str, Json]:
    """Return a pod template (``metadata``, ``spec``) with patches on it, one after the other.

    A container that the pod does not have and no patch gives an image is left out: it is meant for other pods of the
    same object. What the operator finds its pods by (labels) always stays, and so does where they must run.
    """
    merged: Made = dict(pod)
    for template in templates:
        before = part(merged, "spec")
        merged = merge(merged, template)
        if isinstance(merged.get("spec"), dict):
            _keep_placement(merged["spec"], before, part(template, "spec"))
    spec = part(merged, "spec")
    kept = {field: _with_images(spec[field]) for field in CONTAINERS if isinstance(spec.get(field), list)}
    if kept:
        merged["spec"] = {**spec, **kept}
    labels = part(pod, "metadata").get("labels")
    return merge(merged, {"metadata": {"labels": labels}}) if labels else merged


def _with_images(containers: object) -> list[object]:
    listed = containers if isinstance(containers, list) else []
    return [item for item in listed if not isinstance(item, dict) or item.get("image")]


def _keep_placement(spec: Made, own: Part, patch: Part) -> None:
    """Join what the pod demands of nodes with what the patch demands, and the taints that both put up with."""
    taints, more = items(own, "tolerations"), patch.get("tolerations")
    if taints and isinstance(more, list):
        spec["tolerations"] = [*taints, *(taint for taint in more if taint not in taints)]
    demanded = _terms(own)
    if demanded and "affinity" in patch:
        both = [_both(one, other) for one in demanded for other in _terms(patch) or [{}]]
        kept = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": both}}}
        spec["affinity"] = merge(part(spec, "affinity"), kept)


def _terms(spec: Part) -> list[Part]:
    """Return the terms of which a node must meet one."""
    return items(part(part(part(spec, "affinity"), "nodeAffinity"), REQUIRED), "nodeSelectorTerms")


def _both(one: Part, other: Part) -> dict[str, list[Part]]:
    """Return the term that is met where both are."""
    return {name: [*items(one, name), *items(other, name)] for name in dict.fromkeys([*one, *other])}


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


def _merged_list(base: list[Made], patch: list[Made], key: str) -> list[object]:
    merged = {item[key]: item for item in base}
    for item in patch:
        if item.get(DIRECTIVE) == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = merge(merged.get(item[key], {}), item)
    return list(merged.values())


def _is_named(listed: object, key: str) -> TypeGuard[list[Made]]:
    """Return whether every item is a mapping with that key."""
    return isinstance(listed, list) and all(
        isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in listed
    )
