"""Whether a Kubeflow run still has pods, and where they lie: what tells a lost run from a slow one.

Owns the question, not the conclusion; when the API server refuses the list, nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Callable

from daybreak_contracts import names
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import PODS


def namespaces_of_pods(settings: Settings) -> tuple[str | None, ...]:
    """Return where Kubeflow's pods of our runs lie (None: anywhere)."""
    if settings.kubeflow_namespace:
        return (settings.kubeflow_namespace,)
    return settings.watch_namespaces or (None,)


def pods_of_runs(kube: Kube, namespaces: tuple[str | None, ...]) -> Callable[[str], bool]:
    """Return what tells whether a run has pods in one of the namespaces; TransientError when nobody answers."""

    def has_pods(run_id: str) -> bool:
        try:
            return any(
                page
                for namespace in namespaces
                for page, _ in kube.pages(PODS, namespace, f"{names.LABEL_KUBEFLOW_RUN}={run_id}")
            )
        except ApiError:
            return True  # we may not look there

    return has_pods
