"""Conversations as editors send them, over HTTP: content in parts, tools, other servers' fields and paths.

Bodies have the fields that the named client's source sends (version of late 2026), with texts of our own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.conftest import gateway_before_an_engine
from tests.serve.gateway.chat.test_template import CHATML

TOOLS = [{"type": "function", "function": {"name": "read_file", "description": "Read a file.",
          "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}]  # fmt: skip
ASKED = {"role": "user", "content": "add two numbers"}
PARTS = {
    "role": "user",
    "content": [{"type": "text", "text": "add two numbers", "cache_control": {"type": "ephemeral"}}],
}
CALLED = [
    ASKED,
    {"role": "assistant", "content": None, "reasoning_content": "", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "x = 1"}]},
]  # fmt: skip
OPENAI = "/v1/chat/completions"
CHATS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama.vim, an instruction": (OPENAI, {
        "id_slot": 0, "messages": [{"role": "system", "content": "You edit code."}, ASKED], "min_p": 0.1,
        "temperature": 0.01, "samplers": ["min_p", "temperature"], "stream": True, "cache_prompt": True,
        "n_predict": 6}),
    "llama.vscode, its agent": (OPENAI, {
        "messages": CALLED, "stream": True, "model": "m", "tools": TOOLS, "tool_choice": "auto", "max_tokens": 6}),
    "Zed, its agent": (OPENAI, {
        "model": "m", "messages": [PARTS], "stream": True, "stream_options": {"include_usage": True},
        "max_completion_tokens": 6, "stop": [], "temperature": 1e-2, "tools": TOOLS, "parallel_tool_calls": False,
        "prompt_cache_key": "a"}),
    "Continue, openai": (OPENAI, {
        "messages": [ASKED], "model": "m", "max_tokens": 6, "temperature": 0.01, "top_p": None, "stream": True,
        "frequency_penalty": None, "presence_penalty": None, "stop": None, "tools": TOOLS,
        "parallel_tool_calls": False}),
    "Continue, mistral: a message to go on from": (OPENAI, {
        "messages": [ASKED, {"role": "assistant", "content": "Sure", "prefix": True}], "model": "m", "max_tokens": 6,
        "stream": True}),
    "Roo Code and Cline": (OPENAI, {
        "model": "m", "temperature": 0, "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You edit.",
                                            "cache_control": {"type": "ephemeral"}}]}, *CALLED],
        "stream": True, "stream_options": {"include_usage": True}, "reasoning_effort": "medium",
        "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False, "max_completion_tokens": 6}),
    "avante": (OPENAI, {
        "model": "m", "messages": [{"role": "developer", "content": "You edit."}, PARTS], "stream": True,
        "stream_options": {"include_usage": True}, "temperature": 0.01, "max_completion_tokens": 6, "tools": TOOLS}),
    "gptel": (OPENAI, {
        "model": "m", "messages": [ASKED], "stream": True, "stream_options": {"include_usage": True},
        "temperature": 0.01, "max_tokens": 6, "tools": TOOLS}),
    "codecompanion": (OPENAI, {
        "model": "daybreak", "messages": [{"role": "system", "content": "You edit code."}, ASKED], "stream": True,
        "stream_options": {"include_usage": True}, "max_tokens": 6, "tools": TOOLS}),
    "gp.nvim": (OPENAI, {
        "model": "m", "stream": True, "messages": [ASKED], "max_tokens": 6, "temperature": 0.01, "top_p": 1}),
    "CodeGPT.nvim": (OPENAI, {"temperature": 0.01, "n": 1, "model": "m", "messages": [ASKED], "max_tokens": 6}),
    "CopilotChat.nvim": (OPENAI, {
        "messages": [ASKED], "model": "m", "stream": True, "n": 1, "top_p": 1, "temperature": 0.01, "max_tokens": 6}),
    "ellama by llm": (OPENAI, {
        "model": "m", "messages": [ASKED], "stream": True, "temperature": 0.01, "max_tokens": 6}),
    "helix-gpt": (OPENAI, {
        "max_tokens": 6, "model": "m", "n": 1, "stream": True, "temperature": 0, "top_p": 1, "messages": [ASKED]}),
    "Copilot in VS Code, a model of one's own": (OPENAI, {
        "messages": [{"role": "system", "content": "You edit code."}, ASKED], "model": "daybreak", "temperature": 0.01,
        "top_p": 1, "n": 1, "stream": True, "stream_options": {"include_usage": True}, "tools": TOOLS,
        "max_completion_tokens": 6}),
    "opencode": (OPENAI, {
        "model": "daybreak", "max_tokens": 6, "temperature": 0.01, "top_p": 1, "messages": [
            {"role": "system", "content": "You edit."}, {"role": "user", "content": [{"type": "text", "text": "add"}]},
            {"role": "assistant", "content": None, "tool_calls": CALLED[1]["tool_calls"]}, CALLED[2]],
        "tools": TOOLS, "tool_choice": "auto", "stream": True, "stream_options": {"include_usage": True}}),
    "opencode 1.18, a title: twice the user": (OPENAI, {
        "model": "daybreak", "max_tokens": 6, "messages": [
            {"role": "system", "content": "You make titles."}, {"role": "user", "content": "Generate a title:\n"},
            ASKED], "stream": True, "stream_options": {"include_usage": True}}),
    "Continue's cn": (OPENAI, {
        "model": "daybreak", "messages": [{"role": "system", "content": "You are an agent."}, ASKED], "stream": True,
        "tools": TOOLS, "stream_options": {"include_usage": True}, "max_tokens": 6}),
    "Qwen Code 0.15": (OPENAI, {
        "model": "daybreak", "messages": [
            {"role": "system", "content": "You are an agent."},
            {"role": "user", "content": [{"type": "text", "text": "This is the context."}]},
            {"role": "assistant", "content": "Got it. Thanks for the context!"},
            {"role": "user", "content": [{"type": "text", "text": "add"}]}],
        "stream": True, "stream_options": {"include_usage": True}, "tools": TOOLS, "max_tokens": 6}),
    "Cline's command line 3": (OPENAI, {
        "model": "daybreak", "messages": [{"role": "system", "content": "You are an agent."}, ASKED], "tools": TOOLS,
        "tool_choice": "auto", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 6}),
    "llm": (OPENAI, {
        "model": "daybreak", "messages": [ASKED], "stream": True, "stream_options": {"include_usage": True},
        "max_tokens": 6}),
    "aider 0.86": (OPENAI, {
        "messages": [{"role": "system", "content": "Act as an expert."}, ASKED,
                     {"role": "assistant", "content": "Ok."}, ASKED],
        "model": "daybreak", "stream": True, "temperature": 0, "max_tokens": 6}),
    "OpenAI completion for Sublime Text": (OPENAI, {
        "messages": [{"role": "system", "content": "You edit."}, {**ASKED, "file_path": "a.py"}], "model": "m",
        "temperature": 0.01, "max_tokens": 2048, "max_completion_tokens": 6, "top_p": 1, "stream": True,
        "parallel_tool_calls": False}),
    "CodeContinue for Sublime Text": (OPENAI, {
        "model": "m", "messages": [{"role": "system", "content": "You edit."}, ASKED], "max_tokens": 6,
        "temperature": 0.01}),
    "Local LLM Chat for Visual Studio": (OPENAI, {
        "model": "m", "messages": [{"role": "system", "content": "You edit."}, ASKED], "temperature": 0.01,
        "max_tokens": 6, "stream": False}),
    "aider, a model that goes on from its own words": (OPENAI, {
        "model": "m", "messages": [ASKED, {"role": "assistant", "content": "```python\n", "prefix": True}],
        "temperature": 0, "stream": True, "max_tokens": 6}),
    "Tabby's chat": ("/v1beta/chat/completions", {
        "messages": [ASKED], "model": "m", "stream": True, "max_tokens": 6}),
    "a base URL without /v1": ("/chat/completions", {"messages": [ASKED], "stream": True, "max_tokens": 6}),
}  # fmt: skip


@pytest.fixture(scope="module")
def url(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("chats")
    chat = ChatTemplate(template=CHATML)
    with gateway_before_an_engine(model, folder, chat=chat, max_new_tokens=64) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("name", CHATS)
async def test_what_an_editor_says_is_answered_whole_and_in_pieces(
    client: httpx.AsyncClient, name: str
) -> None:
    path, body = CHATS[name]
    whole = {name: value for name, value in body.items() if name != "stream_options"} | {"stream": False}
    response = await client.post(path, json=whole)
    assert response.status_code == 200, response.text
    message = response.json()["choices"][0]["message"]
    assert (message["role"], message["content"].split()[1:]) == (
        "assistant",
        ["one", "two", "three", "four", "five"],
    )
    assert ("no tool is called" in response.headers.get("x-daybreak-warning", "")) == ("tools" in body)
    if not body.get("stream"):
        return
    streamed = (await client.post(path, json=body)).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in streamed if line and line != "data: [DONE]"]
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]]
    assert "".join(pieces) == message["content"]
    if "stream_options" in body:
        assert events[-1]["usage"]["completion_tokens"] == 6


async def test_content_in_parts_is_the_text_itself(client: httpx.AsyncClient) -> None:
    told = [
        (await client.post(OPENAI, json={"messages": [one], "max_tokens": 2})).json()
        for one in (ASKED, PARTS)
    ]
    assert told[0]["usage"] == told[1]["usage"]
    assert told[0]["choices"] == told[1]["choices"]


async def test_an_image_in_ollamas_words_is_no_text_either(client: httpx.AsyncClient) -> None:
    """It was left out without a word: Ollama's clients put it beside ``content``."""
    body = {"model": "m", "messages": [{**ASKED, "images": ["aGk="]}]}
    response = await client.post("/api/chat", json=body)
    assert (response.status_code, "images" in response.json()["error"]) == (400, True)


