"""A real server on the loopback as the model: what is asked of it, what is tried again, what ends the work."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate import endpoint
from daybreak_evaluate.endpoint import ModelServer, ServedModel
from daybreak_evaluate.suites.protocol import Prompt, Sampling

Answer = tuple[int, dict[str, str], bytes]
SAMPLING = Sampling(
    num_samples=1,
    temperature=0.0,
    top_p=0.95,
    max_new_tokens=8,
    max_prompt_tokens=64,
    stop=tuple("12345"),
    seed=3,
)


def said(text: Any, status: int = 200, **headers: str) -> Answer:
    return status, headers, json.dumps({"choices": [{"text": text}]}).encode()


def refused(status: int, message: str = "no", **headers: str) -> Answer:
    return status, headers, json.dumps({"error": {"message": message}}).encode()


class Server:
    """Answers by a function of the request's number and body; keeps what it was asked."""

    def __init__(self, answer: Callable[[int, dict[str, Any]], Answer]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer((200, {}, json.dumps({"data": [{"id": "first"}, {"id": "second"}]}).encode()))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with owner.lock:
                    owner.asked.append({"path": self.path, **body})
                    owner.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(owner.asked)
                self._answer(answer(number, body))

            def _answer(self, found: Answer) -> None:
                status, headers, data = found
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[int, dict[str, Any]], Answer]], Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[int, dict[str, Any]], Answer]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Serve = Callable[[Callable[[int, dict[str, Any]], Answer]], Server]


def complete(
    server: Server | str, prompts: int = 1, slept: list[float] | None = None, **changes: Any
) -> list[list[str]]:
    from dataclasses import replace

    url = server if isinstance(server, str) else server.url
    pauses = slept if slept is not None else []
    with ServedModel(ModelServer(url, model="m", key="secret-key"), sleep=pauses.append) as model:
        questions = [Prompt(f"t{number}", f"def f{number}():\n") for number in range(prompts)]
        return model.complete(questions, replace(SAMPLING, **changes), lambda *_: None)


def test_each_prompt_is_asked_once_and_cut_at_every_stop_word(serve: Serve) -> None:
    server = serve(lambda number, body: said(body["prompt"][4:6] + "5 rest"))
    assert complete(server, prompts=30, stop=("1x", "2x", "3x", "4x", "5 ")) == [
        [f"f{number}"[:2]] for number in range(30)
    ]
    assert sorted(one["prompt"] for one in server.asked) == sorted(
        f"def f{number}():\n" for number in range(30)
    )
    first = server.asked[0]
    assert first["stop"] == ["1x", "2x", "3x", "4x"] and first["max_tokens"] == 8 and first["model"] == "m"
    assert "top_p" not in first and "suffix" not in first and first["path"] == "/v1/completions"
    assert {one["authorization"] for one in server.headers} == {"Bearer secret-key"}


def test_samples_of_one_prompt_have_seeds_of_their_own(serve: Serve) -> None:
    server = serve(lambda number, body: said("x"))
    complete(server, num_samples=4, temperature=0.8)
    assert len({one["seed"] for one in server.asked}) == 4 and server.asked[0]["top_p"] == 0.95
    again = serve(lambda number, body: said("x"))
    complete(again, num_samples=4, temperature=0.8)
    assert {one["seed"] for one in again.asked} == {one["seed"] for one in server.asked}


def test_the_first_model_is_taken_when_none_is_named(serve: Serve) -> None:
    server = serve(lambda number, body: said("x"))
    with ServedModel(ModelServer(server.url.removesuffix("/v1"))) as model:
        assert model.name == "first"


@pytest.mark.parametrize(
    "busy",
    [
        pytest.param(refused(429, retry_after="7"), id="too many requests"),
        pytest.param(refused(503), id="overloaded"),
        pytest.param((502, {}, b"<html>bad gateway"), id="a proxy's page"),
        pytest.param((200, {"content-length": "999"}, b"{"), id="cut off in the middle"),
    ],
)
def test_what_may_pass_is_tried_again(serve: Serve, busy: Answer) -> None:
    server = serve(lambda number, body: busy if number < 3 else said("good"))
    slept: list[float] = []
    assert complete(server, slept=slept) == [["good"]]
    assert slept == ([7.0, 7.0] if busy[0] == 429 else [1.0, 2.0])


@pytest.mark.parametrize("asked", ["1e9", "-5", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_no_pause_is_longer_than_a_minute_and_the_tries_are_counted(serve: Serve, asked: str) -> None:
    server = serve(lambda number, body: refused(429, "slow down", retry_after=asked))
    slept: list[float] = []
    with pytest.raises(TransientError, match=r"429 \(slow down\), 6 times; run the same command again"):
        complete(server, slept=slept)
    assert len(server.asked) == 6 and len(slept) == 5 and all(0 < pause <= 60 for pause in slept)


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(TransientError, match=r"127.0.0.1:9: does not answer"):
        complete("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(refused(401, "bad key"), "put the key into OPENAI_API_KEY", id="a wrong key"),
        pytest.param(refused(404, "unknown"), "has no /v1/completions", id="chats alone"),
        pytest.param(refused(400, "too long"), r"answered 400 \(too long\)", id="a refusal"),
        pytest.param((302, {"location": "http://elsewhere"}, b""), "answered 302", id="a redirect"),
        pytest.param((200, {}, b"<html>"), "no JSON", id="a page"),
        pytest.param((200, {}, b'{"choices": []}'), "without choices", id="no choice"),
        pytest.param((200, {}, b"[]"), "without choices", id="a list"),
        pytest.param(said(None), "without choices", id="null"),
        pytest.param((500 - 100, {}, b"x" * 5000), "x" * 200, id="a long refusal is cut"),
        pytest.param((200, {}, b" " * (17 << 20)), "more than 16 MiB", id="an endless answer"),
    ],
)
def test_what_does_not_pass_ends_the_work_with_a_sentence(serve: Serve, answer: Answer, words: str) -> None:
    server = serve(lambda number, body: answer)
    with pytest.raises(UserError, match=words) as raised:
        complete(server)
    assert len(server.asked) == 1 and "secret-key" not in str(raised.value)


def test_a_server_that_trickles_is_left(serve: Serve) -> None:
    moments = iter(range(0, 10**9, 1000))
    server = serve(lambda number, body: said("x"))
    with (
        ServedModel(
            ModelServer(server.url, model="m"), sleep=lambda _: None, clock=lambda: float(next(moments))
        ) as model,
        pytest.raises(TransientError, match="no whole answer in 300 s"),
    ):
        model.complete([Prompt("t", "x")], SAMPLING, lambda *_: None)
    assert len(server.asked) == endpoint.ATTEMPTS


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="not a URL"):
        complete(url)


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(ModelServer("http://x", key="secret"))
