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


def generated(document: Any) -> str:
    return str(document["response"])


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
         "git_url": "https://example.org/a.git", "clipboard": "x = 1",
         "relevant_snippets_from_changed_files": [{"filepath": "c.py", "body": "y", "score": 0.9}],
         "declarations": [{"filepath": "b.py", "body": "x: int"}]}, "user": "u", "temperature": None,
         "mode": "standard"},
        choice_text,
    ),
    "Zed of 2026, four stops a family": Recorded(
        "/v1/completions",
        {"model": "deepseek-coder", "prompt": f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
         "max_tokens": 256, "stop": ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"]},
        choice_text,
    ),
    "Zed, ollama": Recorded(
        "/api/generate",
        {"model": "qwen2.5-coder:3b-base", "prompt": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
         "raw": True, "stream": False, "options": {"num_predict": 8, "temperature": 0.01, "stop": ZED_STOPS}},
        generated,
    ),
    "Continue, ollama": Recorded(
        "/api/generate",
        {"model": "qwen2.5-coder:1.5b", "prompt": PREFIX, "suffix": SUFFIX, "raw": True, "stream": True,
         "keep_alive": 1800, "options": {"temperature": 0.01, "num_predict": 4096, "num_ctx": 4096, "top_k": 40,
                                         "stop": CONTINUE_STOPS, "num_thread": 4, "num_gpu": 0}},
        generated,
        generated,
    ),
    "twinny, ollama and openai-compatible": Recorded(
        "/api/generate",
        {"model": "codellama:7b-code", "prompt": f"<PRE> {PREFIX} <SUF> {SUFFIX} <MID>", "stream": True,
         "keep_alive": "5m", "options": {"temperature": 0.01, "num_predict": 512}},
        generated,
        generated,
    ),
    "llm-ls, ollama backend": Recorded(
        "/api/generate",
        {"model": "m", "prompt": COMPOSED, "stream": False,
         "options": {"num_predict": 60, "temperature": 0.01, "top_p": 0.95}},
        generated,
    ),
    "CodeGPT for JetBrains, OpenAI": Recorded(
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": PREFIX, "suffix": SUFFIX, "stream": True, "max_tokens": 128,
         "temperature": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "stop": ["\n\n"]},
        choice_text,
        event_text,
    ),
    "CodeGPT for JetBrains, llama.cpp": Recorded(
        "/completion",
        {"prompt": COMPOSED, "n_predict": 128, "stream": True, "temperature": 0.0, "top_k": 40, "top_p": 0.9,
         "min_p": 0.05, "repeat_penalty": 1.1, "stop": ["<|endoftext|>"]},
        lambda document: str(document["content"]),
        lambda document: str(document["content"]),
    ),
    "cursortab, prompt and suffix": Recorded(
        "/v1/completions",
        {"model": "", "prompt": PREFIX, "suffix": SUFFIX, "temperature": 0.0, "max_tokens": 512, "top_k": 50, "n": 1,
         "echo": False, "stream": True},
        choice_text,
        event_text,
    ),
    "lsp-ai, completions": Recorded(
        "/v1/completions",
        {"model": "m", "max_tokens": 64, "n": 1, "top_p": 0.95, "presence_penalty": 0.0, "frequency_penalty": 0.0,
         "temperature": 0.01, "echo": False, "prompt": COMPOSED},
        choice_text,
    ),
    "lsp-ai, mistral_fim": Recorded(
        "/v1/fim/completions",
        {"prompt": PREFIX, "suffix": SUFFIX, "model": "codestral-latest", "max_tokens": 64, "top_p": 0.95,
         "temperature": 0.01, "min_tokens": None, "random_seed": None, "stop": []},
        lambda document: str(document["choices"][0]["message"]["content"]),
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
    kind = "application/x-ndjson" if sent.path.startswith("/api/") else "text/event-stream"
    assert streamed.headers["content-type"].startswith(kind)
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


async def test_a_repository_that_cursortab_composes_is_taken_apart(client: httpx.AsyncClient) -> None:
    files = "<file_sep>b.py\nx = 1\n<file_sep>context/treesitter\nSibling: def b():\n<file_sep>a.py\n"
    body = {"model": "m", "prompt": f"<repo_name>shop\n{files}{COMPOSED}", "max_tokens": 64, "n": 1, "echo": False,
            "stop": ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>"]}  # fmt: skip
    response = await client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    assert 1 in marks(choice_text(response.json()))
    assert response.headers["x-daybreak-context"] == "ignored"  # it was read as other files, not as code


async def test_continue_streams_from_tgi_by_a_path_of_its_own(client: httpx.AsyncClient) -> None:
    parameters = {"max_new_tokens": 8, "best_of": 1, "temperature": 0.01, "top_p": 1, "top_k": 40,
                  "presence_penalty": 0, "frequency_penalty": 0, "stop": CONTINUE_STOPS[:4]}  # fmt: skip
    body = {"inputs": COMPOSED, "parameters": parameters}
    whole = (await client.post("/generate", json=body)).json()["generated_text"]
    async with client.stream("POST", "/generate_stream", json=body) as response:
        lines = [line async for line in response.aiter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "".join(json.loads(line[5:])["token"]["text"] for line in lines) == whole


async def test_what_clients_ask_of_a_model_first_is_told(client: httpx.AsyncClient) -> None:
    """Continue with vLLM, Ollama and TGI, Zed and twinny with Ollama, Tabby's clients."""

    async def told(path: str) -> Any:
        response = await client.get(path)
        assert response.status_code == 200, path
        return response.json()

    (model,) = (await told("/v1/models"))["data"]
    assert (model["max_model_len"], model["fim"]) == (256, "PSM")
    assert await told("/models") == await told("/v1/models")
    assert [one["name"] for one in (await told("/api/tags"))["models"]] == ["daybreak"]
    shown = (await client.post("/api/show", json={"name": "qwen2.5-coder:1.5b"})).json()
    assert shown["parameters"] == "num_ctx 256"
    assert ".Suffix" in shown["template"]
    assert "version" in await told("/api/version")
    assert (await told("/info"))["max_input_length"] == 256
    assert (await told("/v1beta/server_setting")) == {"disable_client_side_telemetry": True}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a", "options": {"num_predict": 1.5}}, "options.num_predict"),
        ({"prompt": "a", "options": [1]}, "options"),
        ({"prompt": "a", "format": "json"}, "format"),
        ({"prompt": "a", "images": ["aGk="]}, "images"),
    ],
)
async def test_ollamas_errors_are_a_text(client: httpx.AsyncClient, body: Any, field: str) -> None:
    response = await client.post("/api/generate", json=body)
    assert response.status_code == 400
    assert field in response.json()["error"]


async def test_an_empty_prompt_that_loads_a_model_costs_one_token(client: httpx.AsyncClient) -> None:
    body = {"model": "m", "prompt": "", "stream": False, "keep_alive": "10m"}
    assert (await client.post("/api/generate", json=body)).json()["eval_count"] == 1


async def test_a_stream_of_ollama_ends_by_a_line_that_says_so(client: httpx.AsyncClient) -> None:
    body = {"prompt": "x", "options": {"num_predict": 3}}  # streams unless it says otherwise
    lines = [json.loads(line) for line in (await client.post("/api/generate", json=body)).text.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1]["eval_count"], lines[-1]["done_reason"], lines[-1]["model"]) == (
        3,
        "length",
        "daybreak",
    )


async def test_a_stream_of_llama_cpp_ends_by_the_reason_that_it_has(client: httpx.AsyncClient) -> None:
    """Both said that their streams had stopped, wherever they were cut."""
    told = await client.post("/completion", json={"prompt": "x", "n_predict": 3, "stream": True})
    assert json.loads(told.text.strip().split("\n\n")[-1][6:])["stop_type"] == "limit"


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
