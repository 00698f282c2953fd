"""OpenAI's responses and Anthropic's messages over HTTP, as Codex, Claude Code and the makers' packages send them.

Events are checked by what the clients' sources read: Codex ``codex-api/src/sse/responses.rs``, the package `openai`
``lib/streaming/responses``, the package `anthropic` ``lib/streaming/_messages.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from daybreak_serve.gateway.dialects.dialect import CompletionChoice
from daybreak_serve.gateway.dialects.messages import AnthropicMessages
from daybreak_serve.gateway.dialects.responses import OpenAiResponses
from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage
from daybreak_serve.gateway.http.paths import body_of
from daybreak_serve.gateway.http.problems import ApiProblem, engine_down
from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.conftest import gateway_before_an_engine
from tests.serve.gateway.chat.test_template import CHATML

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
ASKED = "add two numbers"
SAID = ["one", "two", "three", "four", "five"]
SAID_WORDS = re.compile(r"\b(?:one|two|three|four|five|six|seven|eight|nine)\b")
TOOLS = [
    {
        "type": "function",
        "name": "shell",
        "description": "Run.",
        "strict": False,
        "parameters": {"type": "object"},
    }
]
CLAUDE_TOOLS = [{"name": "Bash", "description": "Run.", "input_schema": {"type": "object", "properties": {}}}]
EPHEMERAL = {"type": "ephemeral"}
CODEX = {
    "model": "gpt-5", "instructions": "You edit code.", "tools": TOOLS, "tool_choice": "auto",
    "parallel_tool_calls": False, "reasoning": {"effort": "medium", "summary": "auto"}, "store": False, "stream": True,
    "include": ["reasoning.encrypted_content"], "prompt_cache_key": "a", "text": {"verbosity": "medium"},
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be short."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASKED}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "x = 1"}]}  # fmt: skip
CLAUDE = {
    "model": "claude-sonnet-4-5", "max_tokens": 6, "stream": True, "temperature": 0.01, "tools": CLAUDE_TOOLS,
    "system": [{"type": "text", "text": "You edit code.", "cache_control": EPHEMERAL}],
    "metadata": {"user_id": "user_a_session_b"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": ASKED, "cache_control": EPHEMERAL}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                                          {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t",
                                      "content": [{"type": "text", "text": "x = 1"}]}]}]}  # fmt: skip
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai, a text": (RESPONSES, {"model": "m", "input": ASKED, "max_output_tokens": 6}),
    "openai, an easy message": (RESPONSES, {"model": "m", "input": [{"role": "user", "content": ASKED}],
                                            "max_output_tokens": 6, "stream": True}),
    "Codex": (RESPONSES, {**CODEX, "max_output_tokens": 6}),
    "Codex, a base URL without /v1": ("/responses", {**CODEX, "max_output_tokens": 6}),
    "AI SDK": (RESPONSES, {"model": "m", "input": [
        {"role": "system", "content": "You edit."},
        {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Sure"}], "id": "msg_1"},
        {"role": "user", "content": [{"type": "input_text", "text": "go on"}]}],
        "temperature": 0.01, "top_p": 1, "max_output_tokens": 6, "stream": True}),
    "gptel, responses": (RESPONSES, {
        "model": "m", "input": [{"role": "user", "content": ASKED}], "store": False, "stream": True,
        "instructions": "You edit.", "temperature": 0.01, "max_output_tokens": 6, "tools": TOOLS}),
    "codecompanion, responses": (RESPONSES, {
        "model": "m", "store": False, "stream": True, "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 6, "instructions": "You edit.", "tools": TOOLS,
        "context_management": [{"type": "compaction", "compact_threshold": 50000}],
        "input": [{"role": "user", "content": ASKED},
                  {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                  {"type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": "{}"},
                  {"type": "function_call_output", "call_id": "c", "output": "x = 1"}]}),
    "Copilot in VS Code, responses": (RESPONSES, {
        "model": "m", "input": [{"role": "system", "content": [{"type": "input_text", "text": "You edit."}]},
                                {"role": "user", "content": [{"type": "input_text", "text": ASKED}]}],
        "store": True, "stream": True, "tools": TOOLS, "top_p": 1, "max_output_tokens": 6, "truncation": "disabled"}),
    "gptel, Anthropic": (MESSAGES, {
        "model": "m", "stream": True, "max_tokens": 6, "messages": [{"role": "user", "content": ASKED}],
        "system": "You edit.", "temperature": 0.01, "tools": CLAUDE_TOOLS}),
    "codecompanion, Anthropic": (MESSAGES, {
        "model": "m", "stream": True, "max_tokens": 6, "temperature": 0.01, "cache_control": EPHEMERAL,
        "system": [{"type": "text", "text": "You edit."}], "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "compact_20260112"}]},
        "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]},
                     {"role": "assistant", "content": [{"type": "text", "text": "ok"},
                                                       {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
                     {"role": "user", "content": [
                         {"type": "tool_result", "tool_use_id": "t", "content": "x = 1", "is_error": False}]}],
        "tools": CLAUDE_TOOLS}),
    "avante, Anthropic": (MESSAGES, {
        "model": "m", "system": [{"type": "text", "text": "You edit.", "cache_control": EPHEMERAL}], "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED, "cache_control": EPHEMERAL}]}],
        "temperature": 0, "max_tokens": 6}),
    "CodeContinue for Sublime Text, Anthropic": (MESSAGES, {
        "model": "m", "max_tokens": 6, "temperature": 0.01, "system": "You edit.",
        "messages": [{"role": "user", "content": ASKED}]}),
    "anthropic, a text": (MESSAGES, {"model": "m", "max_tokens": 6, "messages": [{"role": "user", "content": ASKED}]}),
    "Claude Code": ("/v1/messages?beta=true", CLAUDE),
    "Claude Code 2.1: the system in the middle": ("/v1/messages?beta=true", {
        "model": "claude-opus-4-8", "max_tokens": 6, "stream": True, "thinking": {"type": "adaptive"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>"},
                                         {"type": "text", "text": ASKED, "cache_control": EPHEMERAL}]},
            {"role": "system", "content": "Available agent types: none."}],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: a"},
                   {"type": "text", "text": "You edit code.", "cache_control": EPHEMERAL}],
        "tools": CLAUDE_TOOLS, "metadata": {"user_id": '{"device_id": "a"}'}, "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}),
    "Codex 0.171": (RESPONSES, {
        "model": "daybreak", "stream": True, "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"}, "store": False, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "a", "client_metadata": {"session_id": "a"}, "max_output_tokens": 6,
        "input": [{"type": "message", "id": "msg_1", "role": "developer",
                   "content": [{"type": "input_text", "text": "You are a coding agent."}]},
                  {"type": "message", "id": "msg_2", "role": "user",
                   "content": [{"type": "input_text", "text": "<environment_context>"}]},
                  {"type": "message", "id": "msg_3", "role": "user",
                   "content": [{"type": "input_text", "text": ASKED}]}]}),
    "Zed, Continue, Cline: a base URL of their own": ("/anthropic/v1/messages", {
        "model": "m", "max_tokens": 6, "stream": True, "system": "You edit.", "stop_sequences": ["\n\nHuman:"],
        "tool_choice": {"type": "auto"}, "tools": CLAUDE_TOOLS, "top_k": 40, "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def url(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("protocols")
    chat = ChatTemplate(template=CHATML)
    with gateway_before_an_engine(model, folder, chat=chat, max_new_tokens=64) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


async def events_of(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a stream, each with a name that is its own ``type``."""
    response = await client.post(path, json={**body, "stream": True})
    assert (response.status_code, response.headers["content-type"][:17]) == (200, "text/event-stream")
    found = []
    for told in response.text.strip().split("\n\n"):
        name, data = told.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize("name", ASKS)
