"""A gateway's view of the cluster: the ModelDeployment's routing document and the engines of its revisions.

What was learnt stays in force while the API server is away. Owns neither requests nor the rule that routes them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.routing import Routing
from daybreak_serve.gateway.cluster.apiserver import ApiServer
from daybreak_serve.gateway.cluster.endpoint_slices import (
    SERVICE_LABEL,
    ListedEndpoint,
    as_listed,
    engines_of,
)
from daybreak_serve.gateway.cluster.peers import Peers
from daybreak_serve.gateway.experiments.fleet import ServedRevision, ServingFleet, model_of
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint
from daybreak_serve.model_metadata import ModelMetadata, check_tokenizer

METADATA_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
DEPLOYMENTS = f"/apis/{names.API_VERSION}/namespaces/{{}}/{names.PLURAL_DEPLOYMENT}"


@dataclass
class _Following:
    """What one revision's Service is known to hold."""

    revision: ServedRevision
    task: asyncio.Task[None] | None = None
    listed: dict[str, ListedEndpoint] = field(default_factory=dict)
    joining: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    is_synced: bool = False


@dataclass(frozen=True)
class Followed:
    """What a gateway follows: one ModelDeployment, by one API server."""

    api: ApiServer
    namespace: str
    name: str
    locate: Callable[[ListedEndpoint], ListedEndpoint] = as_listed
    """How engines and other gateways are reached."""


