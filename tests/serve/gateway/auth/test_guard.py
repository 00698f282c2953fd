"""Who is let in: a real gateway process, the official client, keys and tokens of a real issuer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from daybreak_contracts.ports import free_port
from daybreak_contracts.resources.access import TokenIssuer
from daybreak_serve.gateway.auth.api_keys import KeyFile, new_key
from daybreak_serve.gateway.auth.caller import caller_of
from daybreak_serve.gateway.auth.guard import Authenticator, AuthGuard
from daybreak_serve.gateway.events.journal import user_hash
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.process import Child
from tests.serve.conftest import start_gateway, wait_for
from tests.serve.issuer_server import AUDIENCE, Issuer, confused, pem_of, running_issuer, unsigned


async def who(request: Request) -> JSONResponse:
    caller = caller_of(request.scope)
    hidden = [name for name in request.headers if name == "authorization" or name.startswith("x-daybreak")]
    return JSONResponse({"user": caller.user, "groups": list(caller.groups), "left": hidden})


@dataclass
class Keys:
    """A guard before an application, and the keys of its file."""

    person: str
    proxy: str
    app: AuthGuard
    denied: list[tuple[ApiProblem, Any]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    (person, its_digest), (proxy, proxys_digest) = new_key(), new_key()
    file = tmp_path / "keys"
    file.write_text(f"ada sha256:{its_digest} staff,berlin\nedge sha256:{proxys_digest} @proxy\n")
    denied: list[tuple[ApiProblem, Any]] = []
    app = Starlette(
        routes=[Route("/", who), *(Route(path, who) for path in ("/healthz", "/livez", "/readyz"))]
    )
    authenticator = Authenticator(KeyFile(file, lambda: 0.0, print), None)
    guard = AuthGuard(app, authenticator, lambda path, problem, about: denied.append((problem, about)))
    return Keys(person, proxy, guard, denied)


def bearer(credential: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {credential}")


NAMED = [("x-daybreak-user", "grace"), ("x-daybreak-groups", "admins, berlin")]


async def asked(keys: Keys, headers: list[tuple[str, str]], path: str = "/") -> httpx.Response:
    transport = httpx.ASGITransport(app=keys.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path, headers=headers)


async def test_the_key_says_who_asks_whatever_headers_say(keys: Keys) -> None:
    for headers in ([bearer(keys.person)], [bearer(keys.person), *NAMED], [*NAMED, bearer(keys.person)]):
        answer = await asked(keys, headers)
        assert answer.json() == {"user": "ada", "groups": ["staff", "berlin"], "left": []}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda key: [("api-key", key)], id="Azure's header, as CopilotForXcode and Continue send it"
        ),
        pytest.param(lambda key: [("x-api-key", key)], id="Anthropic's header"),
        pytest.param(lambda key: [("x-api-key", key), bearer(key)], id="both, as Continue does"),
        pytest.param(lambda key: [("x-api-key", "x"), bearer(key)], id="Authorization wins"),
        pytest.param(lambda key: [basic(f"ada:{key}")], id="Basic, as CopilotForXcode sends it to Tabby"),
        pytest.param(lambda key: [basic(f":{key}")], id="Basic without a name"),
    ],
)
async def test_a_key_is_taken_from_where_clients_have_it(keys: Keys, make: Any) -> None:
    answer = await asked(keys, make(keys.person))
    assert answer.json() == {"user": "ada", "groups": ["staff", "berlin"], "left": []}


def basic(text: str) -> tuple[str, str]:
    return ("authorization", f"Basic {base64.b64encode(text.encode()).decode()}")


async def test_a_proxy_says_who_asks(keys: Keys) -> None:
    answer = await asked(keys, [bearer(keys.proxy), *NAMED])
    assert answer.json() == {"user": "grace", "groups": ["admins", "berlin"], "left": []}
    assert (await asked(keys, [bearer(keys.proxy), NAMED[1]])).json()["groups"] == []
    assert (await asked(keys, [bearer(keys.proxy)])).json()["user"] == "edge"


@pytest.mark.parametrize("number", [0, 1])
async def test_a_proxy_that_adds_to_what_clients_send_is_told(keys: Keys, number: int) -> None:
    answer = await asked(keys, [bearer(keys.proxy), (NAMED[number][0], "root"), *NAMED])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ambiguous_user")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda keys: [], id="nothing"),
        pytest.param(lambda keys: NAMED, id="names alone"),
        pytest.param(lambda keys: [bearer("x")], id="another key"),
        pytest.param(lambda keys: [bearer("")], id="an empty key"),
        pytest.param(lambda keys: [("authorization", keys.person)], id="without Bearer"),
        pytest.param(lambda keys: [("authorization", f"Basic {keys.person}")], id="Basic that is none"),
        pytest.param(lambda keys: [basic(f"{keys.person}:")], id="Basic without a password"),
        pytest.param(
            lambda keys: [("api-key", keys.person), ("x-api-key", "x")], id="two keys in two headers"
        ),
        pytest.param(lambda keys: [bearer(keys.person + "x")], id="almost the key"),
        pytest.param(lambda keys: [bearer("x"), bearer(keys.person)], id="two keys"),
        pytest.param(lambda keys: [bearer(unsigned({"sub": "ada"}))], id="a token where none are taken"),
        pytest.param(lambda keys: [bearer("k\xe9y".encode().decode("latin-1"))], id="no ASCII"),
    ],
)
async def test_who_has_no_key_is_denied_and_told_how(keys: Keys, make: Any) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in make(keys)]
    answer = await asked(keys, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    ((problem, _),) = keys.denied
    assert keys.person not in problem.message


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_probes_have_no_key(keys: Keys, path: str) -> None:
    assert (await asked(keys, [], path)).status_code == 200


@dataclass
class Guarded:
    """A gateway process that takes keys and tokens. Its engine is away: who is let in is told so."""

    url: str
    child: Child
    key: str
    issuer: Issuer

    def models(self, credential: str) -> list[str]:
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=credential, max_retries=0)
        return [model.id for model in client.models.list()]

    def denials(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.child.log_tail().splitlines() if line.startswith("{")]
        return [line for line in lines if line["status"] in (401, 403)]


@pytest.fixture(scope="module")
def guarded(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    key, digest = new_key()
    (folder / "keys").write_text(f"ci sha256:{digest} robots\n")
    with running_issuer("/realms/a") as issuer:
        jwt = TokenIssuer(issuer=issuer.url, audience=AUDIENCE, groups_claim="realm_access.roles")
        engine = f"127.0.0.1:{free_port()}"
        child, url = start_gateway(model, engine, folder, api_keys=str(folder / "keys"), jwt=jwt)
        wait_for(url, 503)
        yield Guarded(url, child, key, issuer)
        child.stop(5)


@pytest.mark.slow
def test_the_official_client_is_let_in_by_key_and_by_token(guarded: Guarded) -> None:
    assert guarded.models(guarded.key) == ["daybreak"]
    assert guarded.models(guarded.issuer.token(realm_access={"roles": ["staff"]})) == ["daybreak"]
    with pytest.raises(openai.AuthenticationError, match="expired"):
        guarded.models(guarded.issuer.token(exp=1))
    with pytest.raises(openai.AuthenticationError, match="not known"):
        guarded.models("sk-something")
    with pytest.raises(openai.PermissionDeniedError, match="roles"):
        guarded.models(guarded.issuer.token(realm_access={"roles": [1]}))


@pytest.mark.slow
def test_tokens_of_strangers_are_denied_and_each_is_a_line_of_the_log(guarded: Guarded) -> None:
    _, key = guarded.issuer.keys["first"]
    claims = guarded.issuer.claims()
    before = len(guarded.denials())
    strangers = [
        unsigned(claims, kid="first"),
        confused(claims, pem_of(key), kid="first"),
        guarded.issuer.token(aud="another", sub="mallory"),
        guarded.issuer.token(x="y" * 20_000),
    ]
    for token in strangers:
        with pytest.raises(openai.AuthenticationError):
            guarded.models(token)
    lines = guarded.denials()[before:]
    assert [line["outcome"] for line in lines] == ["invalid_token"] * len(strangers)
    assert lines[2]["user"] == user_hash("mallory")
    assert (lines[2]["kid"], lines[2]["issuer"]) == ("first", guarded.issuer.url)
    text = json.dumps(lines)
    assert "mallory" not in text
    assert not any(token[20:60] in text for token in strangers)
