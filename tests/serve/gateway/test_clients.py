"""What editors and tools really send, and that each reads its answer where it looks for it.

Bodies have the fields that the named client's source sends (version of late 2026), with texts of our own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

PREFIX, SUFFIX = "def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"
ZED_STOPS = [
    "<|endoftext|>", "<|file_separator|>", "<|fim_pad|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<PRE>", "<SUF>", "<MID>", "[PREFIX]", "[SUFFIX]",
]  # fmt: skip
CONTINUE_STOPS = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "<|endoftext|>", "</fim_middle>",
                  "</code>", "/src/", "#- coding: utf-8", "```", "\nfunction", "\nclass"]  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """One request and where its client finds the text."""

    path: str
    body: dict[str, Any]
    text: Callable[[Any], str]
    streamed: Callable[[Any], str] | None = None
    """The text of one event, for requests that stream."""
    headers: dict[str, str] = field(default_factory=dict)
    is_fim: bool = True
    """Prefix and suffix reach the model apart."""


def choice_text(document: Any) -> str:
    return str(document["choices"][0]["text"])


def event_text(document: Any) -> str:
    return "".join(choice["text"] for choice in document["choices"])


def delta(document: Any) -> str:
    return "".join(choice["delta"]["content"] for choice in document["choices"])


COMPOSED = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
CLIENTS = {
    "Zed, open_ai_compatible_api": Recorded(
        "/v1/completions",
        {"model": "my-model", "prompt": COMPOSED, "max_tokens": 512, "temperature": 0.0, "stop": ZED_STOPS,
         "stream": False},
        choice_text,
    ),
    "Zed, Qwen's marks": Recorded(
        "/v1/completions",
        {"model": "qwen", "prompt": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>", "max_tokens": 512,
         "stop": ZED_STOPS},
        choice_text,
    ),
    "Continue, openai and vllm": Recorded(
        "/v1/completions",
        {"model": "starcoder2", "prompt": COMPOSED, "max_tokens": 4096, "temperature": 0.01, "stream": True,
         "stop": CONTINUE_STOPS, "frequency_penalty": None, "presence_penalty": None, "top_p": None},
        choice_text,
        event_text,
    ),
    "Continue, mistral": Recorded(
        "/v1/fim/completions",
        {"model": "codestral", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 4096, "temperature": 0.01,
         "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "stop": CONTINUE_STOPS, "stream": True},
        lambda document: str(document["choices"][0]["message"]["content"]),
        delta,
    ),
    "Continue, llama.cpp": Recorded(
        "/completion",
        {"model": "m", "prompt": COMPOSED, "stream": True, "n_predict": 4096, "frequency_penalty": 0, "min_p": 0.1,
         "mirostat": 0, "stop": CONTINUE_STOPS, "top_k": 40, "top_p": 1, "temperature": 0.01},
        lambda document: str(document["content"]),
        lambda document: str(document["content"]),
    ),
    "llama.vim": Recorded(
        "/infill",
        {"id_slot": 0, "input_prefix": "def add(a, b):\n", "input_suffix": SUFFIX, "prompt": "    return ",
         "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "util.py"}], "n_predict": 128, "stop": [],
         "n_indent": 4, "top_k": 40, "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"], "stream": False,
         "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
         "response_fields": ["content", "timings/prompt_n", "timings/predicted_n", "truncated"]},
        lambda document: str(document["content"]),
    ),
    "llama.vscode": Recorded(
        "/infill",
        {"input_prefix": "def add(a, b):\n", "input_suffix": SUFFIX, "prompt": "    return ", "input_extra": [],
         "n_predict": 128, "top_k": 40, "top_p": 0.99, "stream": False, "samplers": ["top_k", "infill"],
         "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 2500},
        lambda document: str(document["content"]),
    ),
    "llm-ls, openai backend": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": COMPOSED, "stream": False,
         "parameters": {"max_new_tokens": 60, "temperature": 0.2, "top_p": 0.95, "do_sample": False}},
        choice_text,
    ),
    "llm-ls, tgi backend": Recorded(
        "/generate",
        {"inputs": COMPOSED, "parameters": {"max_new_tokens": 60, "do_sample": False, "return_full_text": False}},
        lambda document: str(document["generated_text"]),
    ),
    "llm-vscode, huggingface backend": Recorded(
        "/models/bigcode/starcoder",
        {"inputs": COMPOSED, "parameters": {"max_new_tokens": 60, "do_sample": False, "return_full_text": False}},
        lambda document: str(document[0]["generated_text"]),
    ),
    "minuet, openai_fim_compatible": Recorded(
        "/v1/completions",
        {"model": "deepseek-chat", "stream": True, "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 56, "top_p": 0.9},
        choice_text,
        event_text,
    ),
    "minuet, codestral": Recorded(
        "/v1/fim/completions",
        {"model": "codestral-latest", "stream": True, "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 56,
         "stop": ["\n\n"]},
        lambda document: str(document["choices"][0]["message"]["content"]),
        delta,
    ),
    "Tabby's agent": Recorded(
        "/v1/completions",
        {"language": "python", "segments": {"prefix": PREFIX, "suffix": SUFFIX, "filepath": "a.py",
         "declarations": [{"filepath": "b.py", "body": "x: int"}]}, "user": "u", "temperature": None,
         "mode": "standard"},
        choice_text,
    ),
    "Copilot with another proxy": Recorded(
        "/v1/engines/copilot-codex/completions",
        {"prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 500, "temperature": 0, "top_p": 1, "n": 1,
         "stop": ["\n"], "nwo": "o/r", "stream": True, "extra": {"language": "python", "next_indent": 0}},
        choice_text,
        event_text,
    ),
    "LM Studio's clients": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": COMPOSED, "max_tokens": -0 + 64, "temperature": 0, "stop": None, "ttl": 300},
        choice_text,
    ),
    "LangChain's OpenAI class": Recorded(
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": [PREFIX], "max_tokens": 256, "temperature": 0.0, "top_p": 1,
         "frequency_penalty": 0, "presence_penalty": 0, "n": 1, "logit_bias": {}, "seed": None, "logprobs": None},
        choice_text,
        is_fim=False,
    ),
    "litellm to vLLM": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": PREFIX, "max_tokens": 16, "top_k": 50, "repetition_penalty": 1.1,
         "extra_body": {"guided_regex": "a"}},
        choice_text,
        is_fim=False,
    ),
}  # fmt: skip


@pytest.fixture
async def client(slow: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=slow.url, timeout=20, trust_env=False) as client:
        yield client


def marks(text: str) -> tuple[int, ...]:
    """Return the ids below a hundred of what the echo engine says: of the marks of the prompt's order."""
    return tuple(int(word) for word in text.split() if word.isdigit() and int(word) < 4)


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_client_sends_is_answered_where_it_looks(client: httpx.AsyncClient, name: str) -> None:
    sent = CLIENTS[name]
    body = {**sent.body, "stream": False} if "stream" in sent.body else sent.body
    response = await client.post(sent.path, json=body, headers=sent.headers)
    assert response.status_code == 200, response.text
    text = sent.text(response.json())
    assert text.strip()
    assert (1 in marks(text)) == sent.is_fim  # the echo begins with the prompt: <fim_prefix> is id 1
    if sent.streamed is None:
        return
    async with client.stream("POST", sent.path, json={**sent.body, "stream": True}) as streamed:
        lines = [line.removeprefix("data: ") async for line in streamed.aiter_lines() if line]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    assert "".join(sent.streamed(event) for event in events) == text


