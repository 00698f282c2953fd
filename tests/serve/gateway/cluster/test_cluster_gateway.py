"""The gateway of a cluster: routing and engines as the API server tells them, and no request lost on the way.

Engines are processes that speak Triton's gRPC; the API server is `api_server`, over real HTTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.names import gateway_name, revision_key, short
from daybreak_contracts.ports import free_port
from daybreak_contracts.routing import Routing, choose
from daybreak_serve.local.serving import listen
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.api_server import (
    DEPLOYMENTS,
    NAME,
    NAMESPACE,
    SLICES,
    TOKEN,
    ApiServer,
    deployment,
    slice_of,
)
from tests.serve.echo_engine import NUMBERS
from tests.serve.gateways import (
    NEW,
    OLD,
    STAFF,
    Engine,
    RunningGateway,
    gateway_process,
    running_gateway,
    until,
)

pytestmark = pytest.mark.slow

SLOW = {"temperature": 0.5}
"""50 ms before each token."""


@dataclass
class Cluster(RunningGateway):
    """A gateway and the API server that it follows."""

    api: ApiServer

    async def route(self, **routing: Any) -> None:
        await self.api.put(DEPLOYMENTS, deployment(**routing))

    async def list(self, *engines: Engine, **conditions: bool) -> None:
        for one in engines:
            await self.api.put(SLICES, one.slice(**conditions))


@pytest.fixture
async def cluster(engines: dict[str, Engine], tmp_path: Path) -> AsyncIterator[Cluster]:
    """A gateway in this process; nothing is routed yet."""
    await asyncio.gather(*(one.wait() for one in engines.values()))
    api = ApiServer()
    await api.start()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with running_gateway(Access(api.url, tmp_path / "token"), NAMESPACE, NAME) as gateway:
        yield Cluster(**vars(gateway), api=api)
    await api.stop()


async def test_before_anything_is_routed_it_is_not_ready_and_says_503(cluster: Cluster) -> None:
    assert "no routing document" in await cluster.ready(503)
    response = await cluster.ask()
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert (await cluster.client.get("/livez")).status_code == 200
    await cluster.route(stable=OLD, holdMs=20)  # a revision without engines: ready to say so
    await cluster.ready()
    response = await cluster.ask()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_engine")


async def test_requests_are_spread_over_the_engines_of_the_stable_model(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(*engines.values())
    await cluster.route(stable=OLD)
    await cluster.ready()
    found = Counter(await asyncio.gather(*(cluster.answerer(f"user-{number}") for number in range(40))))
    assert set(found) == {"old-a", "old-b"}


async def test_a_held_request_is_answered_by_the_engine_that_comes(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.route(stable=OLD, holdMs=20_000)
    await cluster.ready()
    asking = asyncio.create_task(cluster.answerer())

    async def is_held() -> bool:
        return (await cluster.snapshot()).held == 1

    await until(is_held)
    await cluster.list(engines["old-a"])
    assert await asking == "old-a"


async def test_a_request_held_for_a_model_that_is_replaced_gets_the_new_one(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["new-a"])
    await cluster.route(stable=OLD, holdMs=20_000)
    await cluster.ready()
    asking = asyncio.create_task(cluster.answerer())

    async def is_held() -> bool:
        return (await cluster.snapshot()).held == 1

    await until(is_held)
    await cluster.route(version=2, stable=NEW, holdMs=20_000)
    assert await asking == "new-a"


async def test_the_staff_switch_reaches_new_requests_within_two_seconds_and_no_one_else(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(*engines.values())
    await cluster.route(stable=OLD, candidate=NEW)
    await cluster.ready()
    assert (await cluster.answerer(headers=STAFF)).startswith("old")
    await cluster.route(version=2, stable=OLD, candidate=NEW, staff=True)

    async def is_switched() -> bool:
        return await cluster.answerer(headers=STAFF) == "new-a"

    assert await until(is_switched) < 2.0
    public = [await cluster.answerer(user) for user in ("ada", "bob", "grace", None) for _ in range(5)]
    assert all(name.startswith("old") for name in public)
    claimed = await cluster.ask("grace", metadata={"groups": "staff"})  # groups come from the edge alone
    assert claimed.json()["choices"][0]["text"].startswith("old")


async def test_nobody_flips_back_while_the_weight_grows(cluster: Cluster, engines: dict[str, Engine]) -> None:
    users = [f"user-{number}" for number in range(30)]
    await cluster.list(*engines.values())
    switched: set[str] = set()
    for version, weight in enumerate((0, 10, 50, 100), 1):
        routing = {"version": version, "stable": OLD, "candidate": NEW, "weight": weight, "holdMs": 5000}
        await cluster.route(**routing)

        async def is_acted_by(version: int = version) -> bool:
            return (await cluster.snapshot()).routing_version == version

        await until(is_acted_by)
        await cluster.ready()
        names = await asyncio.gather(*(cluster.answerer(user) for user in users))
        found = {user for user, name in zip(users, names, strict=True) if name == "new-a"}
        document = deployment(**routing)["status"]["routing"]["document"]
        assert found == {user for user in users if choose(Routing(**document), user, ()) == NEW}
        assert found >= switched
        switched = found
        assert (await cluster.answerer() == "new-a") == (weight == 100)  # who has no name changes last
    assert switched == set(users)


async def test_a_candidate_without_engines_falls_back_to_stable_and_never_the_other_way(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD, candidate=NEW, staff=True, holdMs=20)
    await cluster.ready()
    assert await cluster.answerer(headers=STAFF) == "old-a"
    await cluster.list(engines["new-a"])

    async def is_switched() -> bool:
        return await cluster.answerer(headers=STAFF) == "new-a"

    await until(is_switched)
    await cluster.api.delete(SLICES, "old-a")

    async def is_refused() -> bool:
        return (await cluster.ask("ada")).status_code == 503

    await until(is_refused)
    refused = [await cluster.ask(f"user-{number}") for number in range(10)]
    assert {response.status_code for response in refused} == {503}
    assert refused[0].headers["retry-after"] == "5"
    assert await cluster.answerer(headers=STAFF) == "new-a"


async def load(cluster: Cluster, seconds: float, rate: int, **body: Any) -> list[httpx.Response]:
    """Send requests at a rate, whatever becomes of the earlier ones."""
    loop, tasks = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        tasks.append(asyncio.create_task(cluster.ask(f"user-{number}", **body)))
    return await asyncio.gather(*tasks)


async def test_an_engine_killed_under_load_loses_no_request(
    cluster: Cluster, engines: dict[str, Engine], model: ModelFolder, tmp_path: Path
) -> None:
    doomed = Engine(tmp_path, model, OLD, "doomed")
    await doomed.wait()
    await cluster.list(engines["old-a"], engines["old-b"], doomed)
    await cluster.route(stable=OLD, holdMs=5000)
    await cluster.ready()
    loading = asyncio.create_task(load(cluster, 2.0, 100, max_tokens=2, temperature=0.2))

    async def is_used() -> bool:
        return await cluster.is_answered_by("doomed")

    for _ in range(10):
        await until(is_used)
    doomed.child.kill()  # no EndpointSlice tells of it
    responses = await loading
    assert Counter(response.status_code for response in responses) == {200: 200}
    texts = Counter(response.json()["choices"][0]["text"].split()[0] for response in responses)
    assert set(texts) == {"old-a", "old-b", "doomed"}
    assert all(len(set(response.json()["choices"][0]["text"].split())) == 1 for response in responses)
    assert (await cluster.snapshot()).models[OLD].errors == 0


async def test_a_request_that_a_candidate_lets_down_is_answered_by_stable_and_counted_against_the_candidate(
    cluster: Cluster, engines: dict[str, Engine], model: ModelFolder, tmp_path: Path
) -> None:
    doomed = Engine(tmp_path, model, NEW, "doomed")
    await doomed.wait()
    await cluster.list(engines["old-a"], doomed)
    await cluster.route(stable=OLD, candidate=NEW, staff=True, holdMs=5000)
    await cluster.ready()
    assert await cluster.answerer(headers=STAFF) == "doomed"
    began = time.monotonic()
    asking = asyncio.create_task(cluster.ask(headers=STAFF, max_tokens=20, **SLOW))

    async def is_asked() -> bool:
        snapshot = await cluster.snapshot()
        return snapshot.models[NEW].inflight == 1

    await until(is_asked)
    await asyncio.sleep(0.3)  # within its answer
    doomed.child.kill()
    answer = await asking
    assert (answer.status_code, answer.json()["system_fingerprint"]) == (200, short(OLD))
    models = (await cluster.snapshot()).models
    assert (models[NEW].requests, models[NEW].errors) == (2, 1)
    assert (models[OLD].requests, models[OLD].errors) == (1, 0)
    assert models[OLD].seconds <= time.monotonic() - began - 0.3, "stable pays for the candidate's time"
    # an engine that is known to be away is nobody's failure: it may be a machine that went
    assert await cluster.answerer(headers=STAFF) == "old-a"
    assert (await cluster.snapshot()).models[NEW].requests == 2


@pytest.mark.slow
async def test_an_engine_that_falls_silent_loses_no_request(
    cluster: Cluster, engines: dict[str, Engine], model: ModelFolder, tmp_path: Path
) -> None:
    silent = Engine(tmp_path, model, OLD, "silent")
    await silent.wait()
    await cluster.list(silent)
    await cluster.route(stable=OLD, holdMs=5000)
    await cluster.ready()
    assert await cluster.answerer() == "silent"
    os.kill(
        silent.child.pid, signal.SIGSTOP
    )  # as a machine without power: nothing is refused, nothing answered
    try:
        asking = [asyncio.create_task(cluster.answerer(f"user-{number}")) for number in range(5)]
        await cluster.list(engines["old-a"])
        async with asyncio.timeout(20):  # pings find it out; the bound of an answer is 30 s
            assert set(await asyncio.gather(*asking)) == {"old-a"}
    finally:
        os.kill(silent.child.pid, signal.SIGCONT)
        silent.child.stop(1)


async def is_answered(cluster: Cluster) -> bool:
    return (await cluster.ask()).status_code == 200


@pytest.mark.parametrize(
    ("label", "code"),
    [
        pytest.param("counting", None, id="the same text goes on"),
        pytest.param("other", "engine_error", id="another text ends it"),
    ],
)
async def test_a_stream_goes_on_from_another_engine(
    cluster: Cluster, model: ModelFolder, tmp_path: Path, label: str, code: str | None
) -> None:
    doomed = Engine(tmp_path, model, OLD, "doomed", "counting", max_concurrency=1)
    other = Engine(tmp_path, model, OLD, "other", label)
    await asyncio.gather(doomed.wait(), other.wait())
    await cluster.list(doomed)
    await cluster.route(stable=OLD)
    await cluster.ready()
    body = {"prompt": "x", "max_tokens": 60, "stream": True, "temperature": 0.5}
    body["stream_options"] = {"include_usage": True}
    try:
        async with cluster.client.stream("POST", "/v1/completions", json=body) as response:
            lines = response.aiter_lines()
            heard = [await anext(lines) for _ in range(7)]
            await cluster.list(other)
            await until(lambda: is_answered(cluster))  # the one's only place is taken: by the other
            doomed.child.kill()
            heard += [line async for line in lines]
    finally:
        other.child.stop(1)
    pieces = [json.loads(line[6:]) for line in heard if line and line != "data: [DONE]"]
    text = "".join(choice["text"] for piece in pieces for choice in piece.get("choices", ()))
    assert pieces[-1].get("error", {}).get("code") == code
    if code is None:
        assert text.split()[:11] == ["1", *NUMBERS, "one"]  # nothing twice, nothing left out
        assert len(text.split()) == 60
        assert pieces[-1]["usage"]["completion_tokens"] == 60
        assert heard[-2:] == ["data: [DONE]", ""]
    else:
        assert "other" not in text


async def test_an_engine_that_ends_gets_nothing_new_and_finishes_what_it_has(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    running = asyncio.create_task(cluster.ask(max_tokens=10, **SLOW))

    async def is_running() -> bool:
        return (await cluster.snapshot()).inflight == 1

    await until(is_running)
    await cluster.list(engines["old-b"])
    await cluster.list(engines["old-a"], ready=False, terminating=True)

    async def is_empty() -> bool:
        return {await cluster.answerer() for _ in range(10)} == {"old-b"}

    await until(is_empty)
    await cluster.api.delete(SLICES, "old-a")
    assert (await running).json()["choices"][0]["text"].split() == ["old-a"] * 10


async def test_a_watch_that_is_cut_goes_on_where_it_was(cluster: Cluster, engines: dict[str, Engine]) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    lists = cluster.api.lists
    await cluster.api.cut()
    await cluster.list(engines["new-a"])
    await cluster.route(version=2, stable=NEW)

    async def is_switched() -> bool:
        return await cluster.is_answered_by("new-a")

    await until(is_switched)
    assert cluster.api.lists == lists + 1  # of the new revision's engines; nothing was listed again


async def test_a_watch_whose_place_is_forgotten_lists_again(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    await cluster.api.stop()
    await cluster.list(engines["old-b"])
    await cluster.api.delete(SLICES, "old-a")
    await cluster.route(version=2, stable=OLD, holdMs=5000)
    cluster.api.forget()
    await cluster.api.start()

    async def is_moved() -> bool:
        return (await cluster.snapshot()).routing_version == 2 and await cluster.is_answered_by("old-b")

    await until(is_moved)


async def test_without_an_api_server_it_serves_on_and_learns_when_it_is_back(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"], engines["new-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    await cluster.api.stop()
    responses = await load(cluster, 0.5, 40)
    assert {response.status_code for response in responses} == {200}
    assert (await cluster.client.get("/readyz")).status_code == 200
    await cluster.route(version=2, stable=NEW)  # while nobody could tell the gateway
    await cluster.api.start()

    async def is_switched() -> bool:
        return await cluster.is_answered_by("new-a")

    await until(is_switched)
    away = [line for line in cluster.lines if "stays in force" in line]
    assert 1 <= len(away) <= 3  # one line for each watch, not one for each try
    assert any("answers again" in line for line in cluster.lines)


async def test_a_gateway_that_was_ready_stays_so_whatever_it_cannot_learn(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    cluster.api.forbid(SLICES)  # the candidate's engines cannot be read
    await cluster.route(version=2, stable=OLD, candidate=NEW, holdMs=20)

    async def is_at_two() -> bool:
        return (await cluster.snapshot()).routing_version == 2

    await until(is_at_two)
    assert (await cluster.client.get("/readyz")).status_code == 200
    assert await cluster.answerer() == "old-a"


async def test_a_document_that_cannot_be_read_or_is_old_is_ignored(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(engines["old-a"], engines["new-a"])
    await cluster.route(version=5, stable=OLD)
    await cluster.ready()
    await cluster.route(version=6, stable=NEW, weight=101)
    await cluster.route(version=4, stable=NEW)
    await cluster.api.put(DEPLOYMENTS, {**deployment(), "status": {}})
    await cluster.route(version=7, stable=OLD, holdMs=77)

    async def is_at_seven() -> bool:
        return (await cluster.snapshot()).routing_version == 7

    await until(is_at_seven)
    assert await cluster.answerer() == "old-a"
    (ignored,) = [line for line in cluster.lines if "ignored" in line]
    assert "weight" in ignored
    await cluster.api.delete(DEPLOYMENTS, NAME)
    assert await cluster.answerer() == "old-a"


async def test_the_same_model_on_another_runtime_is_a_revision_of_its_own(
    cluster: Cluster, engines: dict[str, Engine], model: ModelFolder, tmp_path: Path
) -> None:
    key = revision_key(OLD, "another image")
    again = Engine(tmp_path, model, OLD, "again")
    await again.wait()
    again.digest = key  # its slice is in the Service of that revision; it says the model's digest
    try:
        await cluster.list(engines["old-a"], again)
        await cluster.route(stable=OLD, candidate=key, staff=True)
        await cluster.ready()

        async def is_switched() -> bool:
            return await cluster.answerer(headers=STAFF) == "again"

        await until(is_switched)
        assert {await cluster.answerer() for _ in range(5)} == {"old-a"}
        assert {OLD, key} <= set((await cluster.snapshot()).models)
        shown = (await cluster.client.get("/v1/models", headers=STAFF)).json()["data"][0]
        assert shown["digest"] == OLD
    finally:
        again.child.stop(1)


async def test_an_engine_of_another_model_is_never_asked(
    cluster: Cluster, engines: dict[str, Engine], model: ModelFolder, tmp_path: Path
) -> None:
    stray = Engine(tmp_path, model, NEW, "stray")
    await stray.wait()
    stray.digest = OLD  # its slice is in the old model's Service
    other = Engine(tmp_path, model, OLD, "other", tokenizer_sha256="f" * 64)
    await other.wait()
    try:
        await cluster.list(engines["old-a"], stray)
        await cluster.route(stable=OLD)
        await cluster.ready()

        async def is_told() -> bool:
            return any("it serves 1111" in line for line in cluster.lines)

        await until(is_told)
        assert {await cluster.answerer() for _ in range(10)} == {"old-a"}
        await cluster.list(other)

        async def is_told_too() -> bool:
            return any("tokenizer is another" in line for line in cluster.lines)

        await until(is_told_too)
        assert {await cluster.answerer() for _ in range(10)} == {"old-a"}
    finally:
        stray.child.stop(1)
        other.child.stop(1)


async def test_metrics_tell_by_model_what_was_answered_shown_and_kept(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await cluster.list(*engines.values())
    await cluster.route(version=3, stable=OLD, candidate=NEW, staff=True, holdMs=5000)
    await cluster.ready()
    answers = [await cluster.ask("ada"), await cluster.ask(headers=STAFF), await cluster.ask("bob")]
    ids = [answer.json()["id"] for answer in answers]
    told = [answer.json()["system_fingerprint"] for answer in answers]
    assert told == [short(digest) for digest in (OLD, NEW, OLD)]
    assert (await cluster.ask(temperature=3)).status_code == 400
    for completion_id in ids[:2]:
        for event in (
            {"event": "shown"},
            {"event": "partiallyAccepted", "characters": 2},
            {"event": "accepted"},
            {"event": "retained", "characters": 3, "after_s": 30},
            {"event": "retained", "characters": 3, "after_s": 120},
        ):
            response = await cluster.client.post("/v1/events", json={"completion_id": completion_id, **event})
            assert response.json() == {"accepted": 1, "repeated": 0}
    lying = {"completion_id": ids[0], "event": "shown", "model": NEW}
    assert (await cluster.client.post("/v1/events", json=lying)).status_code == 400
    snapshot = await cluster.snapshot()
    assert (snapshot.routing_version, snapshot.arrivals, snapshot.rejected) == (3, 4, 0)
    assert sum(snapshot.arrivals_by_second) <= 4
    assert len(snapshot.arrivals_by_second) == 60
    old, new = snapshot.models[OLD], snapshot.models[NEW]
    assert (old.requests, new.requests) == (2, 1)
    assert (old.shown, old.accepted, old.retained_characters) == (1, 1, 3)
    assert (new.shown, new.accepted, new.retained_characters) == (1, 1, 3)
    assert sum(old.latency_buckets) == 2
    assert old.seconds > 0
    text = (await cluster.client.get(f"{cluster.metrics_url}/metrics")).text
    assert 'suggestions_shown_total{language="unknown",model="daybreak",revision="1111111111"} 1.0' in text
    assert (await cluster.client.get("/metrics")).status_code == 404  # not on the users' port
    assert (await cluster.client.get("/snapshot")).status_code == 404


async def test_an_event_finds_the_gateway_that_answered(
    cluster: Cluster, engines: dict[str, Engine], tmp_path: Path
) -> None:
    await cluster.list(engines["old-a"])
    await cluster.route(stable=OLD)
    await cluster.ready()
    access = Access(cluster.api.url, tmp_path / "token")
    async with running_gateway(access, NAMESPACE, NAME) as other:
        await other.ready()
        for gateway in (cluster, other):
            ports = {"http": gateway.port}
            await cluster.api.put(SLICES, slice_of(gateway_name(NAME), f"gateway-{gateway.port}", ports))
        mine, theirs = [(await gateway.ask()).json()["id"] for gateway in (cluster, other)]

        async def is_taken() -> bool:
            events = [{"completion_id": one, "event": "shown"} for one in (mine, theirs)]
            response = await cluster.client.post("/v1/events", json={"events": events})
            return response.status_code == 200

        await until(is_taken)  # at first it does not know the other one: 404, and nothing is counted
        counted = [(await gateway.snapshot()).models[OLD].shown for gateway in (cluster, other)]
        assert counted == [1, 1]
        wrong = {"completion_id": theirs, "event": "partiallyAccepted", "characters": 99}
        response = await cluster.client.post("/v1/events", json=wrong)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "characters")
        unknown = {"completion_id": theirs[:-1], "event": "shown"}
        assert (await cluster.client.post("/v1/events", json=unknown)).status_code == 404
    assert (await cluster.client.post("/v1/events", json=wrong)).status_code == 503


async def mirror_all(cluster: Cluster, engines: dict[str, Engine]) -> None:
    """Let the candidate see every request; return when it has seen one."""
    await cluster.list(*engines.values())
    await cluster.route(stable=OLD, candidate=NEW, shadowPercent=100)
    await cluster.ready()

    async def is_mirrored() -> bool:
        await cluster.answerer("ada")
        snapshot = await cluster.snapshot()
        return NEW in snapshot.models and snapshot.models[NEW].shadow_requests > 0

    await until(is_mirrored)


async def test_shadow_requests_are_asked_after_the_answer_and_counted_apart(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await mirror_all(cluster, engines)
    snapshot = await cluster.snapshot()
    assert (snapshot.models[NEW].requests, snapshot.models[NEW].shown) == (0, 0)
    assert snapshot.models[NEW].shadow_errors == 0
    assert snapshot.models[OLD].requests == snapshot.arrivals


async def test_no_user_waits_for_a_mirrored_request_and_it_is_no_load(
    cluster: Cluster, engines: dict[str, Engine]
) -> None:
    await mirror_all(cluster, engines)
    os.kill(engines["new-a"].child.pid, signal.SIGSTOP)  # what is mirrored from now on hangs
    try:
        answerers = [await cluster.answerer(f"user-{number}") for number in range(20)]
        snapshot = await cluster.snapshot()
    finally:
        os.kill(engines["new-a"].child.pid, signal.SIGCONT)
    assert {name[:3] for name in answerers} == {"old"}
    assert (snapshot.inflight, snapshot.held, snapshot.models[NEW].inflight) == (0, 0, 0)
    known = snapshot.models[NEW].shadow_requests

    async def is_told() -> bool:
        return (await cluster.snapshot()).models[NEW].shadow_requests > known

    await until(is_told)
    assert (await cluster.snapshot()).models[NEW].requests == 0


async def test_what_its_asker_gave_up_is_never_mirrored(cluster: Cluster, engines: dict[str, Engine]) -> None:
    await cluster.list(*engines.values())
    await cluster.route(stable=OLD, candidate=NEW, staff=True, holdMs=5000)
    await cluster.ready()

    async def is_proven() -> bool:
        return await cluster.answerer(headers=STAFF) == "new-a"

    await until(is_proven)
    await cluster.route(version=2, stable=OLD, candidate=NEW, shadowPercent=100)

    async def is_routed() -> bool:
        return (await cluster.snapshot()).routing_version == 2

    await until(is_routed)
    body = {"prompt": "x", "max_tokens": 64, "stream": True, **SLOW}
    for _ in range(3):
        async with cluster.client.stream("POST", "/v1/completions", json=body) as response:
            assert "old" in await anext(response.aiter_lines())

    async def are_given_up() -> bool:
        return (await cluster.snapshot()).models[OLD].cancelled == 3

    await until(are_given_up)
    answered = 0

    async def is_mirrored() -> bool:
        nonlocal answered
        answered += (await cluster.answerer("ada")).startswith("old")
        return (await cluster.snapshot()).models[NEW].shadow_requests > 0

    await until(is_mirrored)
    assert (await cluster.snapshot()).models[NEW].shadow_requests <= answered


async def test_the_model_that_is_listed_is_the_askers(cluster: Cluster, engines: dict[str, Engine]) -> None:
    await cluster.list(*engines.values())
    await cluster.route(stable=OLD, candidate=NEW, staff=True, holdMs=5000)
    await cluster.ready()
    await cluster.answerer(headers=STAFF)
    (mine,) = (await cluster.client.get("/v1/models", headers=STAFF)).json()["data"]
    (theirs,) = (await cluster.client.get("/v1/models")).json()["data"]
    assert (mine["digest"], theirs["digest"]) == (NEW, OLD)
    assert mine["context_length"] == 256


CANNOT_START = [
    (["--deployment", "completions"], "NAMESPACE/NAME"),
    (["--deployment", "a/b"], "this is no pod, give --api-server"),
    (
        ["--deployment", "a/b", "--api-server", "http://127.0.0.1:1", "--api-keys", "/none"],
        "/none: cannot be read",
    ),
    (["--deployment", "a/b", "--api-server", "http://127.0.0.1:1", "--jwt", "{}"], "--jwt: "),
    (
        ["--deployment", "a/b", "--api-server", "https://127.0.0.1:1", "--ca-file", "/none"],
        "/none: cannot be read as certificates",
    ),
    (
        ["--deployment", "a/b", "--api-server", "http://127.0.0.1:1", "--metrics-port", "TAKEN"],
        "is the port taken?",
    ),
    (["--deployment", "a/b", "--api-server", "http://127.0.0.1:1", "--port", "TAKEN"], "is the port taken?"),
]
ONE_AFTER_THE_OTHER = """
import json, sys
from daybreak_serve.pod.__main__ import main
for options in json.loads(sys.argv[1]):
    print("ended with", main(options), file=sys.stderr)