async def test_what_is_asked_is_answered_whole_and_in_pieces(client: httpx.AsyncClient, name: str) -> None:
    path, body = ASKS[name]
    response = await client.post(path, json={**body, "stream": False})
    assert response.status_code == 200, response.text
    assert ("no tool is called" in response.headers.get("x-daybreak-warning", "")) == ("tools" in body)
    whole = response.json()
    events = await events_of(client, path, body)
    if "messages" in body:
        (block,) = whole["content"]
        assert (whole["type"], whole["role"], whole["stop_reason"]) == ("message", "assistant", "max_tokens")
        told = [one["delta"]["text"] for one in events if one["type"] == "content_block_delta"]
    else:
        (item,) = whole["output"]
        (block,) = item["content"]
        assert (whole["status"], item["role"], item["type"]) == ("incomplete", "assistant", "message")
        told = [one["delta"] for one in events if one["type"] == "response.output_text.delta"]
    assert block["text"].split()[1:] == SAID
    assert whole["usage"]["output_tokens"] == 6
    assert "".join(told) == block["text"]


async def test_a_response_tells_its_text_four_times_and_counts_its_events(client: httpx.AsyncClient) -> None:
    events = await events_of(client, RESPONSES, {**CODEX, "max_output_tokens": 6})
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    kinds = [one["type"].removeprefix("response.") for one in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    text = "".join(one.get("delta", "") for one in events)
    ended = events[-1]["response"]
    assert [events[-4]["text"], events[-3]["part"]["text"], events[-2]["item"]["content"][0]["text"]] == [
        text
    ] * 3
    assert (ended["output"], ended["incomplete_details"]) == (
        [events[-2]["item"]],
        {"reason": "max_output_tokens"},
    )
    assert ended["usage"]["total_tokens"] == ended["usage"]["input_tokens"] + 6


@pytest.mark.parametrize("stream", [False, True])
async def test_a_message_names_the_stop_sequence_that_ended_it(
    client: httpx.AsyncClient, stream: bool
) -> None:
    """Anthropic's clients were told that the model had nothing more to say."""
    body = {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": ASKED}],
        "stop_sequences": ["x", "three"],
    }
    told = {"stop_reason": "stop_sequence", "stop_sequence": "three"}
    if stream:
        delta, end = (await events_of(client, MESSAGES, body))[-2:]
        assert (delta["delta"], end) == (told, {"type": "message_stop"})
    else:
        whole = (await client.post(MESSAGES, json=body)).json()
        assert told.items() <= whole.items()


def test_a_text_that_ends_by_itself_is_complete_in_both_protocols() -> None:
    identity, choice = CompletionIdentity("cmpl-1", 1, "m"), CompletionChoice(0, "a", "stop")
    message = json.loads(AnthropicMessages().whole(identity, [choice], Usage(1, 1)))
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    response = json.loads(OpenAiResponses().whole(identity, [choice], Usage(1, 1)))
    assert (response["status"], response["incomplete_details"]) == ("completed", None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MESSAGES, {**CLAUDE, "max_tokens": 64_000}),
        (RESPONSES, CODEX),
        ("/v1/chat/completions", {"max_tokens": 32_000, "messages": [{"role": "user", "content": ASKED}]}),
    ],
    ids=["Claude Code", "Codex", "opencode"],
)
async def test_an_answer_may_be_as_long_as_the_context_leaves(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], stream: bool
) -> None:
    """This gateway's completions have 64 tokens at most. Agents got no more either, and take a cut answer for an error:
    Codex ends with "Incomplete response returned", Claude Code with "exceeded the 64000 output token maximum".
    """
    response = await client.post(path, json={**body, "stream": stream})
    room = int(response.headers["x-daybreak-max-tokens"])
    assert 64 < room < 256
    assert len(SAID_WORDS.findall(response.text)) >= room - 1


