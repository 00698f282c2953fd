"""What a gateway asks of a Kubernetes API server, over real HTTP: lists and watches with versions and bookmarks.

It can cut its watches, forget old versions, and be away. The shapes are those of the real one (`test_real_api.py`
holds both against the same gateway).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from daybreak_contracts import names
from daybreak_contracts.ports import free_port
from daybreak_serve.gateway.cluster.endpoint_slices import SERVICE_LABEL
from daybreak_serve.pod.listening import listening

NAMESPACE, NAME = "prod", "completions"
TOKEN = "a-token"


class ApiServer:
    """Objects by path and name, and who watches them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.lists = 0
        self.watches = 0
        self._version = 100
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._oldest = 0
        self._forbidden: set[str] = set()
        self._changed = asyncio.Condition()
        self._cuts = 0
        self._stack: contextlib.AsyncExitStack | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Be there."""
        kind = "{kind:path}"
        app = Starlette(routes=[Route(f"/apis/{kind}", self._answer)])
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(listening(app, "127.0.0.1", self.port))

    async def stop(self) -> None:
        """Be away; watches break off."""
        assert self._stack is not None
        await self.cut()
        await self._stack.aclose()

    async def put(self, kind: str, found: dict[str, Any]) -> None:
        """Create or change an object."""
        key = (kind, found["metadata"]["name"])
        await self._note("MODIFIED" if key in self._objects else "ADDED", kind, found)
        self._objects[key] = self._history[-1][3]

    async def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        await self._note("DELETED", kind, self._objects.pop((kind, name)))

    async def cut(self) -> None:
        """Break every watch off in the middle of its chunked body."""
        async with self._changed:
            self._cuts += 1
            self._changed.notify_all()

    def forbid(self, kind: str) -> None:
        """Refuse to tell of a kind, as when a Role is missing."""
        self._forbidden.add(kind)

    def forget(self) -> None:
        """Know no version before this one: who goes on from an older one is told 410, as after compaction."""
        self._oldest = self._version

    async def _note(self, event: str, kind: str, found: dict[str, Any]) -> None:
        async with self._changed:
            self._version += 1
            metadata = {**found["metadata"], "resourceVersion": str(self._version)}
            self._history.append((self._version, event, kind, {**found, "metadata": metadata}))
            self._changed.notify_all()

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"kind": "Status", "code": 401, "message": "Unauthorized"}, 401)
        kind, query = request.path_params["kind"], request.query_params
        if kind in self._forbidden:
            return JSONResponse({"kind": "Status", "code": 403, "message": "forbidden"}, 403)
        if query.get("watch") in ("1", "true"):
            self.watches += 1
            return StreamingResponse(self._watch(kind, dict(query)), media_type="application/json")
        self.lists += 1
        items = [found for (of, _), found in self._objects.items() if of == kind and selects(query, found)]
        return JSONResponse({"metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _watch(self, kind: str, query: dict[str, str]) -> AsyncIterator[bytes]:
        seen, cuts = int(query["resourceVersion"]), self._cuts
        if seen < self._oldest:
            status = {
                "kind": "Status",
                "code": 410,
                "reason": "Expired",
                "message": "too old resource version",
            }
            yield line("ERROR", status)
            return
        while True:
            async with self._changed:
                while self._version <= seen and self._cuts <= cuts:
                    await self._changed.wait()
                news = [entry for entry in self._history if entry[0] > seen]
                if self._cuts > cuts:
                    raise ConnectionResetError("the watch is cut")
            for version, event, of, found in news:
                if of == kind and selects(query, found):
                    yield line(event, found)
                seen = version
            bookmark = {"kind": "Any", "metadata": {"resourceVersion": str(seen)}}
            yield line("BOOKMARK", bookmark)


def line(event: str, found: dict[str, Any]) -> bytes:
    return json.dumps({"type": event, "object": found}).encode() + b"\n"


def selects(query: Any, found: dict[str, Any]) -> bool:
    """Tell whether an object is of a field or label selector."""
    for selector, of in (
        ("fieldSelector", {"metadata.name": found["metadata"]["name"]}),
        ("labelSelector", None),
    ):
        key, _, value = query.get(selector, "").partition("=")
        labels = found["metadata"].get("labels", {}) if of is None else of
        if key and labels.get(key) != value:
            return False
    return True


DEPLOYMENTS = f"{names.API_VERSION}/namespaces/{NAMESPACE}/{names.PLURAL_DEPLOYMENT}"
SLICES = f"discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


def deployment(**routing: Any) -> dict[str, Any]:
    """Return a ModelDeployment with a routing document in its status."""
    document = {"version": 1, "salt": "s1", "staffGroups": ["staff"], **routing}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "status": {"routing": {"version": document["version"], "document": document}},
    }


def endpoint_slice(
    digest: str, name: str, ports: tuple[int, int], deployment: str = NAME, **conditions: bool
) -> dict[str, Any]:
    """Return the EndpointSlice of one engine on this machine; engines share the address, so each has its own."""
    return slice_of(
        names.engine_service(deployment, digest),
        name,
        dict(zip(("grpc", "http"), ports, strict=True)),
        **conditions,
    )


def slice_of(service: str, name: str, ports: dict[str, int], **conditions: bool) -> dict[str, Any]:
    """Return an EndpointSlice of a Service with one pod on this machine."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {SERVICE_LABEL: service}},
        "addressType": "IPv4",
        "ports": [{"name": called, "port": port} for called, port in ports.items()],
        "endpoints": [
            {
                "addresses": ["127.0.0.1"],
                "conditions": {"ready": True, "serving": True, "terminating": False, **conditions},
                "targetRef": {"kind": "Pod", "name": name, "uid": f"uid-{name}"},
            }
        ],
    }
