"""The pods of a Kubeflow run, and where they lie: what tells a lost run from a slow one, and a driver that can't start.

Kubeflow's drivers carry none of our labels, so no watch of ours brings them. Owns the question, not the conclusion;
when the API server refuses the list, nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Callable

from daybreak_contracts import names
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import PODS


def namespaces_of_pods(settings: Settings) -> tuple[str | None, ...]:
    """Return where Kubeflow's pods of our runs lie (None: anywhere)."""
    if settings.kubeflow_namespace:
        return (settings.kubeflow_namespace,)
    return settings.watch_namespaces or (None,)


def pods_of_runs(
    kube: Kube, namespaces: tuple[str | None, ...]
) -> Callable[[str], tuple[ObservedPod, ...] | None]:
    """Return what finds a run's pods; None where we may not look, TransientError when nobody answers."""

    def pods_of(run_id: str) -> tuple[ObservedPod, ...] | None:
        try:
            found = [
                parse_object(pod)
                for namespace in namespaces
                for page, _ in kube.pages(PODS, namespace, f"{names.LABEL_KUBEFLOW_RUN}={run_id}")
                for pod in page
            ]
        except ApiError:
            return None
        return tuple(pod for pod in found if isinstance(pod, ObservedPod))

    return pods_of
