"""What is surely wrong in the free-form pod templates of a manifest, before an API server sees them.

Only what no version of Kubernetes takes: a pod's field that stands elsewhere or is spelt wrongly, a value of the wrong
kind. A field that is like none we know may be newer than this list, and is left to the API server. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.manifests.problems import Location, value_text
from daybreak_contracts.resources.near_names import nearest

POD_LISTS = (
    "containers", "ephemeralContainers", "hostAliases", "imagePullSecrets", "initContainers", "readinessGates",
    "resourceClaims", "schedulingGates", "tolerations", "topologySpreadConstraints", "volumes",
)  # fmt: skip
POD_FIELDS = frozenset(POD_LISTS) | {
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostname", "hostnameOverride",
    "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy", "priority", "priorityClassName", "resources",
    "restartPolicy", "runtimeClassName", "schedulerName", "securityContext", "serviceAccount", "serviceAccountName",
    "setHostnameAsFQDN", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds",
}  # fmt: skip
CONTAINER_LISTS = (
    "args",
    "command",
    "env",
    "envFrom",
    "ports",
    "resizePolicy",
    "volumeDevices",
    "volumeMounts",
)
CONTAINER_FIELDS = frozenset(CONTAINER_LISTS) | {
    "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name", "readinessProbe", "resources", "restartPolicy",
    "restartPolicyRules", "securityContext", "startupProbe", "stdin", "stdinOnce", "terminationMessagePath",
    "terminationMessagePolicy", "tty", "workingDir",
}  # fmt: skip
QUANTITY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
"""apimachinery's resource.Quantity; `64GB` and `4 Gi` are none."""
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class Mistake:
    """One mistake and its place below the template."""

    location: Location
    message: str
    got: str = ""
    remedy: str = ""


def mistakes(template: Any) -> Iterator[Mistake]:
    """Yield what is surely wrong with a pod template; nothing for one that is absent or no mapping."""
    if not isinstance(template, dict):
        return
    for name in template:
        if not _is_directive(name) and name not in ("metadata", "spec", "apiVersion", "kind"):
            below = (
                "spec." if name in POD_FIELDS else "metadata." if name in ("labels", "annotations") else ""
            )
            guess = f"{below}{name}" if below else nearest(str(name), ("metadata", "spec"))
            yield Mistake((name,), "unknown field", remedy=f"did you mean {guess}?" if guess else "")
    metadata, spec = template.get("metadata"), template.get("spec")
    for name in ("labels", "annotations"):
        yield from _texts(("metadata", name), metadata.get(name) if isinstance(metadata, dict) else None)
    if isinstance(spec, dict):
        yield from _pod(spec)
    elif spec is not None:
        yield Mistake(("spec",), "must be a mapping", value_text(spec))


def _pod(spec: dict[str, Any]) -> Iterator[Mistake]:
    yield from _fields(("spec",), spec, POD_FIELDS, POD_LISTS, CONTAINER_FIELDS)
    yield from _texts(("spec", "nodeSelector"), spec.get("nodeSelector"))
    for at, toleration in enumerate(_list(spec.get("tolerations"))):
        place = ("spec", "tolerations", at)
        effect = toleration.get("effect") if isinstance(toleration, dict) else None
        if effect is not None and effect not in EFFECTS:
            yield Mistake((*place, "effect"), f"must be one of {', '.join(EFFECTS)}", value_text(effect))
    for group in ("containers", "initContainers"):
        for at, container in enumerate(_list(spec.get(group))):
            if isinstance(container, dict):
                yield from _container(("spec", group, at), container)


def _container(place: Location, container: dict[str, Any]) -> Iterator[Mistake]:
    if not container.get("name"):
        yield Mistake((*place, "name"), "is required", remedy="which container is meant")
    yield from _fields(place, container, CONTAINER_FIELDS, CONTAINER_LISTS)
    for at, variable in enumerate(_list(container.get("env"))):
        value = variable.get("value") if isinstance(variable, dict) else None
        if value is not None and not isinstance(value, str):
            yield _unquoted((*place, "env", at, "value"), value)
    resources = container.get("resources")
    for kind in ("requests", "limits"):
        amounts = resources.get(kind) if isinstance(resources, dict) else None
        for name, amount in amounts.items() if isinstance(amounts, dict) else ():
            if isinstance(amount, bool) or not QUANTITY.fullmatch(str(amount)):
                where = (*place, "resources", kind, name)
                yield Mistake(
                    where, "must be a quantity, as 500m, 4 or 16Gi", value_text(amount), _quantity(amount)
                )


def _quantity(amount: Any) -> str:
    found = re.fullmatch(r"(?i)([0-9.]+)\s*([kmgt])(i?)b?", str(amount))
    if not found:
        return ""
    unit = found[2].upper() if found[3] or found[2].lower() != "k" else "k"
    return f"write {found[1]}{unit}{'i' if found[3] else ''}"


def _fields(
    place: Location,
    part: dict[str, Any],
    known: frozenset[str],
    lists: tuple[str, ...],
    inner: frozenset[str] = frozenset(),
) -> Iterator[Mistake]:
    for name, value in part.items():
        if name not in known and not _is_directive(name):
            guess = f"containers[].{name}" if name in inner else nearest(str(name), known)
            if guess:
                yield Mistake((*place, name), "unknown field", remedy=f"did you mean {guess}?")
        elif name in lists and value is not None and not isinstance(value, list):
            yield Mistake((*place, name), "must be a list", value_text(value))


def _is_directive(name: Any) -> bool:
    """Tell whether a key is one of a strategic merge patch, as ``$patch: delete``."""
    return str(name).startswith("$")


def _texts(place: Location, values: Any) -> Iterator[Mistake]:
    for name, value in values.items() if isinstance(values, dict) else ():
        if value is not None and not isinstance(value, str):
            yield _unquoted((*place, name), value)


def _unquoted(place: Location, value: Any) -> Mistake:
    plain = value_text(value) if isinstance(value, bool | int | float) else ""
    return Mistake(
        place, "must be text", value_text(value), f'write it in quotes: "{plain}"' if plain else ""
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