class ClusterView:
    """Keeps a `ServingFleet` and `Peers` as the cluster has them."""

    def __init__(
        self, fleet: ServingFleet, peers: Peers, followed: Followed, log: Callable[[str], None]
    ) -> None:
        self._fleet = fleet
        self._peers = peers
        self._api = followed.api
        self._namespace, self._name = followed.namespace, followed.name
        self._log = log
        self._locate = followed.locate
        self._followed: dict[str, _Following] = {}
        self._following_peers: asyncio.Task[None] | None = None
        self._was_ready = False
        self._metadata_client = httpx.AsyncClient(trust_env=False, timeout=METADATA_TIMEOUT_S)
        self._ending: set[asyncio.Task[None]] = set()
        self.is_wrong = False

    @property
    def reason(self) -> str | None:
        """Why this gateway is not ready; None: it knows whom to ask, or that nobody can be asked.

        Once ready it stays so: a revision that is not read yet, with an API server that is away, must not take
        all gateways from those who get the other revision.
        """
        found = None if self._was_ready else self._missing()
        self._was_ready = found is None
        return found

    def _missing(self) -> str | None:
        if self._fleet.routing is None:
            return f"no routing document was read yet of {self._namespace}/{self._name}"
        for digest, followed in self._followed.items():
            if not followed.is_synced:
                return f"the engines of {names.short(digest)} were not read yet"
            is_stable = digest == self._fleet.routing.stable
            if is_stable and followed.joining and not followed.revision.pool.endpoints:
                return f"the model metadata of {names.short(digest)} was not read yet"
        return None

    @property
    def has_died(self) -> bool:
        """Tell whether a part of the view ended by a bug: the gateway would serve by an old picture for ever."""
        tasks = [task for one in self._followed.values() for task in (one.task, *one.joining.values())]
        tasks.append(self._following_peers)
        return any(task is not None and task.done() for task in tasks)

    async def run(self) -> None:
        """Follow the ModelDeployment until cancelled."""
        self._following_peers = asyncio.create_task(self._follow_peers())
        path, selector = DEPLOYMENTS.format(self._namespace), {"fieldSelector": f"metadata.name={self._name}"}
        async for change in self._api.follow(path, selector):
            for found in change.objects:
                if change.kind != "DELETED":
                    self._take(found)

    async def close(self) -> None:
        """Stop following."""
        if self._following_peers is not None:
            self._end(self._following_peers)
        for digest in list(self._followed):
            self._forget(digest)
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._metadata_client.aclose()
        await self._api.close()

    def _take(self, found: dict[str, Any]) -> None:
        """Act by the routing document of an object; one that cannot be read is a line in the log."""
        document = ((found.get("status") or {}).get("routing") or {}).get("document")
        if not document:
            return
        try:
            routing = Routing.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            self._log(f"a routing document is ignored, the last one stays in force: {place}: {first['msg']}")
            return
        if not self._fleet.route(routing):
            return
        self._log(f"routing {routing.model_dump_json(by_alias=True)}")
        for digest in set(self._followed) - set(self._fleet.revisions):
            self._forget(digest)
        for digest, revision in self._fleet.revisions.items():
            if digest not in self._followed:
                following = self._followed[digest] = _Following(revision)
                following.task = asyncio.create_task(self._follow(following))

    def _forget(self, digest: str) -> None:
        following = self._followed.pop(digest)
        for task in [following.task, *following.joining.values()]:
            if task is not None:
                self._end(task)

    def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _follow(self, following: _Following) -> None:
        service = names.engine_service(self._name, following.revision.digest)
        async for slices in self._slices_of(service):
            self._update(following, engines_of(slices))
            following.is_synced = True

    async def _follow_peers(self) -> None:
        async for slices in self._slices_of(names.gateway_name(self._name)):
            self._peers.set(map(self._locate, engines_of(slices).values()))

    async def _slices_of(self, service: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield all EndpointSlices of a Service at each change."""
        selector, slices = {"labelSelector": f"{SERVICE_LABEL}={service}"}, dict[str, dict[str, Any]]()
        async for change in self._api.follow(SLICES.format(self._namespace), selector):
            if change.kind == "LISTED":
                slices.clear()
            for found in change.objects:
                if change.kind == "DELETED":
                    slices.pop(found["metadata"]["name"], None)
                else:
                    slices[found["metadata"]["name"]] = found
            yield list(slices.values())

    def _update(self, following: _Following, listed: dict[str, ListedEndpoint]) -> None:
        """Bring a revision's engines in line with what is listed."""
        pool = following.revision.pool
        for name in set(following.listed) - set(listed):
            joining = following.joining.pop(name, None)
            if joining is not None:
                self._end(joining)
        present = {endpoint.name: endpoint for endpoint in pool.endpoints}
        for name in set(present) - set(listed):
            pool.remove(name)
        for name, engine in listed.items():
            if name in present:
                present[name].is_open = engine.is_open
            elif engine.is_open and name not in following.joining:
                following.joining[name] = asyncio.create_task(self._join(following, engine))
        following.listed = listed
        pool.wake_waiting()

    async def _join(self, following: _Following, engine: ListedEndpoint) -> None:
        """Read an engine's metadata, prove the engine and add it to the pool."""
        pause_s, last = FIRST_PAUSE_S, ""
        while True:
            try:
                endpoint = await self._introduce(following.revision, self._locate(engine))
                break
            except (httpx.HTTPError, ValueError, UserError) as error:
                if str(error) != last:
                    self._log(f"{engine.http}: no model metadata yet: {type(error).__name__}: {error}")
                last = str(error)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
        try:
            await endpoint.readiness.probe()
        except asyncio.CancelledError:
            await endpoint.engine.close()
            raise
        endpoint.is_open = following.listed[engine.name].is_open
        following.revision.pool.add(endpoint)
        following.joining.pop(engine.name, None)

    async def _introduce(self, revision: ServedRevision, engine: ListedEndpoint) -> Endpoint:
        """Return an engine that showed the metadata of this revision; anything else is a ValueError."""
        response = await self._metadata_client.get(f"{engine.http}/model")
        response.raise_for_status()
        metadata = ModelMetadata.model_validate_json(response.content)
        if not metadata.is_of(names.model_of(revision.digest)):
            raise ValueError(f"it serves {metadata.digest}, not {revision.digest}")
        if revision.model is None:
            response = await self._metadata_client.get(f"{engine.http}/tokenizer")
            response.raise_for_status()
            tokenizer = check_tokenizer(response.content, metadata)
            model = await asyncio.to_thread(model_of, metadata, tokenizer)
            revision.model = revision.model or model
        if metadata.tokenizer_sha256 != revision.model.metadata.tokenizer_sha256:
            raise ValueError("its tokenizer is another than that of the revision's other engines")
        return self._fleet.new_endpoint(engine.name, engine.address, revision.model, metadata.max_concurrency)


async def probe(fleet: ServingFleet, interval_s: float, every: int) -> None:
    """Prove engines again that were doubted, each interval; ask the others each ``every`` intervals. For ever."""
    running: dict[Endpoint, asyncio.Task[None]] = {}
    turn = 0
    try:
        while True:
            for revision in list(fleet.revisions.values()):
                for endpoint in revision.pool.endpoints:
                    is_due = not endpoint.readiness.is_proven or turn % every == 0
                    if is_due and endpoint not in running:
                        running[endpoint] = asyncio.create_task(_probe(revision, endpoint))
            turn += 1
            await asyncio.sleep(interval_s)
            running = {endpoint: task for endpoint, task in running.items() if not task.done()}
    finally:
        for task in running.values():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*running.values(), return_exceptions=True)


async def _probe(revision: ServedRevision, endpoint: Endpoint) -> None:
    await endpoint.readiness.probe()
    revision.pool.wake_waiting()
