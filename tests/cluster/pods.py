"""What a waiting pod asks of a node, and whether a node would do: the scheduler's rules as far as a cloud needs them.

Pure. Covers nodeSelector, required node affinity (In, NotIn, Exists, DoesNotExist), tolerations, GPUs and CPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daybreak_contracts import names


@dataclass(frozen=True)
class Wish:
    """A pod that waits for a node. ``cpus`` are cores."""

    pod: str
    gpus: int = 0
    cpus: float = 0.0
    selector: Mapping[str, str] = field(default_factory=dict)
    terms: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    """Node selector terms: one of them must hold, each with all its expressions."""
    tolerations: tuple[Mapping[str, Any], ...] = ()


def wish_of(pod: Mapping[str, Any]) -> Wish:
    """Read a pod. Its name is ``namespace/name``."""
    spec, metadata = pod["spec"], pod["metadata"]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    gpus, cpus = resources_of(pod)
    return Wish(
        pod=f"{metadata['namespace']}/{metadata['name']}",
        gpus=gpus,
        cpus=cpus,
        selector=spec.get("nodeSelector") or {},
        terms=tuple(tuple(term.get("matchExpressions") or ()) for term in terms),
        tolerations=tuple(spec.get("tolerations") or ()),
    )


def resources_of(pod: Mapping[str, Any]) -> tuple[int, float]:
    """Return the GPUs and cores that a pod asks for; first containers run alone, so the largest counts."""

    def asked(container: Mapping[str, Any]) -> tuple[int, float]:
        resources = container.get("resources") or {}
        wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        return int(wanted.get(names.RESOURCE_GPU, 0)), cores(str(wanted.get("cpu", "0")))

    together = [asked(container) for container in pod["spec"].get("containers") or ()]
    first = [asked(container) for container in pod["spec"].get("initContainers") or ()]
    gpus = max([sum(item[0] for item in together), *(item[0] for item in first)])
    return gpus, max([sum(item[1] for item in together), *(item[1] for item in first)])


def cores(quantity: str) -> float:
    """``500m`` is 0.5, ``2`` is 2.0."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def is_waiting(pod: Mapping[str, Any]) -> bool:
    """Return whether the scheduler found no node for a pod that is still wanted."""
    if pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(
        item["type"] == "PodScheduled" and item.get("reason") == "Unschedulable" for item in conditions
    )


def accepts(wish: Wish, labels: Mapping[str, str], taints: Iterable[str]) -> bool:
    """Return whether a node with these labels and NoSchedule taints would do."""
    chosen = all(labels.get(key) == value for key, value in wish.selector.items())
    fits = not wish.terms or any(all(_holds(item, labels) for item in term) for term in wish.terms if term)
    return chosen and fits and all(_tolerated(taint, wish.tolerations) for taint in taints)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"the small cloud knows no operator {expression['operator']}")


def _tolerated(taint: str, tolerations: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        item.get("key", taint) == taint and item.get("effect") in (None, "", "NoSchedule")
        for item in tolerations
    )
