"""What must be there before the operator begins: both kinds, with all fields that it knows, and the right to see and
write what it must.

Owns the sentences that tell a person what is missing. Blocks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from daybreak_contracts import names
from daybreak_contracts.definitions import crd
from daybreak_contracts.errors import UserError
from daybreak_operator.core.served_schema import Schema, lacking
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import (
    CHILDREN,
    LEASES,
    NODES,
    OPTIONAL,
    PODS,
    PRIMARIES,
    ApiResource,
)

CHILD_VERBS = ("list", "watch", "patch", "delete")
PUBLISHED_WITHIN_S = 15.0
"""The server publishes a changed definition a second or two after it took it."""
NAMED = 6
INSTALL = "kubectl apply --server-side -f manifests/crds"
log = logging.getLogger(__name__)


def check(kube: Kube, settings: Settings) -> None:
    """Return when the operator can work; UserError that names all that is missing."""
    absent = [resource.plural for resource in PRIMARIES if not kube.serves(resource)]
    if absent:
        raise UserError(
            f"the cluster does not know {' and '.join(absent)} of {names.API_VERSION}: "
            f"install the custom resource definitions ({INSTALL})"
        )
    _check_definitions(kube)
    refused = [
        f"{verb} {resource.plural}{f'/{subresource}' if subresource else ''}"
        + (f" in {namespace}" if namespace else "")
        for verb, resource, subresource, namespace in _needs(settings)
        if not kube.may(verb, resource, subresource, namespace)
    ]
    if refused:
        role = "ClusterRole" if settings.cluster_scope else "Role, in each namespace that it watches,"
        raise UserError(
            f"the operator's account may not: {', '.join(refused)}; bind the operator's {role} to it{_hint(refused)}"
        )
    if not settings.cluster_scope:
        log.warning(
            "nodes are not seen (DAYBREAK_CLUSTER_SCOPE is false): pods that wait are told in the scheduler's words, "
            "and a reclaimed machine is noticed when its pods end"
        )


def _check_definitions(kube: Kube) -> None:
    """Refuse definitions that are older than this operator: the server would drop the newer fields in silence."""
    ours = {kind.name: _written(crd.root_schema(kind.model)) for kind in crd.KINDS}
    until = time.monotonic() + PUBLISHED_WITHIN_S
    while True:
        try:
            served = kube.schemas(names.API_VERSION)
        except ApiError as error:
            log.warning("whether the custom resource definitions fit this operator can't be seen: %s", error)
            return
        missing = [
            f"{kind} {place}"
            for kind, schema in ours.items()
            for place in lacking(schema, served.get(kind, {}))
        ]
        if not missing:
            return
        if time.monotonic() > until:
            break
        time.sleep(0.5)
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    raise UserError(
        f"the cluster's custom resource definitions are older than this operator: they lack "
        f"{', '.join(missing[:NAMED])}{more}; apply those of this version ({INSTALL}; helm does not update them)"
    )


def _written(schema: Schema) -> Schema:
    """Return the parts that are ours: what a server publishes of ``metadata`` is its own."""
    return {"properties": {part: schema["properties"][part] for part in ("spec", "status")}}


def _hint(refused: Sequence[str]) -> str:
    """Return what helps where all that is refused is what belongs to no namespace."""
    if not all(said.endswith(f" {NODES.plural}") for said in refused):
        return ""
    return ", or set operator.clusterScope to false, if it is to have Roles alone"


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
    if settings.cluster_scope:
        needs += [(verb, NODES, "", None) for verb in ("list", "watch")]
    needs += [(verb, PODS, "", place) for place in pods_elsewhere(settings) for verb in ("list", "watch")]
    return [*needs, *((verb, LEASES, "", settings.namespace) for verb in ("get", "create", "update"))]
