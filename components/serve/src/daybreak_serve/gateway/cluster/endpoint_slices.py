"""Engines as EndpointSlices tell of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.kubernetes_access import host_in_url

SERVICE_LABEL = "kubernetes.io/service-name"
"""On every EndpointSlice: the Service it belongs to."""
GRPC_PORT, HTTP_PORT = names.PORT_ENGINE, names.PORT_ENGINE_HTTP
"""Where engines listen when the Service names no ports called ``grpc`` and ``http``."""


@dataclass(frozen=True)
class ListedEndpoint:
    """One engine pod."""

    name: str
    """Pod's uid and address: an address that is used again is another engine."""
    address: str
    """Host and port of gRPC."""
    http: str
    """URL of the model metadata."""
    is_open: bool
    """Ready and not about to end."""


def as_listed(engine: ListedEndpoint) -> ListedEndpoint:
    """Return how an engine is reached: as its slice says. Where pods have no network of their own it is another way."""
    return engine


def engines_of(slices: Iterable[Mapping[str, Any]]) -> dict[str, ListedEndpoint]:
    """Return the engines of all slices of a Service. A pod that is in two slices for a moment counts as open in
    either.
    """
    found: dict[str, ListedEndpoint] = {}
    for one in slices:
        ports = {str(port.get("name") or ""): port.get("port") for port in one.get("ports") or ()}
        for endpoint in one.get("endpoints") or ():
            for engine in _engines(endpoint, ports):
                if engine.name not in found or engine.is_open:
                    found[engine.name] = engine
    return found


def _engines(endpoint: Mapping[str, Any], ports: Mapping[str, int | None]) -> Iterable[ListedEndpoint]:
    conditions = endpoint.get("conditions") or {}
    is_ready = (
        conditions.get("ready") is not False
    )  # absent means unknown, which counts as ready (its API reference)
    uid = (endpoint.get("targetRef") or {}).get("uid") or ""
    for address in (endpoint.get("addresses") or ())[:1]:  # further ones are the same pod's
        host = host_in_url(address)
        grpc, http = ports.get("grpc") or GRPC_PORT, ports.get("http") or HTTP_PORT
        yield ListedEndpoint(
            name=f"{uid}/{host}:{grpc}",
            address=f"{host}:{grpc}",
            http=f"http://{host}:{http}",
            is_open=is_ready and not conditions.get("terminating"),
        )
