"""The gateway before a real Triton with an echo engine: protocol, queue, cancelling, events."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.ports import free_port
from daybreak_serve.gateway.config import read_config
from tests.serve.conftest import group_of, start_gateway, wait_for

SLOW = {"temperature": 0.2}  # the echo engine waits 20 ms before each token then


@pytest.fixture
async def client(slow: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=slow.url, timeout=20, trust_env=False) as client:
        yield client


async def events_of(response: httpx.Response) -> list[Any]:
    """Read server-sent events to their end."""
    lines = [line async for line in response.aiter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line if line == "data: [DONE]" else json.loads(line.removeprefix("data: ")) for line in lines]


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


async def metric(client: httpx.AsyncClient, name: str) -> float:
    """Return a sample of ``/metrics`` by its whole name, 0 when it is not there yet."""
    text = (await client.get("/metrics")).text
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else 0.0


async def test_a_completion_has_the_shape_of_openai(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/completions", json={"prompt": "def", "max_tokens": 3, "model": "daybreak"}
    )
    document = response.json()
    assert response.status_code == 200
    assert document["object"] == "text_completion"
    assert document["id"].startswith("cmpl-")
    (choice,) = document["choices"]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "length", None)
    assert len(choice["text"].split()) == 3
    usage = document["usage"]
    assert usage["completion_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + 3


async def test_a_stream_says_the_same_as_a_whole_answer(client: httpx.AsyncClient) -> None:
    body = {"prompt": "def add(a, b):", "max_tokens": 6}
    whole = (await client.post("/v1/completions", json=body)).json()
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", "/v1/completions", json=asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *pieces, usage, done = await events_of(response)
    assert done == "data: [DONE]"
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole["choices"][0]["text"]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None] * 5 + ["length"]
    assert all(piece["usage"] is None for piece in pieces)
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        pytest.param(b'{"prompt": "x"', 400, None, id="torn JSON"),
        pytest.param(b'{"prompt": 5}', 400, "prompt", id="a prompt that is no text"),
        pytest.param(b'{"prompt": "x", "n": 17}', 400, "n", id="too many choices"),
        pytest.param(b'{"prompt": "' + b"x" * (1 << 20) + b'"}', 413, None, id="a body of a megabyte"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(
    client: httpx.AsyncClient, body: bytes, status: int, param: str | None
) -> None:
    response = await client.post("/v1/completions", content=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


async def test_an_unknown_path_answers_in_the_shape_of_openai(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/embeddings")
    assert response.status_code == 404
    assert "/v1/embeddings" in response.json()["error"]["message"]


async def test_a_long_prompt_keeps_its_end_and_says_so(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/completions", json={"prompt": "ab " * 400 + "zz", "max_tokens": 64})
    assert response.json()["usage"]["prompt_tokens"] == 256 - 64
    short = await client.post("/v1/completions", json={"prompt": "zz", "max_tokens": 1})
    assert int(response.headers["x-daybreak-truncated"]) > 0
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert "x-daybreak-truncated" not in short.headers


async def test_a_suffix_is_composed_with_the_special_tokens(client: httpx.AsyncClient) -> None:
    body = {"prompt": "a", "suffix": "b", "max_tokens": 5}
    text = (await client.post("/v1/completions", json=body)).json()["choices"][0]["text"]
    prefix, _, suffix, _, middle = (int(token) for token in text.split())
    assert (prefix, suffix, middle) == (1, 3, 2)  # ids of <fim_prefix>, <fim_suffix>, <fim_middle>


async def test_text_never_becomes_a_special_token(client: httpx.AsyncClient) -> None:
    body = {"prompt": "<fim_prefix><|endoftext|><fim_middle>", "max_tokens": 64}
    text = (await client.post("/v1/completions", json=body)).json()["choices"][0]["text"]
    assert min(int(token) for token in text.split()) >= 114  # the special tokens have the ids before


async def test_a_disconnect_stops_the_engine_within_100_ms(slow: Any, client: httpx.AsyncClient) -> None:
    seen = len(slow.log())
    wasted = await metric(client, "gw_wasted_tokens_total")
    asking = {"prompt": "x", "max_tokens": 64, "stream": True, **SLOW}
    async with client.stream("POST", "/v1/completions", json=asking) as response:
        lines = response.aiter_lines()
        await anext(lines)
        left = time.monotonic()
    await until(lambda: any("end" in entry for entry in slow.log()[seen:]))
    after = [entry for entry in slow.log()[seen:] if entry["at"] > left]
    assert after[-1]["end"] == "cancelled"
    assert after[-1]["at"] - left < 0.1
    assert len(after) - 1 <= 5  # tokens of 20 ms each that were made for nobody
    assert await metric(client, 'gw_cancelled_total{reason="disconnected",stage="decode"}') >= 1
    assert await metric(client, "gw_wasted_tokens_total") > wasted


async def test_a_disconnect_without_streaming_stops_the_engine_too(
    slow: Any, client: httpx.AsyncClient
) -> None:
    seen = len(slow.log())
    asking = asyncio.create_task(
        client.post("/v1/completions", json={"prompt": "x", "max_tokens": 64, **SLOW})
    )
    await until(lambda: len(slow.log()) > seen)
    asking.cancel()
    left = time.monotonic()
    await until(lambda: any("end" in entry for entry in slow.log()[seen:]))
    assert slow.log()[-1]["at"] - left < 0.1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_newer_request_gives_the_earlier_one_up(
    slow: Any, client: httpx.AsyncClient, stream: bool
) -> None:
    seen = len(slow.log())
    mine = {"prompt": "x", "user": "ada", **SLOW}
    where = {"x-daybreak-file": "main.py"}
    earlier = asyncio.create_task(
        client.post("/v1/completions", json={**mine, "max_tokens": 64, "stream": stream}, headers=where)
    )
    await until(lambda: len(slow.log()) > seen)
    other = client.post("/v1/completions", json={**mine, "max_tokens": 1, "metadata": {"file": "other.py"}})
    assert (await other).status_code == 200
    assert not earlier.done()
    newer = await client.post(
        "/v1/completions", json={**mine, "max_tokens": 1, "metadata": {"file": "main.py"}}
    )
    assert newer.status_code == 200
    response = await earlier
    if stream:
        events = await events_of(response)
        assert events[-2]["choices"][0]["finish_reason"] == "cancelled"
        assert events[-1] == "data: [DONE]"
    else:
        assert (response.status_code, response.json()["error"]["code"]) == (499, "superseded")
    await until(lambda: any(entry.get("end") == "cancelled" for entry in slow.log()[seen:]))


async def test_too_many_requests_wait_and_are_then_turned_away(slow: Any, client: httpx.AsyncClient) -> None:
    asking = {"prompt": "x", "max_tokens": 30, **SLOW}  # 600 ms, longer than the 200 ms of patience
    before = await metric(client, 'gw_rejected_total{reason="engine_busy"}')
    responses = await asyncio.gather(*(client.post("/v1/completions", json=asking) for _ in range(5)))
    answered = sorted(response.status_code for response in responses)
    assert answered == [200, 200, 429, 429, 429]  # two run, two wait in vain, one finds the queue full
    turned_away = [response for response in responses if response.status_code == 429]
    assert all(1 <= int(response.headers["retry-after"]) <= 30 for response in turned_away)
    assert await metric(client, 'gw_rejected_total{reason="engine_busy"}') == before + 3


async def test_a_place_that_comes_free_goes_to_the_one_who_waits(client: httpx.AsyncClient) -> None:
    asking = {"prompt": "x", "max_tokens": 4, **SLOW}  # 80 ms, shorter than the patience
    responses = await asyncio.gather(*(client.post("/v1/completions", json=asking) for _ in range(4)))
    assert [response.status_code for response in responses] == [200] * 4


async def test_a_client_that_leaves_in_the_queue_takes_no_place(slow: Any, client: httpx.AsyncClient) -> None:
    name = 'gw_cancelled_total{reason="disconnected",stage="queue"}'
    before = await metric(client, name)
    asking = {"prompt": "x", "max_tokens": 20, **SLOW}
    seen = len(slow.log())
    running = [asyncio.create_task(client.post("/v1/completions", json=asking)) for _ in range(2)]
    await until(lambda: len(slow.log()) > seen + 1)
    waiting = asyncio.create_task(client.post("/v1/completions", json=asking))
    async with asyncio.timeout(5):
        while await metric(client, "gw_held") == 0:
            pass
    waiting.cancel()
    assert [response.status_code for response in await asyncio.gather(*running)] == [200, 200]
    assert await metric(client, name) == before + 1
    assert await metric(client, "gw_inflight") == 0


async def test_events_are_joined_with_what_the_gateway_recorded(slow: Any, client: httpx.AsyncClient) -> None:
    body = {"prompt": "x", "max_tokens": 3, "user": "ada"}
    headers = {"x-daybreak-file": "src/thing.rs"}
    answer = (await client.post("/v1/completions", json=body, headers=headers)).json()
    shown = {"completion_id": answer["id"], "event": "shown"}
    kept = {"completion_id": answer["id"], "event": "retained", "characters": 4, "after_s": 30}
    assert (await client.post("/v1/events", json=shown)).json() == {"accepted": 1, "repeated": 0}
    both = await client.post("/v1/events", json={"events": [shown, kept]})
    assert both.json() == {"accepted": 1, "repeated": 1}
    log = slow.token_log.with_name("events.jsonl").read_text().splitlines()
    entry = json.loads(log[-1])
    assert (entry["language"], entry["model"], entry["characters"]) == ("rust", "daybreak", 4)
    assert entry["user"] not in (None, "ada")
    name = 'suggestions_shown_total{language="rust",model="daybreak",revision="ababababab"}'
    assert await metric(client, name) == 1


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param(
            {"completion_id": "cmpl-no", "event": "shown"}, 404, "not known", id="an unknown completion"
        ),
        pytest.param({"completion_id": "x", "event": "eaten"}, 400, "event", id="an unknown event"),
        pytest.param({"event": "shown"}, 400, "completion_id", id="no completion"),
        pytest.param({"events": []}, 400, "events", id="an empty batch"),
        pytest.param([1], 400, "object", id="a list"),
        pytest.param(
            {"completion_id": "x", "event": "shown", "language": "go"},
            400,
            "language",
            id="a language of its own",
        ),
    ],
)
async def test_a_bad_event_is_told_what_is_wrong(
    client: httpx.AsyncClient, body: Any, status: int, reason: str
) -> None:
    response = await client.post("/v1/events", json=body)
    assert response.status_code == status
    assert reason in response.json()["error"]["message"]


async def test_the_models_are_listed(client: httpx.AsyncClient) -> None:
    (model,) = (await client.get("/v1/models")).json()["data"]
    assert (model["id"], model["context_length"], model["object"]) == ("daybreak", 256, "model")
    assert (await client.get("/v1/models/daybreak")).json() == model
    assert (await client.get("/v1/models/other")).status_code == 404


async def test_health_and_readiness_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_the_metrics_tell_what_askers_waited(client: httpx.AsyncClient) -> None:
    await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 1})
    text = (await client.get("/metrics")).text
    for name in (
        "gw_request_seconds_bucket",
        "gw_ttft_seconds_bucket",
        "gw_queue_seconds_sum",
        "gw_inflight",
    ):
        assert f"\n{name}" in text


async def test_a_half_sent_request_harms_nobody(slow: Any, client: httpx.AsyncClient) -> None:
    host, _, port = slow.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert (await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 1})).status_code == 200


async def test_a_frozen_engine_is_answered_by_503_and_forgiven(slow: Any, model: Any, tmp_path: Path) -> None:
    gateway, url = start_gateway(model, slow.triton.address, tmp_path, engine_timeout_s=0.5)
    (stub,) = [pid for pid in group_of(slow.triton.child.pid) if pid != slow.triton.child.pid]
    try:
        await asyncio.to_thread(wait_for, url, 200)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            os.kill(stub, signal.SIGSTOP)
            frozen = await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 1})
            os.kill(stub, signal.SIGCONT)
            assert (frozen.status_code, frozen.headers["retry-after"]) == (503, "5")
            assert "silent for 0.5 s" in frozen.json()["error"]["message"]
            async with asyncio.timeout(10):
                while (await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 1})).is_error:
                    pass
    finally:
        os.kill(stub, signal.SIGCONT)
        gateway.stop(2)


@pytest.mark.slow
async def test_without_an_engine_the_gateway_says_503_at_once(model: Any, tmp_path: Path) -> None:
    gateway, url = start_gateway(model, f"127.0.0.1:{free_port()}", tmp_path)
    try:
        response = await asyncio.to_thread(wait_for, url, 503)
        assert response.json()["status"] == "waiting"
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            answer = await client.post("/v1/completions", json={"prompt": "x"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert (await client.get("/healthz")).status_code == 200
    finally:
        gateway.stop(2)


async def test_a_model_that_never_learned_to_fill_in_ignores_the_suffix_and_says_so(
    slow: Any, model: Any, tmp_path: Path
) -> None:
    gateway, url = start_gateway(model, slow.triton.address, tmp_path, fim="None")
    try:
        await asyncio.to_thread(wait_for, url, 200)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            plain = await client.post("/v1/completions", json={"prompt": "a", "max_tokens": 4})
            filled = await client.post(
                "/v1/completions", json={"prompt": "a", "suffix": "b", "max_tokens": 4}
            )
            others = {"context": [{"path": "b.c", "text": "int b;\n"}], "path": "a.c"}
            surrounded = await client.post("/v1/completions", json={"prompt": "a", "max_tokens": 4, **others})
        assert surrounded.headers["x-daybreak-context"] == "ignored"
        assert "x-daybreak-context" not in plain.headers
        assert surrounded.json()["choices"] == plain.json()["choices"]
        assert filled.headers["x-daybreak-suffix"] == "ignored"
        assert "x-daybreak-suffix" not in plain.headers
        assert filled.json()["choices"] == plain.json()["choices"]
    finally:
        gateway.stop(2)


async def test_a_gateway_that_is_told_to_end_answers_what_it_has_begun(
    slow: Any, model: Any, tmp_path: Path
) -> None:
    gateway, url = start_gateway(model, slow.triton.address, tmp_path)
    try:
        await asyncio.to_thread(wait_for, url, 200)
        seen = len(slow.log())
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            asking = client.post("/v1/completions", json={"prompt": "x", "max_tokens": 20, **SLOW})
            answer = asyncio.create_task(asking)
            await until(lambda: len(slow.log()) > seen)
            os.kill(gateway.pid, signal.SIGTERM)
            response = await answer
        assert (response.status_code, response.json()["usage"]["completion_tokens"]) == (200, 20)
        assert await asyncio.to_thread(gateway.wait, 10)
    finally:
        gateway.stop(2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("{", "not valid JSON", id="torn"),
        pytest.param('{"engine": "x", "port": 1, "prot": 2}', "prot", id="a mistyped field"),
    ],
)
def test_a_wrong_config_file_is_told(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "gateway.json").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_config(tmp_path / "gateway.json")
