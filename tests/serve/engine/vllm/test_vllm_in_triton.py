"""vLLM itself inside a real Triton behind the real gateway: its texts are our own engine's, its places are freed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from tokenizers import Tokenizer

from daybreak_contracts.progress import Progress
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.engine.repository import EngineSettings, build_repository
from daybreak_serve.engine.triton import TritonServer
from daybreak_serve.gateway.pool.streams import EngineClient, EngineRefused, infer_request
from daybreak_serve.modelfolder import ModelFolder
from tests.plugins.needs import starts
from tests.serve.conftest import TEXTS, new_server, start_gateway, wait_for
from tests.serve.engine.test_engine_in_triton import counters
from tests.serve.engine.vllm.conftest import Greedy

MAX_TOKENS = 200
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
@starts("triton")
def server(
    vllm_is_here: None, vllm_model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    folder = tmp_path_factory.mktemp("vllm")
    build_repository(vllm_model, folder / "repository", EngineSettings(kind="TritonVLLM"))
    server = new_server(folder, metrics=True, kind="TritonVLLM")
    server.start()
    server.wait_ready(Progress("serve"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(
    server: TritonServer, vllm_model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A gateway that has seen the golden completion answered."""
    golden = vllm_model.golden
    assert golden is not None
    gateway, url = start_gateway(
        vllm_model,
        server.address,
        tmp_path_factory.mktemp("gateway"),
        golden_prompt_ids=golden.prompt_ids,
        golden_token_ids=golden.token_ids,
    )
    wait_for(url, 200)
    yield url
    gateway.stop(5)


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def encode(vllm_model: ModelFolder) -> Any:
    tokenizer = Tokenizer.from_file(str(vllm_model.path / "tokenizer.json"))
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("prompt", TEXTS, ids=["function", "class", "other scripts", "loop"])
def test_greedy_text_is_that_of_our_own_engine(
    client: openai.OpenAI, own_greedy: Greedy, encode: Any, prompt: str
) -> None:
    _, expected = own_greedy(encode(prompt), 40)
    asking: Any = {"model": "daybreak", "prompt": prompt, "max_tokens": 40}
    assert client.completions.create(**asking).choices[0].text == expected
    again = client.completions.create(**asking)  # now from the cache of prefixes
    assert again.choices[0].text == expected
    pieces = list(client.completions.create(**asking, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == expected
    assert pieces[-1].choices[0].finish_reason == again.choices[0].finish_reason


def test_fill_in_the_middle_is_that_of_our_own_engine(
    client: openai.OpenAI, own_greedy: Greedy, encode: Any
) -> None:
    prefix, suffix = "def add(a, b):\n    ", "\n    return c\n"
    answer = client.completions.create(model="daybreak", prompt=prefix, suffix=suffix, max_tokens=24)
    _, expected = own_greedy([1, *encode(prefix), 3, *encode(suffix), 2], 24)
    assert answer.choices[0].text == expected


def test_eight_at_once_get_what_they_get_alone(
    client: openai.OpenAI, own_greedy: Greedy, encode: Any
) -> None:
    """Of vLLM that is no promise: a batch may sum in another order. This model's choices are not that near."""

    def ask(prompt: str) -> str:
        pieces = client.completions.create(model="daybreak", prompt=prompt, max_tokens=40, stream=True)
        return "".join(piece.choices[0].text for piece in pieces if piece.choices)

    prompts = [text[:cut] for text in TEXTS for cut in (8, 16)]
    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, prompts))
    assert together == alone == [own_greedy(encode(prompt), 40)[1] for prompt in prompts]


def test_sampling_repeats_with_its_seed(client: openai.OpenAI) -> None:
    asking: Any = {"model": "daybreak", "prompt": "x = ", "max_tokens": 32, "temperature": 1.0, "top_p": 0.9}
    first, second = (client.completions.create(**asking, seed=5).choices[0].text for _ in range(2))
    other = client.completions.create(**asking, seed=6).choices[0].text
    assert first == second != other


def test_a_stop_string_ends_the_text_before_it(server: TritonServer, client: openai.OpenAI) -> None:
    asking: Any = {"model": "daybreak", "prompt": TEXTS[0], "max_tokens": 60}
    text = client.completions.create(**asking).choices[0].text
    stop = text[10:13]
    before = counters(server)["tokens"]
    answer = client.completions.create(**asking, stop=[stop]).choices[0]
    assert (answer.text, answer.finish_reason) == (text[: text.index(stop)], "stop")
    assert counters(server)["tokens"] - before < 30


def test_a_prompt_that_begins_like_an_earlier_one_is_reused_in_blocks(
    server: TritonServer, client: openai.OpenAI
) -> None:
    before = counters(server)
    prompt = TEXTS[1] * 3
    usages = []
    for end in "ab":
        answer = client.completions.create(model="daybreak", prompt=prompt + end, max_tokens=4)
        assert answer.usage is not None
        usages.append(answer.usage)
    after = {name: value - before[name] for name, value in counters(server).items()}
    assert after["requests"] == 2
    assert after["tokens"] == sum(usage.completion_tokens for usage in usages)
    assert after["reused_prompt_tokens"] % 32 == 0
    assert after["reused_prompt_tokens"] >= usages[0].prompt_tokens - 64


async def test_whoever_leaves_frees_his_place_in_vllm(server: TritonServer, url: str) -> None:
    """Eight places are taken by requests of 200 tokens; their askers leave after a few."""
    before = counters(server)

    async def leave(client: httpx.AsyncClient, number: int) -> None:
        asking = {"prompt": f"x{number}", "max_tokens": MAX_TOKENS, "stream": True}
        async with client.stream("POST", "/v1/completions", json=asking) as response:
            assert response.status_code == 200
            await anext(response.aiter_lines())

    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(leave(client, number) for number in range(8)))
        async with asyncio.timeout(60):
            while "gw_inflight 0.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            while (await asyncio.to_thread(counters, server))["running"]:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        answer = await client.post("/v1/completions", json={"prompt": "y", "max_tokens": 4})
    print(f"the next one was answered after {time.monotonic() - began:.2f} s")
    assert answer.status_code == 200
    found = {
        name: value - before[name] for name, value in (await asyncio.to_thread(counters, server)).items()
    }
    assert found["requests"] == 9
    assert found["cancelled"] >= 1
    assert found["wasted_tokens"] >= 1
    assert found["tokens"] < 8 * MAX_TOKENS


async def test_what_no_gateway_would_send_is_refused_in_the_same_words(
    server: TritonServer, vllm_model: ModelFolder
) -> None:
    engine = EngineClient(server.address, timeout_s=30)
    stream = engine.open()
    for prompt, reason in (
        ([1] * vllm_model.context_length, "exceed the context"),
        ([vllm_model.vocabulary_size], "vocabulary"),
    ):
        await stream.ask(infer_request(prompt, GenerationOptions(max_tokens=5), "wrong"))
        with pytest.raises(EngineRefused, match=reason):
            await stream.next_chunk()
        assert stream.is_usable
    await engine.close()
