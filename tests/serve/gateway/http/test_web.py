"""Who may ask: web pages, names of this machine, API keys."""

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
from daybreak_serve.gateway.http.api_keys import KeyFile, KeyGuard, KeyHolder, digest_of, new_key, parse_keys
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.web import WebGuard, problem_of
from daybreak_serve.local.serving import ServeSettings, check_reach, listen, url_of

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


async def who(request: Request) -> JSONResponse:
    names = ("x-daybreak-user", "x-daybreak-groups", "authorization")
    return JSONResponse({name: request.headers.get(name) for name in names})


def client_of(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")  # type: ignore[arg-type]


async def test_a_preflight_of_an_allowed_page_is_answered_and_its_answers_may_be_read() -> None:
    app = WebGuard(
        Starlette(routes=[Route("/v1/completions", who, methods=["POST"])]), {IDE}, is_loopback=True
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


async def test_the_key_says_who_asks_whatever_headers_say(tmp_path: Path) -> None:
    key, digest = new_key()
    file = tmp_path / "keys"
    file.write_text(f"# people\nada sha256:{digest} staff,berlin\n")
    denied: list[str | None] = []
    now = [0.0]
    keys = KeyFile(file, lambda: now[0], print)
    app = KeyGuard(
        Starlette(routes=[Route("/", who), Route("/healthz", who)]),
        keys,
        lambda path, problem: denied.append(problem.code),
    )
    async with client_of(app) as client:
        trusted = {"x-daybreak-user": "root", "x-daybreak-groups": "admins"}
        answer = await client.get("/", headers={**trusted, "authorization": f"bearer {key}"})
        assert answer.json() == {
            "x-daybreak-user": "ada",
            "x-daybreak-groups": "staff,berlin",
            "authorization": None,
        }
        for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {key}"}):
            refused = await client.get("/", headers=wrong)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert (await client.get("/healthz")).status_code == 200
        assert denied == ["invalid_api_key"] * 3
        file.write_text("")  # the key is taken back
        now[0] = 5.0
        assert (await client.get("/", headers={"authorization": f"Bearer {key}"})).status_code == 401


def test_a_file_of_keys_that_breaks_later_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    file, warnings, now = tmp_path / "keys", list[str](), [0.0]
    file.write_text(f"ada sha256:{digest_of('k')}\n")
    keys = KeyFile(file, lambda: now[0], warnings.append)
    for number, change in enumerate((lambda: file.write_text("ada: secret-key\n"), file.unlink), 1):
        change()
        now[0] += 5
        assert keys.holder("k") == KeyHolder("ada")
        assert len(warnings) == number
        assert "secret-key" not in warnings[-1]


@pytest.mark.parametrize("line", ["ada", "ada sha256:12", "ada md5:" + "a" * 32, "ada secret"])
def test_a_line_that_is_no_key_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(UserError, match="line 2") as caught:
        parse_keys(f"\n{line}\n", "keys")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_gateway_is_not_opened_to_others_without_a_word(host: str) -> None:
    with pytest.raises(UserError, match="--api-keys"):
        check_reach(host, ServeSettings())
    check_reach(host, ServeSettings(insecure=True))


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
