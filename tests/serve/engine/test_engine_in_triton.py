"""The real engine inside Triton: its metrics, and that cancelled requests cost it next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from daybreak_contracts.progress import Progress
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.engine.repository import build_repository
from daybreak_serve.engine.triton import TritonServer
from daybreak_serve.gateway.pool.streams import EngineClient, EngineRefused, infer_request
from daybreak_serve.modelfolder import ModelFolder
from tests.plugins.needs import starts
from tests.serve.conftest import new_server, start_gateway, wait_for

NUM_LEAVERS = 8
MAX_TOKENS = 240


@pytest.fixture(scope="module")
@starts("triton")
def server(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Triton with the real engine and its metrics, in a folder whose name a shell would take to pieces."""
    folder = tmp_path_factory.mktemp("llama") / """my 'first' "model" & $(exit 3); #"""
    folder.mkdir()
    build_repository(model, folder / "repository")
    server = new_server(folder, metrics=True)
    server.start()
    server.wait_ready(Progress("serve"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(server: TritonServer, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    gateway, url = start_gateway(model, server.address, tmp_path_factory.mktemp("gateway"))
    wait_for(url, 200)
    yield url
    gateway.stop(5)


def counters(server: TritonServer) -> dict[str, float]:
    """Return the engine's own metrics."""
    text = httpx.get(f"http://127.0.0.1:{server.reach.metrics_port}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("daybreak_engine_")]
    pairs = [line.rpartition(" ")[::2] for line in lines]
    return {
        name.removeprefix("daybreak_engine_").removesuffix("_total"): float(value) for name, value in pairs
    }


async def test_requests_whose_askers_left_stop_in_the_engine(server: TritonServer, url: str) -> None:
    before = counters(server)

    async def release(client: httpx.AsyncClient, number: int) -> None:
        asking = {"prompt": f"x{number}", "max_tokens": MAX_TOKENS, "stream": True}
        async with client.stream("POST", "/v1/completions", json=asking) as response:
            assert response.status_code == 200
            await anext(response.aiter_lines())

    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        await asyncio.gather(*(release(client, number) for number in range(NUM_LEAVERS)))
        async with asyncio.timeout(30):
            while "gw_inflight 0.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            while (found := await asyncio.to_thread(counters, server))["requests"] < before[
                "requests"
            ] + NUM_LEAVERS:
                await asyncio.sleep(0.01)
    # On a busy machine the first of them may have got all it asked for before its leaving was noticed.
    assert found["cancelled"] > before["cancelled"]
    assert found["wasted_tokens"] > before["wasted_tokens"]
    assert found["tokens"] - before["tokens"] < NUM_LEAVERS * MAX_TOKENS


def test_the_engine_counts_what_it_does(server: TritonServer, url: str) -> None:
    before = counters(server)
    prompt = "def add(a, b):\n    return a + b\n" * 2
    for _ in range(2):
        answer = httpx.post(
            f"{url}/v1/completions", json={"prompt": prompt, "max_tokens": 5}, trust_env=False
        )
    usage = answer.json()["usage"]
    after = {name: value - before[name] for name, value in counters(server).items()}
    assert after["requests"] == 2
    assert after["tokens"] == 2 * usage["completion_tokens"]
    assert after["prompt_tokens"] == 2 * usage["prompt_tokens"]
    assert after["reused_prompt_tokens"] == usage["prompt_tokens"] - 1  # the second time all but the last


async def test_the_engine_refuses_what_no_gateway_would_send(
    server: TritonServer, model: ModelFolder
) -> None:
    engine = EngineClient(server.address, timeout_s=10)
    stream = engine.open()
    for prompt, options, reason in (
        ([1] * model.context_length, GenerationOptions(max_tokens=5), "exceed the context"),
        ([model.vocabulary_size], GenerationOptions(max_tokens=5), "vocabulary"),
    ):
        await stream.ask(infer_request(prompt, options, "wrong"))
        with pytest.raises(EngineRefused, match=reason):
            await stream.next_chunk()
        assert stream.is_usable  # an error of the engine is an answer: the stream goes on
    message: Any = infer_request([1], GenerationOptions(max_tokens=1), "torn")
    message.raw_input_contents[1] = b"\x01\x00\x00\x00{"
    await stream.ask(message)
    with pytest.raises(EngineRefused, match="Expecting"):
        await stream.next_chunk()
    await engine.close()


def test_a_log_tells_of_the_server_alone(server: TritonServer) -> None:
    log = Path(server.child.log).read_text()
    assert "Started GRPCInferenceService" in log
    assert "Started HTTPService" not in log
