"""A real server on the loopback as the model: what is asked of it, what is tried again, what ends the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate import endpoint
from daybreak_evaluate.endpoint import ModelServer, ServedModel
from daybreak_evaluate.journal import ResultJournal
from daybreak_evaluate.kept_answers import KeptAnswers
from daybreak_evaluate.suites.protocol import Prompt, Sampling
from tests.evaluate.loopback import Answer, Server, refused, said

SAMPLING = Sampling(
    num_samples=1,
    temperature=0.0,
    top_p=0.95,
    max_new_tokens=8,
    max_prompt_tokens=64,
    stop=tuple("12345"),
    seed=3,
)


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
        how = replace(SAMPLING, **changes)
        with ResultJournal(None) as journal:
            return KeptAnswers(lambda: model, journal, ["x"]).complete(questions, how, lambda *_: None)


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
        list(model.answers([Prompt("t", "x")], SAMPLING, [0]))
    assert len(server.asked) == endpoint.ATTEMPTS


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="not a URL"):
        complete(url)


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(ModelServer("http://x", key="secret"))
