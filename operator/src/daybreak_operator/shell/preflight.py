"""What must be there before the operator begins: both kinds, and the right to see and write what it must.

Owns the sentences that tell a person what is missing. Blocks.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import (
    CHILDREN,
    LEASES,
    NODES,
    PODS,
    PRIMARIES,
    PYTORCH_JOBS,
    ROUTES,
    ApiResource,
)

OPTIONAL = (PYTORCH_JOBS, ROUTES)
CHILD_VERBS = ("list", "watch", "patch", "delete")


def check(kube: Kube, settings: Settings) -> None:
    """Return when the operator can work; UserError that names all that is missing."""
    absent = [resource.plural for resource in PRIMARIES if not kube.serves(resource)]
    if absent:
        raise UserError(
            f"the cluster does not know {' and '.join(absent)} of {names.API_VERSION}: "
            "install the custom resource definitions (kubectl apply --server-side -f manifests/crds)"
        )
    refused = [
        f"{verb} {resource.plural}{f'/{subresource}' if subresource else ''}"
        + (f" in {namespace}" if namespace else "")
        for verb, resource, subresource, namespace in _needs(settings)
        if not kube.may(verb, resource, subresource, namespace)
    ]
    if refused:
        raise UserError(
            f"the operator's account may not: {', '.join(refused)}; bind the operator's ClusterRole to it"
        )


def pods_elsewhere(settings: Settings) -> tuple[str, ...]:
    """Return the namespaces, besides those that are watched, that pods of our runs lie in: Kubeflow's own."""
    place, watched = settings.kubeflow_namespace, settings.watch_namespaces
    return (place,) if settings.kubeflow_url and place and watched and place not in watched else ()


def _needs(settings: Settings) -> list[tuple[str, ApiResource, str, str | None]]:
    places: tuple[str | None, ...] = settings.watch_namespaces or (None,)
    own = [("list", ""), ("watch", ""), ("patch", ""), ("update", "status")]
    needs: list[tuple[str, ApiResource, str, str | None]] = []
    for place in places:
        needs += [(verb, resource, sub, place) for resource in PRIMARIES for verb, sub in own]
        needs += [(v, r, "", place) for r in CHILDREN if r not in OPTIONAL for v in CHILD_VERBS]
    needs += [(verb, NODES, "", None) for verb in ("list", "watch")]
    needs += [(verb, PODS, "", place) for place in pods_elsewhere(settings) for verb in ("list", "watch")]
    return [*needs, *((verb, LEASES, "", settings.namespace) for verb in ("get", "create", "update"))]