@pytest.mark.slow
async def test_ollamas_conversations_are_lines(client: httpx.AsyncClient) -> None:
    """Continue, twinny and gptel with Ollama; streams unless it says otherwise."""
    body = {"model": "m", "messages": [ASKED], "options": {"num_predict": 4, "num_ctx": 4096}, "keep_alive": 1800,
            "think": False, "tools": TOOLS}  # fmt: skip
    whole = (await client.post("/api/chat", json={**body, "stream": False})).json()
    assert (whole["done"], whole["done_reason"], whole["eval_count"]) == (True, "length", 4)
    assert whole["message"]["role"] == "assistant"
    lines = [json.loads(line) for line in (await client.post("/api/chat", json=body)).text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"]
    assert [line["done"] for line in lines][-2:] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "field"),
    [
        pytest.param({"tools": TOOLS, "tool_choice": "required"}, "tool_choice", id="a call that must be"),
        pytest.param({"response_format": {"type": "json_schema"}}, "response_format", id="JSON that must be"),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
                ]
            },
            "messages.content",
            id="an image",
        ),
    ],
)
async def test_what_no_text_can_keep_is_refused_with_the_field(
    client: httpx.AsyncClient, more: dict[str, Any], field: str
) -> None:
    response = await client.post(OPENAI, json={"messages": [ASKED], **more})
    assert (response.status_code, response.json()["error"]["param"]) == (400, field)
