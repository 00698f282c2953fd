"""What kopf tells of its watches and what not (decision 0014). A loopback API server plays lists and streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.client import Connection
from daybreak_operator.shell.kube.resources import PRIMARIES
from daybreak_operator.shell.watches import kopf_events

GROUP = f"/apis/{names.GROUP}/{names.VERSION}"
RUNS = names.PLURAL_RUN


def thing(name: str, version: int) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "metadata": metadata}


def changed(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": thing(name, version)}


class Api:
    """Serves discovery, and of TrainingRuns the scripted lists and streams, the last of each for ever."""

    def __init__(self, lists: list[list[dict[str, Any]]], streams: list[list[dict[str, Any]]]) -> None:
        self.lists, self.streams = lists, streams
        self.num_lists = 0
        self.url = ""

    def connection(self) -> Connection:
        return Connection(self.url, None, False, None, None, None, None)

    async def discover(self, request: web.Request) -> web.Response:
        version = {"groupVersion": names.API_VERSION, "version": names.VERSION}
        group = {"name": names.GROUP, "versions": [version], "preferredVersion": version}
        resources = [
            {
                "name": one.plural,
                "singularName": "",
                "kind": one.kind,
                "namespaced": True,
                "verbs": ["get", "list", "patch", "watch"],
            }
            for one in PRIMARIES
        ]
        namespaces = {**resources[0], "name": "namespaces", "kind": "Namespace", "namespaced": False}
        known = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [namespaces]},
            "/apis": {"groups": [group]},
            GROUP: {"resources": resources},
        }
        return web.json_response(known.get(request.path, {"versions": [], "resources": [], "groups": []}))

    async def collection(self, request: web.Request) -> web.StreamResponse:
        scripted = request.match_info["plural"] == RUNS
        if "watch" not in request.query:
            self.num_lists += scripted
            items = (self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]) if scripted else []
            return web.json_response({"items": items, "metadata": {"resourceVersion": "100"}})
        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.streams.pop(0) if scripted and self.streams else []:
            await response.write(json.dumps(event).encode() + b"\n")
        if not scripted or not self.streams:
            await asyncio.sleep(0.2)
        return response


@asynccontextmanager
async def watching(api: Api) -> AsyncIterator[tuple[list[tuple[str | None, str]], asyncio.Task[None]]]:
    """Run kopf as the operator does against the server; gives what its handler was told, and its task."""
    app = web.Application()
    app.add_routes([web.get(GROUP + "/{plural}", api.collection), web.get("/{rest:.*}", api.discover)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    told: list[tuple[str | None, str]] = []
    stop = asyncio.Event()
    feed = kopf_events.Feed(
        lambda kind, body: told.append((kind, body["metadata"]["name"])), api.connection, (), 5.0, stop
    )
    task = asyncio.create_task(kopf_events.run(feed))
    try:
        yield told, task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=10)
        await runner.cleanup()


async def until(holds: Any, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


EXPIRED = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
BROKEN = {"type": "ERROR", "object": {"code": 500, "message": "etcdserver: request timed out"}}


async def test_both_kinds_are_listed_and_then_followed() -> None:
    async with watching(Api([[thing("first", 1)]], [[changed("ADDED", "second", 101)]])) as (told, task):
        await until(lambda: len(told) == 2)
        assert told == [(None, "first"), ("ADDED", "second")]
        assert not task.done()


async def test_an_object_that_went_while_the_place_was_too_old_is_told_of_by_nobody() -> None:
    """Why both kinds are listed from time to time: kopf lists again after a 410, and says only what is there."""
    api = Api([[thing("first", 1), thing("second", 2)], [thing("first", 1)]], [[EXPIRED], []])
    async with watching(api) as (told, task):
        await until(lambda: api.num_lists >= 2 and told.count((None, "first")) == 2)
        await asyncio.sleep(0.5)
        assert ("DELETED", "second") not in told
        assert not task.done()


async def test_a_watcher_that_meets_an_error_it_cannot_take_ends_the_feed() -> None:
    """Why no sign of life of kopf's own is looked for: what ended a watcher ends kopf, and that ends us."""
    async with watching(Api([[thing("first", 1)]], [[BROKEN]])) as (told, task):
        await until(task.done)
        assert told == [(None, "first")]
        with pytest.raises(TransientError, match="etcdserver: request timed out"):
            task.result()