async def test_a_message_begins_with_the_tokens_that_it_was_asked_with(client: httpx.AsyncClient) -> None:
    """Claude Code shows the number of the first event."""
    events = await events_of(client, MESSAGES, CLAUDE)
    used = events[0]["message"]["usage"]["input_tokens"]
    assert used == events[-2]["usage"]["input_tokens"] > 0
    assert (events[0]["message"]["content"], events[0]["message"]["stop_reason"]) == ([], None)


@pytest.mark.parametrize(
    ("role", "nearest"), [("developer", "system"), ("tool", "user"), ("function", "user")]
)
async def test_a_role_that_the_template_does_not_name_is_heard(
    client: httpx.AsyncClient, role: str, nearest: str
) -> None:
    """This one, as many, left its messages out: avante's instructions were lost, and what agents' tools told."""
    told = []
    for one in (nearest, role):
        body = {"messages": [{"role": "user", "content": ASKED}, {"role": one, "content": "x = 1"}]}
        told.append((await client.post("/apply-template", json=body)).json()["prompt"])
    assert told[0] == told[1]
    assert "x = 1" in told[0]


@pytest.mark.parametrize(
    ("path", "more", "words"),
    [
        pytest.param(
            RESPONSES, {"previous_response_id": "resp_1"}, "nothing is stored here", id="an earlier response"
        ),
        pytest.param(RESPONSES, {"background": True}, "nothing is stored here", id="fetched later"),
        pytest.param(RESPONSES, {"input": []}, "input must be", id="nothing"),
        pytest.param(
            RESPONSES, {"input": [{"type": "item_reference", "id": "a"}]}, "stored", id="a stored item"
        ),
        pytest.param(
            RESPONSES, {"input": [{"type": "compaction"}]}, "'compaction'", id="an item of another kind"
        ),
        pytest.param(
            RESPONSES, {"text": {"format": {"type": "json_schema"}}}, "text.format", id="JSON that must be"
        ),
        pytest.param(RESPONSES, {"tool_choice": "required"}, "tool_choice", id="a call that must be"),
        pytest.param(RESPONSES, {"max_output_tokens": 0}, "max_output_tokens must be", id="no token"),
        pytest.param(RESPONSES, {"instructions": ["a"]}, "instructions must be", id="instructions in a list"),
        pytest.param(
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "a"}]}]},
            "input.content must be",
            id="an image",
        ),
        pytest.param(RESPONSES, {"input": "\ud800"}, "half a surrogate", id="half a character"),
        pytest.param(MESSAGES, {"max_tokens": 0}, "max_tokens must be", id="Anthropic's warming of a cache"),
        pytest.param(MESSAGES, {"messages": "a"}, "messages must be", id="a text for messages"),
        pytest.param(MESSAGES, {"tool_choice": {"type": "any"}}, "tool_choice", id="any call that must be"),
        pytest.param(
            MESSAGES, {"stop_sequences": [5]}, "stop_sequences must be", id="a stop that is a number"
        ),
        pytest.param(
            MESSAGES, {"output_format": {"type": "json_schema"}}, "output_config", id="JSON from Claude"
        ),
        pytest.param(
            MESSAGES,
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages.content must be",
            id="an image for Claude",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_in_the_protocols_own_words(
    client: httpx.AsyncClient, path: str, more: dict[str, Any], words: str
) -> None:
    body = {"input": ASKED} if path == RESPONSES else {"messages": [{"role": "user", "content": ASKED}]}
    response = await client.post(path, content=json.dumps({**body, **more}))
    assert response.status_code == 400
    document = response.json()
    assert words in document["error"]["message"]
    assert document.get("type") == (None if path == RESPONSES else "error")


@pytest.fixture(scope="module")
def without_template(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway_before_an_engine(model, tmp_path_factory.mktemp("plain")) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPONSES, {"input": ASKED}),
        (RESPONSES, {"input": ASKED, "stream": True}),
        ("/v1/responses/input_tokens", {"input": ASKED}),
        (MESSAGES, {"messages": [{"role": "user", "content": ASKED}]}),
        (MESSAGES, {"messages": [{"role": "user", "content": ASKED}], "stream": True}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": ASKED}]}),
        ("/tokenize", {"messages": [{"role": "user", "content": ASKED}]}),
        ("/apply-template", {"messages": [{"role": "user", "content": ASKED}]}),
    ],
)
def test_a_model_without_a_template_says_so(without_template: str, path: str, body: dict[str, Any]) -> None:
    response = httpx.post(without_template + path, json=body, trust_env=False)
    document = response.json()
    assert (response.status_code, document.get("type")) == (400, "error" if "messages" in path else None)
    assert "no chat template: ask it at /v1/completions" in document["error"]["message"]


