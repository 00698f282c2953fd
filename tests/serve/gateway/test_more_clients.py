"""What further editors send, each by the fields of its source (versions of 2025 and 2026), with texts of our own.

The second table of `test_clients.py`: what was found to be refused, misread or answered in other words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.serve.gateway.test_clients import (
    COMPOSED,
    PREFIX,
    SUFFIX,
    Recorded,
    choice_text,
    delta,
    event_text,
    generated,
    marks,
)

QWEN = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
QODE = {"temperature": 0.2, "top_p": 0.9, "top_k": 40, "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "stream": True}  # fmt: skip


def message(document: Any) -> str:
    return str(document["choices"][0]["message"]["content"])


def content(document: Any) -> str:
    return str(document["content"])


def chat_delta(document: Any) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in document["choices"])


CLIENTS = {
    "Continue, deepseek": Recorded(
        "/beta/completions",
        {"model": "deepseek-coder", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "temperature": 0.01,
         "frequency_penalty": None, "presence_penalty": None, "stop": ["\n\n"], "stream": True},
        choice_text,
        event_text,
    ),
    "Continue, openai with FIM below a base without /v1": Recorded(
        "/fim/completions",
        {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "temperature": 0.01, "stream": True},
        message,
        delta,
    ),
    "Continue, siliconflow and inception below a base without /v1": Recorded(
        "/completions",
        {"model": "mercury-coder", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "stream": True},
        choice_text,
        event_text,
    ),
    "Continue, llamastack": Recorded(
        "/v1/openai/v1/completions", {"model": "m", "prompt": COMPOSED, "max_tokens": 64, "stream": False}, choice_text
    ),
    "Continue and CopilotForXcode, Azure": Recorded(
        "/openai/deployments/code/completions",
        {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "stop": ["\n\n"], "stream": True},
        choice_text,
        event_text,
        headers={"api-key": "none"},
    ),
    "Qianfan's clients": Recorded(
        "/v2/completions", {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "stop": ["```"]}, choice_text
    ),
    "a base URL that ends with /v1 twice": Recorded("/v1/v1/completions", {"prompt": COMPOSED}, choice_text),
    "Kilo Code, its gateway's path": Recorded(
        "/api/fim/completions",
        {"model": "mistralai/codestral-2508", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "stream": True},
        message,
        delta,
    ),
    "llama.cpp's older path": Recorded(
        "/completions", {"prompt": COMPOSED, "n_predict": 16, "cache_prompt": True, "stream": False}, content
    ),
    "llama.cpp's words at OpenAI's path": Recorded(
        "/v1/completions", {"prompt": COMPOSED, "n_predict": 16, "cache_prompt": True}, choice_text
    ),
    "an Ollama client with /v1 in its server's URL": Recorded(
        "/v1/api/generate", {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "stream": False}, generated
    ),
    "llama.vscode with /v1 in its endpoint": Recorded(
        "/v1/infill", {"input_prefix": PREFIX, "input_suffix": SUFFIX, "n_predict": 16, "stream": False}, content
    ),
    "a composed prompt beside an empty suffix": Recorded(
        "/v1/completions", {"prompt": COMPOSED, "suffix": "", "max_tokens": 16}, choice_text
    ),
    "LM Studio's and LangChain's -1": Recorded(
        "/v1/completions", {"model": "m", "prompt": COMPOSED, "max_tokens": -1}, choice_text
    ),
    "a client whose numbers are all floats": Recorded(
        "/v1/completions", {"prompt": COMPOSED, "max_tokens": 16.0, "n": 1.0, "seed": 7.0}, choice_text
    ),
    "Continue, Seed-Coder's template": Recorded(
        "/v1/completions",
        {"prompt": f"<[fim-prefix]>{PREFIX}<[fim-suffix]>{SUFFIX}<[fim-middle]>", "max_tokens": 64}, choice_text
    ),
    "Continue, CodeGeeX's template": Recorded(
        "/v1/completions",
        {"prompt": f"<|user|>\n###PATH:a.py\n###LANGUAGE:Python\n###MODE:BLOCK\n<|code_suffix|>{SUFFIX}"
         f"<|code_prefix|>{PREFIX}<|code_middle|><|assistant|>\n", "max_tokens": 64},
        choice_text,
    ),
    "Cody, CodeGemma by Ollama": Recorded(
        "/api/generate",
        {"model": "codegemma", "prompt": f"# Path: a.py\n{QWEN}", "stream": True,
         "options": {"stop": ["\n\n", "<|fim_prefix|>"], "temperature": 0.2, "repeat_penalty": 1.0, "top_k": -1,
                     "top_p": -1, "num_predict": 256}},
        generated,
        generated,
    ),
    "Cody, CodeLlama by Ollama": Recorded(
        "/api/generate",
        {"model": "codellama:7b-code", "prompt": f"<PRE> # Path: a.py\n{PREFIX} <SUF>{SUFFIX} <MID>", "stream": True,
         "options": {"stop": ["<PRE>", "<SUF>", "<MID>", " <EOT>"], "temperature": 0.2, "top_k": -1, "top_p": -1}},
        generated,
        generated,
    ),
    "cmp-ai, Ollama": Recorded(
        "/api/generate",
        {"model": "codellama:7b-code", "prompt": f"<PRE> {PREFIX} <SUF>{SUFFIX} <MID>", "stream": False,
         "options": {"temperature": 0.2}},
        generated,
    ),
    "cmp-ai, Hugging Face": Recorded(
        "/models/bigcode/santacoder",
        {"inputs": f"<fim-prefix>{PREFIX}<fim-suffix>{SUFFIX}<fim-middle>",
         "parameters": {"num_return_sequences": 5, "return_full_text": False, "max_new_tokens": 64,
                        "temperature": 0.2, "top_p": 0.95, "stop": ["<|endoftext|>", "<fim-"]}},
        lambda document: str(document[0]["generated_text"]),
    ),
    "cmp-ai, Codestral": Recorded(
        "/v1/fim/completions",
        {"prompt": PREFIX, "suffix": SUFFIX, "model": "codestral-latest", "temperature": 0.1, "n": 1,
         "max_tokens": 64},
        message,
    ),
    "QodeAssist, Qwen by Ollama": Recorded(
        "/api/generate",
        {"model": "qwen2.5-coder:7b", "prompt": QWEN, "system": "You complete code.", "stream": True,
         "keep_alive": "5m", "options": {"num_predict": 64, "stop": ["<|endoftext|>", "<|EOT|>"], **QODE}},
        generated,
        generated,
    ),
    "QodeAssist, CodeLlama for QML": Recorded(
        "/api/generate",
        {"model": "codellama:7b-code-qml", "prompt": f"<SUF>{SUFFIX}<PRE>{PREFIX}<MID>", "system": "", "stream": True,
         "options": {"num_predict": 64, "stop": ["<SUF>", "< EOT >", "##"]}},
        generated,
        generated,
    ),
    "QodeAssist, llama.cpp": Recorded(
        "/infill",
        {"input_prefix": PREFIX, "input_suffix": SUFFIX, "input_extra": [{"filename": "b.py", "text": "x = 1"}],
         "max_tokens": 64, "model": "", **QODE, "stream": False},
        content,
    ),
    "QodeAssist, Qwen3-Coder: a gap in a chat": Recorded(
        "/v1/chat/completions",
        {"model": "qwen3-coder", "messages": [{"role": "system", "content": "You complete code."},
                                              {"role": "user", "content": QWEN}],
         "max_tokens": 64, "stop": ["<|im_end|>"], **QODE},
        message,
        chat_delta,
    ),
    "DevoxxGenie, Ollama": Recorded(
        "/api/generate",
        {"model": "qwen2.5-coder", "prompt": PREFIX, "suffix": SUFFIX, "stream": False,
         "options": {"num_predict": 64, "temperature": 0.0}},
        generated,
    ),
    "DevoxxGenie, LM Studio": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "temperature": 0.0, "stream": False},
        choice_text,
    ),
    "CopilotForXcode, FIM endpoint": Recorded(
        "/v1/fim/completions",
        {"model": "codestral-latest", "prompt": PREFIX, "suffix": SUFFIX, "stream": True, "temperature": 0.2,
         "max_tokens": 64},
        message,
        delta,
    ),
    "CopilotForXcode, Tabby": Recorded(
        "/v1/completions",
        {"language": "swift", "segments": {"prefix": PREFIX, "suffix": SUFFIX, "clipboard": ""}, "temperature": 0.2,
         "seed": None},
        choice_text,
    ),
    "llama-coder": Recorded(
        "/api/generate",
        {"model": "deepseek-coder:1.3b", "prompt": f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
         "raw": True, "options": {"stop": ["<END>"], "num_predict": 64, "temperature": 0.2}, "stream": False},
        generated,
    ),
    "privy, llamafile: the request alone, it reads an answer of 2023": Recorded(
        "/completion",
        {"prompt": f"<PRE> \n{PREFIX} <SUF>{SUFFIX} <MID>", "n_predict": 64, "stop": ["<PRE>", "EOT"],
         "temperature": 0, "cache_prompt": True, "stream": False},
        content,
    ),
    "Void, OpenAI-compatible, vLLM and LM Studio": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "stop": ["\n\n"], "max_tokens": 300}, choice_text
    ),
    "Void, Ollama": Recorded(
        "/api/generate",
        {"model": "qwen2.5-coder", "prompt": PREFIX, "suffix": SUFFIX, "raw": True, "stream": True,
         "options": {"stop": ["\n\n"], "num_predict": 300}},
        generated,
        generated,
    ),
    "Refact, an OpenAI-style endpoint": Recorded(
        "/v1/completions",
        {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "prompt": COMPOSED, "n": 1,
         "stop": ["<|endoftext|>", "\n\n"], "temperature": 0.0, "max_completion_tokens": 50, "meta": {"chat_id": ""}},
        choice_text,
        event_text,
    ),
    "ProxyAI, custom service": Recorded(
        "/v1/completions",
        {"model": "m", "prompt": PREFIX, "suffix": SUFFIX, "stream": False, "max_tokens": 128, "temperature": 0.0,
         "frequency_penalty": 0.0, "presence_penalty": 0.0},
        choice_text,
        headers={"accept": "application/json"},
    ),
    "twinny, llama.cpp": Recorded(
        "/completion",
        {"prompt": f"<PRE> {PREFIX} <SUF> {SUFFIX} <MID>", "stream": True, "temperature": 0.2, "max_tokens": 64},
        content,
        content,
    ),
    "twinny, LiteLLM: a gap in a chat": Recorded(
        "/v1/chat/completions",
        {"messages": [{"content": QWEN, "role": "user"}], "model": "m", "stream": True, "max_tokens": 64,
         "temperature": 0.0},
        message,
        chat_delta,
    ),
    "llama.vscode, three at a time and an adapter": Recorded(
        "/infill",
        {"id_slot": 0, "input_prefix": PREFIX, "input_suffix": SUFFIX, "input_extra": [], "prompt": "",
         "n_predict": 64, "n_cmpl": 3, "top_k": 40, "top_p": 0.99, "stream": False, "n_indent": 4,
         "samplers": ["top_k", "top_p", "infill"], "cache_prompt": True, "t_max_prompt_ms": 500,
         "t_max_predict_ms": 2500, "lora": [{"id": 0, "scale": 0.5}]},
        content,
    ),
    "JetBrains' Mellum, with a file before it": Recorded(
        "/v1/completions",
        {"model": "mellum", "prompt": f"<filename>b.py\nx = 1\n<filename>a.py\n<fim_suffix>{SUFFIX}"
         f"<fim_prefix>{PREFIX}<fim_middle>", "max_tokens": 64},
        choice_text,
    ),
    "Continue, Codestral with other files": Recorded(
        "/v1/completions",
        {"prompt": f"[SUFFIX]{SUFFIX}[PREFIX]+++++ b.py \nx = 1\n\n+++++ a.py\n{PREFIX}", "max_tokens": 64,
         "stop": ["[PREFIX]", "[SUFFIX]", "\n+++++ "]},
        choice_text,
    ),
}  # fmt: skip


@pytest.fixture
async def client(slow: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=slow.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_client_sends_is_answered_where_it_looks(client: httpx.AsyncClient, name: str) -> None:
    sent = CLIENTS[name]
    whole = {name: value for name, value in sent.body.items() if name != "stream_options"}
    body = {**whole, "stream": False} if "stream" in sent.body else whole
    response = await client.post(sent.path, json=body, headers=sent.headers)
    assert response.status_code == 200, response.text
    text = sent.text(response.json())
    assert 1 in marks(text)  # the echo begins with the prompt, which is one of a gap: <fim_prefix> is id 1
    assert text.split()[0] == "1"  # and nothing of another family's marks stands before it
    if sent.streamed is not None:
        async with client.stream("POST", sent.path, json={**sent.body, "stream": True}) as streamed:
            lines = [line.removeprefix("data: ") async for line in streamed.aiter_lines() if line]
        events = [httpx.Response(200, text=line).json() for line in lines if line != "[DONE]"]
        assert "".join(sent.streamed(event) for event in events) == text


async def test_a_model_that_is_unloaded_costs_one_token(client: httpx.AsyncClient) -> None:
    """cmp-ai, when Neovim ends."""
    response = await client.post("/api/generate", json={"model": "m", "keep_alive": 0, "stream": False})
    assert (response.status_code, response.json()["eval_count"]) == (200, 1)


async def test_a_gap_in_a_chat_is_text_where_the_client_says_so(client: httpx.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": QWEN}], "max_tokens": 4}
    response = await client.post("/v1/chat/completions", json=body, headers={"x-daybreak-prompt": "text"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "messages")  # no chat template


async def test_what_llama_vscode_and_others_ask_first(client: httpx.AsyncClient) -> None:
    props = (await client.get("/props")).json()
    assert props["default_generation_settings"]["n_ctx"] == 256
    for base in ("/v2", "/openai/deployments/code", "/v1/openai/v1"):
        assert (await client.get(f"{base}/models")).json()["data"][0]["id"] == "daybreak"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/completions", {"prompt": "a", "max_tokens": 1.5}, "max_tokens"),
        ("/v1/completions", {"prompt": "a", "max_tokens": -2}, "max_tokens"),
        ("/v1/completions", {"prompt": "a", "n_predict": "x"}, "max_tokens"),
        ("/completions", {"prompt": "a", "n_predict": "x"}, "n_predict"),
        ("/generate", {"inputs": "a", "parameters": {"top_p": "x"}}, "top_p"),
        ("/api/generate", {"prompt": "a", "options": {"top_p": "x"}}, "top_p"),
        ("/api/generate", {"prompt": "a", "options": {"temperature": True}}, "temperature"),
    ],
)
async def test_a_mistake_stays_one(client: httpx.AsyncClient, path: str, body: Any, field: str) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 400
    assert field in response.text
