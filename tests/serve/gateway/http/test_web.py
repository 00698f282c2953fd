"""Web pages and names of this machine; how far a gateway reaches."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.deployment import Gateway
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.web import WebGuard, problem_of
from daybreak_serve.local.serving import ServeSettings, by_gateway, check_reach, listen, url_of

IDE = "https://ide.example.org"


@pytest.mark.parametrize(
    ("origin", "host", "is_loopback", "code"),
    [
        pytest.param(None, "127.0.0.1:8080", True, None, id="an editor"),
        pytest.param(None, "localhost:8080", True, None, id="an editor by name"),
        pytest.param(None, "[::1]:8080", True, None, id="an editor by IPv6"),
        pytest.param(None, None, True, None, id="HTTP/1.0"),
        pytest.param(IDE, "127.0.0.1:8080", True, None, id="an allowed page"),
        pytest.param(
            "http://127.0.0.1:8080", "127.0.0.1:8080", True, None, id="a page of the gateway itself"
        ),
        pytest.param("https://evil.example", "127.0.0.1:8080", True, "foreign_origin", id="any web page"),
        pytest.param("null", "127.0.0.1:8080", True, "foreign_origin", id="a page in a sandbox"),
        pytest.param("http://localhost:3000", "127.0.0.1:8080", True, "foreign_origin", id="another port"),
        pytest.param(None, "evil.example:8080", True, "foreign_host", id="a name that resolves to loopback"),
        pytest.param("http://evil.example", "evil.example", True, "foreign_host", id="DNS rebinding"),
        pytest.param(None, "host.docker.internal:8080", True, None, id="a container on this machine"),
        pytest.param(None, "0.0.0.0:8080", True, None, id="the address that servers print"),
        pytest.param(None, "localhost.:8080", True, None, id="a name with its root"),
        pytest.param(None, "10.0.0.1:8080", True, "foreign_host", id="another machine's address"),
        pytest.param(None, "internal.example", True, "foreign_host", id="a public name that begins alike"),
        pytest.param("vscode-webview://1a2b", "127.0.0.1:8080", True, None, id="a view of VS Code"),
        pytest.param("app://obsidian.md", "127.0.0.1:8080", True, None, id="a program made of web pages"),
        pytest.param("https://app", "127.0.0.1:8080", True, "foreign_origin", id="a site of that name"),
        pytest.param(None, "gateway.svc:8000", False, None, id="a gateway of a cluster"),
        pytest.param(
            "https://evil.example", "gateway.svc", False, "foreign_origin", id="a page inside the network"
        ),
    ],
)
def test_foreign_pages_and_names_are_refused(
    origin: str | None, host: str | None, is_loopback: bool, code: str | None
) -> None:
    found = problem_of(origin, host, {IDE}, is_loopback=is_loopback)
    assert (found.code if found else None) == code


async def accepted(request: Request) -> JSONResponse:
    return JSONResponse({})


def client_of(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")  # type: ignore[arg-type]


async def test_a_preflight_of_an_allowed_page_is_answered_and_its_answers_may_be_read() -> None:
    denied: list[tuple[str, str | None]] = []
    app = WebGuard(
        Starlette(routes=[Route("/v1/completions", accepted, methods=["POST"])]),
        {IDE},
        is_loopback=True,
        log=lambda path, problem, about: denied.append((path, problem.code)),
    )
    async with client_of(app) as client:
        asked = {"origin": IDE, "access-control-request-method": "POST"}
        preflight = await client.options("/v1/completions", headers=asked)
        answer = await client.post("/v1/completions", headers={"origin": IDE})
        foreign = await client.options("/v1/completions", headers={"origin": "https://evil.example"})
        plain = await client.options("/v1/completions")
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, IDE)
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == IDE
    assert (foreign.status_code, "access-control-allow-origin" in foreign.headers) == (403, False)
    assert (plain.status_code, "POST" in plain.headers["allow"]) == (204, True)
    assert denied == [("/v1/completions", "foreign_origin")]


@pytest.mark.parametrize(
    ("wished", "granted"),
    [
        pytest.param(
            "authorization, x-stainless-helper-method, api-key", True, id="what a package sends of its own"
        ),
        pytest.param("x-é", False, id="no header's name"),
        pytest.param("x" * 3000, False, id="too long"),
    ],
)
async def test_an_allowed_page_may_send_the_headers_that_it_asks_for(wished: str, granted: bool) -> None:
    app = WebGuard(
        Starlette(), {IDE}, is_loopback=True, log=lambda path, problem, about: pytest.fail(problem.message)
    )
    asked = {"origin": IDE, "access-control-request-headers": wished.encode(),
             "access-control-request-private-network": "true"}  # fmt: skip
    async with client_of(app) as client:
        preflight = await client.options("/v1/completions", headers=asked)  # type: ignore[arg-type]
    said = preflight.headers["access-control-allow-headers"]
    assert (said == wished, "authorization" in said) == (granted, True)
    assert preflight.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_gateway_is_not_opened_to_others_without_a_word(host: str) -> None:
    with pytest.raises(UserError, match="--api-keys"):
        check_reach(host, ServeSettings())
    check_reach(host, ServeSettings(insecure=True))
    check_reach(host, by_gateway(ServeSettings(), GATEWAY))


GATEWAY = Gateway.model_validate(
    {
        "auth": {"jwt": {"issuer": "https://login.example.org", "audience": "completions"}},
        "limits": {"user": {"concurrency": 2}},
        "holdMs": 100,
        "allowedOrigins": ["https://ide.example.org"],
    }
)


def test_what_a_deployment_says_of_its_gateway_holds_on_one_machine_too() -> None:
    settings = by_gateway(ServeSettings(), GATEWAY)
    assert settings.jwt is not None
    assert (settings.jwt.audience, settings.limits.user.concurrency, settings.hold_ms) == (
        "completions",
        2,
        100,
    )
    both = by_gateway(
        ServeSettings(allowed_origins=("https://a.example", "https://ide.example.org")), GATEWAY
    )
    assert both.allowed_origins == ("https://a.example", "https://ide.example.org")
    keyed = Gateway.model_validate({"auth": {"apiKeysSecretRef": {"name": "people", "key": "keys"}}})
    with pytest.raises(UserError, match="--api-keys FILE"):
        by_gateway(ServeSettings(), keyed)
    assert by_gateway(ServeSettings(api_keys="keys"), keyed).api_keys == "keys"


def test_a_gateway_listens_on_ipv6() -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(UserError, match="--host"):
        listen("192.0.2.1", 0)


def test_a_problem_has_its_words() -> None:
    assert isinstance(problem_of("https://\r\nx", "127.0.0.1", (), is_loopback=True), ApiProblem)
    assert os.linesep not in str(problem_of("https://\r\nx", "127.0.0.1", (), is_loopback=True))