"""


def test_a_gateway_that_cannot_start_says_why() -> None:
    """All in one process: the gateway takes over a second to be imported."""
    with listen("127.0.0.1", 0) as taken:
        number = str(taken.getsockname()[1])
        ports = ["--host", "127.0.0.1", "--port", str(free_port()), "--metrics-port", str(free_port())]
        turns = [
            ["gateway", *ports, *(number if option == "TAKEN" else option for option in options)]
            for options, _ in CANNOT_START
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES")}
        command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(turns)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
    ended = re.findall(r"^gateway: (.*)\nended with (\d+)$", done.stderr, re.MULTILINE)
    assert [code for _, code in ended] == ["2"] * len(CANNOT_START), done.stderr
    for (_, reason), (said, _) in zip(CANNOT_START, ended, strict=True):
        assert reason in said


@pytest.mark.slow
async def test_the_pod_goes_on_for_a_while_after_sigterm_and_leaves(
    engines: dict[str, Engine], tmp_path: Path
) -> None:
    api = ApiServer()
    await api.start()
    await asyncio.gather(*(one.wait() for one in engines.values()))
    (tmp_path / "token").write_text(TOKEN)
    await api.put(SLICES, engines["old-a"].slice())
    await api.put(DEPLOYMENTS, deployment(stable=OLD))
    try:
        async with gateway_process(api.url, f"{NAMESPACE}/{NAME}", tmp_path, 20) as gateway:
            client = gateway.client
            os.kill(gateway.child.pid, signal.SIGTERM)

            async def is_told() -> bool:
                return (await client.get("/readyz")).status_code == 503

            await until(is_told)
            async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as late:
                answer = await late.post("/v1/completions", json={"prompt": "x"})
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    finally:
        await api.stop()