def test_a_stream_that_breaks_ends_as_its_clients_look_for_it() -> None:
    """The package `anthropic` raises at an event named error, Codex at a response that failed, and at no other data."""
    identity, problem = CompletionIdentity("cmpl-1", 1, "m"), engine_down("it is gone")
    name, data = AnthropicMessages().broken(identity, problem, 3).decode().strip().split("\n")
    told = json.loads(data.removeprefix("data: "))
    assert (name, told["type"], told["error"]["type"]) == ("event: error", "error", "overloaded_error")
    name, data = OpenAiResponses().broken(identity, problem, 3).decode().strip().split("\n")
    told = json.loads(data.removeprefix("data: "))
    assert (name, told["type"], told["sequence_number"]) == ("event: response.failed", "response.failed", 7)
    failed = told["response"]
    assert (failed["status"], failed["error"]) == ("failed", {"code": "engine_down", "message": "it is gone"})


def test_a_text_that_was_given_up_is_cut_in_both_protocols() -> None:
    identity, choice = CompletionIdentity("cmpl-1", 1, "m"), CompletionChoice(0, "a", "cancelled")
    response = json.loads(OpenAiResponses().whole(identity, [choice], Usage(1, 1)))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": None})
    message = json.loads(AnthropicMessages().whole(identity, [choice], Usage(1, 1)))
    assert message["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500, 503])
def test_problems_before_a_dialect_are_told_in_anthropics_form_too(status: int) -> None:
    """Who has no key is refused before the path is looked at."""
    for path in ("/v1/messages", "/anthropic/v1/messages/count_tokens"):
        told = json.loads(body_of(ApiProblem(status, "no"), path))
        assert (told["type"], told["error"]["message"]) == ("error", "no")
        assert told["error"]["type"].endswith(("_error", "too_large"))


async def test_half_a_character_is_a_mistake_in_ollamas_words_too(client: httpx.AsyncClient) -> None:
    """It was 500: the body was written anew on its way."""
    body = {"messages": [{"role": "user", "content": "\ud800"}]}
    assert (await client.post("/api/chat", content=json.dumps(body))).status_code == 400


async def test_nothing_else_of_these_protocols_is_here(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/responses/resp_1")).json()["error"]["code"] == "not_found"
    told = (await client.get("/v1/messages")).json()
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
