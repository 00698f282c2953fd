"""An issuer's keys over real HTTP: found, kept, rotated, away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from daybreak_serve.gateway.auth.issuer import BETWEEN_S, KEPT_S, REFRESH_S, IssuerKeys, fetch_from
from daybreak_serve.gateway.auth.tokens import TokenHeader
from daybreak_serve.gateway.http.problems import ApiProblem
from tests.serve.issuer_server import Issuer, running_issuer


@dataclass
class Scene:
    """The keys as a gateway holds them, by a clock that the play sets."""

    issuer: Issuer
    now: float = 1000.0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = IssuerKeys(fetch_from(self.issuer.url), lambda: self.now, self.warnings.append)

    async def knows(self, kid: str) -> bool:
        return bool(await self.keys.find(TokenHeader("ES256", kid)))

    @property
    def num_questions(self) -> int:
        return sum("/keys" in path for path in self.issuer.asked)


@pytest.fixture(params=["", "/realms/a"], ids=["at the root", "below a path"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    with running_issuer(request.param) as issuer:
        yield Scene(issuer)


async def test_keys_are_read_once_and_kept(scene: Scene) -> None:
    assert all(await asyncio.gather(*(scene.knows("first") for _ in range(20))))
    assert await scene.knows("first")
    assert [path.rpartition("/")[2] for path in scene.issuer.asked] == ["openid-configuration", "keys"]


async def test_a_new_key_is_read_when_it_is_met_but_strangers_cannot_make_the_issuer_work(
    scene: Scene,
) -> None:
    assert await scene.knows("first")
    scene.issuer.rotate("second")
    assert not await scene.knows("second")  # the issuer was asked a moment ago
    assert scene.num_questions == 1
    scene.now += BETWEEN_S
    assert await scene.knows("second")
    assert not await scene.knows("first")
    assert scene.num_questions == 2
    for number in range(200):
        assert not await scene.knows(f"../{number}")
    assert scene.num_questions == 2


async def test_a_withdrawn_key_is_forgotten_and_nobody_waits_for_it(scene: Scene) -> None:
    assert await scene.knows("first")
    scene.issuer.rotate("second")
    scene.issuer.pause_s = 0.2
    scene.now += REFRESH_S
    began = time.monotonic()
    assert await scene.knows("first")
    assert time.monotonic() - began < 0.2
    while scene.num_questions < 2:
        await asyncio.sleep(0.01)
    assert await scene.knows("second")
    assert not await scene.knows("first")


async def test_an_issuer_that_is_away_keeps_its_keys_for_an_hour(scene: Scene) -> None:
    assert await scene.knows("first")
    scene.issuer.status = 503
    began = scene.now
    while scene.now - began <= KEPT_S - REFRESH_S:
        scene.now += REFRESH_S
        assert await scene.knows("first")
        assert not await scene.knows("other")
    scene.now = began + KEPT_S + 1
    with pytest.raises(ApiProblem) as caught:
        await scene.knows("first")
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (
        503,
        "issuer_away",
        BETWEEN_S - 1,  # it was asked a second ago
    )
    assert "answered 503" in scene.warnings[0]
    scene.issuer.status = 200
    scene.now += caught.value.retry_after_s
    assert await scene.knows("first")


async def test_a_gateway_starts_before_its_issuer(scene: Scene) -> None:
    scene.issuer.status = 502
    for _ in range(3):
        with pytest.raises(ApiProblem, match="does not answer"):
            await scene.knows("first")
    assert len(scene.issuer.asked) == 1
    scene.issuer.status = 200
    scene.now += BETWEEN_S
    assert await scene.knows("first")


async def test_the_loop_turns_while_the_issuer_is_slow(scene: Scene) -> None:
    scene.issuer.pause_s = 0.3
    asking = asyncio.create_task(scene.knows("first"))
    longest = 0.0
    while not asking.done():
        began = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - began)
    assert asking.result()
    assert longest < 0.2


async def test_one_who_leaves_does_not_end_the_question(scene: Scene) -> None:
    scene.issuer.pause_s = 0.1
    leaving = asyncio.create_task(scene.knows("first"))
    staying = asyncio.create_task(scene.knows("first"))
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert await staying
    assert scene.num_questions == 1


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        pytest.param({"issuer": "https://login.example.org"}, "another issuer", id="of another issuer"),
        pytest.param({"issuer": None}, "another issuer", id="of nobody"),
        pytest.param(
            {"jwks_uri": "http://192.0.2.1/keys"}, "https://", id="keys over a line that others can change"
        ),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "https://", id="keys of a file"),
        pytest.param({"jwks_uri": "http://[::1"}, "https://", id="keys of no address"),
        pytest.param({"jwks_uri": None}, "https://", id="keys of nowhere"),
        pytest.param({"x": "y" * (1 << 20)}, "more than", id="a document without end"),
    ],
)
async def test_a_wrong_discovery_is_told(discovery: dict[str, Any], reason: str) -> None:
    with running_issuer() as issuer:
        scene = Scene(issuer)
        issuer.discovery |= discovery
        with pytest.raises(ApiProblem):
            await scene.knows("first")
        assert reason in scene.warnings[0]
        assert scene.num_questions == 0


@pytest.mark.parametrize("status", [301, 302, 307, 404])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with running_issuer() as issuer:
        scene = Scene(issuer)
        issuer.status = status
        with pytest.raises(ApiProblem):
            await scene.knows("first")
        assert f"answered {status}" in scene.warnings[0]
        assert len(issuer.asked) == 1


async def test_an_issuer_without_keys_is_away_and_odd_keys_harm_nobody() -> None:
    with running_issuer() as issuer:
        scene = Scene(issuer)
        issuer.more_keys = [{"kty": "oct", "k": "AA", "kid": "first"}, {"kty": "RSA"}, {"use": "enc"}]
        assert await scene.knows("first")
        issuer.keys = {}
        scene.now += REFRESH_S
        assert await scene.knows("first")
        while not scene.warnings:
            await asyncio.sleep(0.01)
        assert "no key that signatures can be checked with" in scene.warnings[0]
