"""Requests as other HTTP clients make them, byte by byte: Java's, curl's, old proxies', load balancers'."""

from __future__ import annotations

import gzip
import json
import re
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from daybreak_serve.gateway.http import asgi_io
from daybreak_serve.gateway.http.problems import ApiProblem

BODY = {"prompt": "a", "max_tokens": 2}


def ask(url: str, head: str, body: bytes) -> tuple[bytes, bytes]:
    """Return head and body of the answer, read until the connection closes."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as one:
        length = f"host: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
        one.sendall(head.encode() + length.encode() + b"\r\n" + body)
        answer = b"".join(iter(lambda: one.recv(65536), b""))
    found, _, rest = answer.partition(b"\r\n\r\n")
    return found, rest


@pytest.fixture(scope="module")
def client(slow: Any) -> Any:
    with httpx.Client(base_url=slow.url, timeout=30, trust_env=False) as client:
        yield client


def test_javas_client_wishes_for_another_protocol_and_keeps_its_body(slow: Any) -> None:
    """``java.net.http`` (langchain4j, DevoxxGenie) and ``curl --http2``: the body was lost, and 400 the answer."""
    head = (
        "POST /v1/completions HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
    )
    told, rest = ask(slow.url, head, json.dumps(BODY).encode())
    assert told.startswith(b"HTTP/1.1 200")
    assert json.loads(rest)["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_is_answered_without_chunks(slow: Any, stream: bool) -> None:
    """Old proxies (nginx by default) and ``curl -0``: the sizes of chunks stood between the events."""
    told, rest = ask(
        slow.url, "POST /v1/completions HTTP/1.0\r\n", json.dumps({**BODY, "stream": stream}).encode()
    )
    assert told.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in told.lower()
    if not stream:
        assert json.loads(rest)["usage"]["completion_tokens"] == 2
        return
    lines = [line for line in rest.split(b"\n") if line]
    assert all(line.startswith(b"data: ") for line in lines)
    assert (len(lines), lines[-1]) == (3, b"data: [DONE]")


@pytest.mark.parametrize(
    "path", ["/v1/completions/", "//v1/completions", "/v1//completions", "/v1/completions//"]
)
def test_slashes_too_many_are_none(client: httpx.Client, path: str) -> None:
    """A redirect lost the body of who posts: axios, httpx and curl follow none unasked."""
    assert client.post(path, json=BODY).status_code == 200


def test_llama_vim_finds_its_text(client: httpx.Client) -> None:
    """It looks at the answer by a pattern before it reads it (`s:fim_on_response`), and left ours unread."""
    body = {"input_prefix": "a\n", "input_suffix": "b", "prompt": "", "n_predict": 2, "stream": False}
    text = client.post("/infill", json=body).text
    assert re.match(r"\s*\{", text)
    assert re.search(r'"content"\s*:"', text)


def test_how_long_it_took_is_told_in_each_engines_words(client: httpx.Client) -> None:
    """ModelFusion (privy) reads no answer of Ollama's without durations; llama.vim shows its line with all of eight."""
    body = {"model": "m", "prompt": "a", "options": {"num_predict": 2}}
    whole = client.post("/api/generate", json={**body, "stream": False}).json()
    last = json.loads(client.post("/api/generate", json=body).text.splitlines()[-1])
    for told in (whole, last):
        assert told["total_duration"] >= told["prompt_eval_duration"] > 0
        rest = told["total_duration"] - told["prompt_eval_duration"]
        assert told["eval_duration"] == pytest.approx(rest, abs=2)  # each is rounded
    told = client.post("/infill", json={"input_prefix": "a", "input_suffix": "b", "n_predict": 2}).json()
    for name in ("prompt", "predicted"):
        assert told[f"timings/{name}_ms"] == told["timings"][f"{name}_ms"] > 0
        assert told["timings"][f"{name}_per_second"] > 0


def test_packed_bodies_are_read(client: httpx.Client) -> None:
    plain = json.dumps(BODY).encode()
    for name, body in (
        ("gzip", gzip.compress(plain)),
        ("deflate", zlib.compress(plain)),
        ("identity", plain),
    ):
        assert (
            client.post("/v1/completions", content=body, headers={"content-encoding": name}).status_code
            == 200
        )
    answer = client.post("/v1/completions", content=b"\x28\xb5", headers={"content-encoding": "zstd"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        pytest.param(gzip.compress(bytes(10_000_000)), "gzip", 413, id="ten megabytes in ten kilobytes"),
        pytest.param(b"{}", "gzip", 400, id="not packed at all"),
        pytest.param(gzip.compress(b"{}"), "br", 415, id="another packing"),
    ],
)
def test_a_packed_body_is_bounded_as_a_plain_one(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(ApiProblem) as found:
        asgi_io.unpacked(body, encoding, 1 << 20)
    assert found.value.status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_stands_at_the_root_says_what_is_here(client: httpx.Client, method: str) -> None:
    assert client.request(method, "/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        pytest.param("GET", "/v1/responses/resp_1", 404, "/v1/responses", id="a response that is not stored"),
        pytest.param("GET", "/v1/messages/batches", 404, "/v1/messages", id="Anthropic's batches"),
        pytest.param("POST", "/v1/embeddings", 404, "/openapi.json", id="embeddings"),
        pytest.param("POST", "/v1", 404, "/v1/completions", id="a base URL alone"),
        pytest.param("GET", "/v1/completions", 405, "takes POST", id="curl without -d"),
        pytest.param("POST", "/v1/completion", 400, "prompt must be", id="llama.cpp's path, and no prompt"),
    ],
)
def test_what_is_not_here_is_told_with_what_is(
    client: httpx.Client, method: str, path: str, status: int, words: str
) -> None:
    body = {"prompt": 5} if status == 400 else {"model": "m", "input": "a"}
    answer = client.request(method, path, json=body)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True)


def test_ollamas_clients_find_a_text_where_they_print_it(client: httpx.Client) -> None:
    """Its npm package made ``[object Object]`` of ours."""
    for method, path in (("POST", "/api/pull"), ("GET", "/api/chat"), ("POST", "/v1/api/embed")):
        assert isinstance(client.request(method, path, json={}).json()["error"], str)


def test_copilot_in_vs_code_names_the_model_of_an_ollama(client: httpx.Client) -> None:
    """It reads name and context there, and had a model without a name."""
    shown = client.post("/api/show", json={"model": "daybreak"}).json()["model_info"]
    assert shown["general.basename"] == "daybreak"
    assert shown[f"{shown['general.architecture']}.context_length"] == 256


def test_roo_code_reads_the_model_from_ollamas_list(client: httpx.Client) -> None:
    """Its schema wants ``family`` and ``parameter_size`` in ``details``, here and in ``/api/show``."""
    listed = [*client.get("/api/tags").json()["models"], *client.get("/api/ps").json()["models"]]
    shown = client.post("/api/show", json={"model": "daybreak"}).json()
    for details in (*(model["details"] for model in listed), shown["details"]):
        assert isinstance(details["family"], str)
        assert isinstance(details["parameter_size"], str)
