"""Who may ask the gateways of a cluster: keys from a mounted Secret, tokens of an issuer, events between gateways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.names import gateway_name
from daybreak_contracts.resources.access import AccessLimits, TokenIssuer
from daybreak_serve.gateway.auth.api_keys import LOOK_S, new_key
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
from tests.serve.gateways import NEW, OLD, STAFF, Engine, RunningGateway, running_gateway, until
from tests.serve.issuer_server import AUDIENCE, Issuer, running_issuer

pytestmark = pytest.mark.slow

LIMITS = {
    "user": {"concurrency": 1},
    "groups": [{"name": "busy", "requestsPerMinute": 2}, {"name": "interns", "tokensPerDay": 5}],
}
SLOW = {"temperature": 0.5, "max_tokens": 20}
"""A second."""


@dataclass
class GuardedCluster:
    """Two gateways that ask for credentials, an old model for everybody, a new one for staff."""

    gateways: list[RunningGateway]
    issuer: Issuer
    secret: Path
    ci_key: str


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


@pytest.fixture
async def guarded(engines: dict[str, Engine], tmp_path: Path) -> AsyncIterator[GuardedCluster]:
    await asyncio.gather(*(one.wait() for one in engines.values()))
    api = ApiServer()
    await api.start()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    ci_key, digest = new_key()
    secret = tmp_path / "keys"
    secret.write_text(f"ci sha256:{digest} robots\n")
    for one in ("old-a", "new-a"):
        await api.put(SLICES, engines[one].slice())
    await api.put(DEPLOYMENTS, deployment(stable=OLD, candidate=NEW, staff=True, holdMs=5000))
    async with contextlib.AsyncExitStack() as stack:
        issuer = stack.enter_context(running_issuer())
        changes: dict[str, Any] = {
            "api_keys": str(secret),
            "jwt": TokenIssuer(issuer=issuer.url, audience=AUDIENCE),
            "limits": AccessLimits.model_validate(LIMITS),
        }
        access = Access(api.url, tmp_path / "token")
        gateways = [
            await stack.enter_async_context(running_gateway(access, NAMESPACE, NAME, **changes))
            for _ in range(2)
        ]
        for gateway in gateways:
            await gateway.ready()
            ports = {"http": gateway.port}
            await api.put(SLICES, slice_of(gateway_name(NAME), f"gateway-{gateway.port}", ports))
        yield GuardedCluster(gateways, issuer, secret, ci_key)
    await api.stop()


async def test_the_token_says_who_is_staff_and_headers_do_not(guarded: GuardedCluster) -> None:
    gateway, issuer = guarded.gateways[0], guarded.issuer
    staff, other = bearer(issuer.token(groups=["staff"])), bearer(issuer.token(groups=["berlin"]))
    assert (await gateway.client.get("/livez")).status_code == 200
    assert (await gateway.ask(headers=STAFF)).status_code == 401
    assert await gateway.answerer(headers=staff) == "new-a"
    assert await gateway.answerer(headers=other) == "old-a"
    assert await gateway.answerer(headers={**other, **STAFF}) == "old-a"
    assert await gateway.answerer(headers=bearer(issuer.token(groups=["x,staff"]))) == "old-a"
    assert await gateway.answerer(user="grace", headers=bearer(guarded.ci_key)) == "old-a"


async def test_an_event_is_handed_on_in_its_senders_name(guarded: GuardedCluster) -> None:
    mine, theirs = guarded.gateways
    sender = bearer(guarded.issuer.token())
    completion = (await theirs.ask(headers=sender)).json()["id"]

    async def is_taken() -> bool:
        event = {"completion_id": completion, "event": "shown"}
        return (await mine.client.post("/v1/events", json=event, headers=sender)).status_code == 200

    await until(is_taken)
    assert (await theirs.snapshot()).models[OLD].shown == 1


async def test_a_key_that_is_taken_out_of_the_secret_opens_nothing_any_more(guarded: GuardedCluster) -> None:
    key, digest = new_key()
    gateway = guarded.gateways[0]
    assert (await gateway.ask(headers=bearer(guarded.ci_key))).status_code == 200
    guarded.secret.write_text(f"ada sha256:{digest} staff\n")

    async def is_closed() -> bool:
        return (await gateway.ask(headers=bearer(guarded.ci_key))).status_code == 401

    assert await until(is_closed) < LOOK_S + 2
    assert await gateway.answerer(headers=bearer(key)) == "new-a"


async def test_limits_of_groups_hold_for_all_of_them_and_say_until_when(guarded: GuardedCluster) -> None:
    gateway, issuer = guarded.gateways[0], guarded.issuer
    for user, status in (("a", 200), ("b", 200), ("c", 429)):
        answer = await gateway.ask(headers=bearer(issuer.token(sub=user, groups=["busy"])))
        assert answer.status_code == status
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    intern = bearer(issuer.token(sub="d", groups=["interns"]))
    assert (await gateway.ask(headers=intern, max_tokens=5)).status_code == 200
    answer = await gateway.ask(headers=intern)
    assert answer.status_code == 429
    assert "tokens of this day" in answer.json()["error"]["message"]
    key = intern["authorization"].removeprefix("Bearer ")
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.client.base_url}/v1", api_key=key, max_retries=0
    ) as client:
        with pytest.raises(openai.RateLimitError, match="tokens of this day"):
            await client.completions.create(model="daybreak", prompt="x")
    assert (await gateway.snapshot()).rejected == 0  # no engine was wanting


async def test_who_types_on_is_not_limited_by_what_is_given_up(guarded: GuardedCluster) -> None:
    gateway, user = guarded.gateways[0], bearer(guarded.issuer.token())
    in_file = {**user, "x-daybreak-file": "a.py"}
    earlier = asyncio.create_task(gateway.ask(headers=in_file, **SLOW))
    await asyncio.sleep(0.2)
    assert (await gateway.ask(headers=user)).status_code == 429
    assert (await gateway.ask(headers=in_file)).status_code == 200
    assert (await earlier).status_code == 499
    assert (await gateway.ask(headers=user)).status_code == 200


async def test_a_limit_is_one_limit_at_all_gateways(guarded: GuardedCluster) -> None:
    """The second gateway let nobody in itself; it knows from the first, which this test waits for."""
    one, other = guarded.gateways
    busy = bearer(guarded.issuer.token(sub="a", groups=["busy"]))
    intern = bearer(guarded.issuer.token(sub="b", groups=["interns"]))
    for headers in (busy, busy, intern):
        assert (await one.ask(headers=headers, max_tokens=5)).status_code == 200

    async def has_heard() -> bool:  # this machine's address is the other gateway's, so it is told, too
        sources = (await other.client.get("/internal/counts")).json()["sources"]
        uses = [use for source in sources.values() for use in source.values()]
        return sum(sum(use["buckets"].values()) for use in uses) == 2 and any(use["tokens"] for use in uses)

    await until(has_heard)
    for headers in (busy, intern):
        assert (await other.ask(headers=headers)).status_code == 429