async def test_several_prompts_and_choices_have_their_places(client: httpx.AsyncClient) -> None:
    """LangChain's ``batch`` sends up to 20 prompts, litellm any."""
    body = {"prompt": ["aa", "bb", "aa"], "n": 2, "max_tokens": 3, "echo": True}
    document = (await client.post("/v1/completions", json=body)).json()
    choices = document["choices"]
    assert [choice["index"] for choice in choices] == list(range(6))
    assert [choice["text"][:2] for choice in choices] == ["aa", "aa", "bb", "bb", "aa", "aa"]
    assert document["usage"]["completion_tokens"] == 18
    async with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        events = [
            json.loads(line[6:]) async for line in response.aiter_lines() if line and line != "data: [DONE]"
        ]
    texts: dict[int, str] = {}
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    assert [texts[index] for index in range(6)] == [choice["text"] for choice in choices]


async def test_a_warm_up_of_llama_vim_is_answered(client: httpx.AsyncClient) -> None:
    body = {"input_prefix": "", "input_suffix": "", "input_extra": [], "prompt": "", "n_predict": 0, "stream": False,
            "temperature": 0.0, "samplers": [], "cache_prompt": True, "response_fields": [""]}  # fmt: skip
    assert (await client.post("/infill", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/infill", {"input_prefix": 5}, "input_prefix"),
        ("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": "x"}, "n_predict"),
        ("/infill", {"input_prefix": "a", "input_extra": "x"}, "input_extra"),
        ("/completion", {"prompt": "a", "n_predict": 1.5}, "n_predict"),
        ("/generate", {"prompt": "a"}, "inputs"),
        ("/v1/fim/completions", {"prompt": 5}, "prompt"),
        ("/v1/completions", {"segments": {"suffix": "b"}}, "segments"),
    ],
)
async def test_a_mistake_is_told_in_the_clients_own_words(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 400
    assert field in response.text


async def test_health_is_told_to_llama_cpp_and_tabby(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/v1/health"):
        document = (await client.get(path)).json()
        assert (document["status"], document["model"]) == ("ok", "daybreak")


async def test_what_a_tabby_user_did_is_an_event(client: httpx.AsyncClient) -> None:
    asked = await client.post("/v1/completions", json={"segments": {"prefix": "x", "suffix": ""}})
    event = {"type": "select", "completion_id": asked.json()["id"], "choice_index": 0, "elapsed": 12}
    first = await client.post("/v1/events", json=event)
    assert (first.status_code, first.json()["accepted"]) == (200, 1)
    assert (
        await client.post("/v1/events", json={"type": "completion", "completion_id": "x"})
    ).status_code == 200


async def test_cut_and_ignored_fields_are_said_in_headers(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 9999, "min_p": 0.1})
    assert response.headers["x-daybreak-max-tokens"] == "64"
    assert response.headers["x-daybreak-warning"] == "max_tokens was cut to 64; unknown and ignored: min_p"
    assert response.headers["x-request-id"] == response.json()["id"]
