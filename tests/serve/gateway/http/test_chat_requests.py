"""What a conversation's body may be, and how its answers look."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_serve.gateway.dialects.chat import ChatCompletions
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, RequestHeaders
from daybreak_serve.gateway.http.answers import CompletionIdentity
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import ChatMessage, CompletionRequest, RequestLimits

CHAT, LIMITS = ChatCompletions(), RequestLimits("m", 64, 256)
HELLO = [{"role": "user", "content": "hello"}]


def read(**body: Any) -> CompletionRequest:
    return CHAT.read(json.dumps({"messages": HELLO, **body}).encode(), RequestHeaders(), LIMITS)


def test_messages_are_read_in_every_shape() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = read(
        messages=[
            {"role": "developer", "content": "x", "name": "n"},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": None, "tool_calls": []},
        ]
    )
    assert found.messages == (
        ChatMessage("developer", "x"),
        ChatMessage("user", "a\nb"),
        ChatMessage("assistant", ""),
    )


def test_what_completions_have_holds_for_conversations_too() -> None:
    found = read(max_tokens=9, temperature=0.5, top_p=0.9, seed=4, stop=["x"], n=2, stream=True, user="ada")
    assert (found.options.max_tokens, found.options.stop, found.options.seed) == (9, ("x",), 4)
    assert (found.num_choices, found.stream, found.user) == (2, True, "ada")
    assert [single.messages for single in found.singles()] == [found.messages] * 2
    assert [single.options.seed for single in found.singles()] == [4, 5]


def test_the_newer_word_for_max_tokens_wins_and_without_one_the_answer_is_as_long_as_any() -> None:
    assert read(max_tokens=9, max_completion_tokens=7).options.max_tokens == 7
    assert (read().options.max_tokens, read().max_tokens_cut) == (256, False)
    cut = read(max_completion_tokens=4096)
    assert (cut.options.max_tokens, cut.max_tokens_cut) == (256, True)


def test_llama_cpps_word_for_max_tokens_is_read_too() -> None:
    assert read(n_predict=9).options.max_tokens == 9
    assert read(n_predict=0).options.max_tokens == 1  # llama.vim warms a cache while one types an instruction
    assert read(n_predict=-1).options.max_tokens == read(max_tokens=-1).options.max_tokens == 256
    assert read(n_predict=9, max_tokens=None).options.max_tokens == 9


def test_tools_that_may_be_called_are_no_reason_to_refuse() -> None:
    """Zed, Continue, Roo Code and llama.vscode send theirs with every message."""
    for choice in ({}, {"tool_choice": "auto"}, {"tool_choice": "none"}, {"tool_choice": None}):
        assert read(tools=[{"type": "function"}], parallel_tool_calls=False, **choice).messages
    assert not any("tool" in said for said in read(tools=[]).warnings)


def test_what_means_nothing_here_is_left_out_with_a_word() -> None:
    found = read(suffix="x", echo=True, tools=[{"type": "function"}], response_format={"type": "text"})
    said = "; ".join(found.warnings)
    assert all(name in said for name in ("suffix", "echo", "no tool is called"))
    assert "response_format" not in said
    assert (found.suffix, found.echo) == (None, None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"messages": []}, "messages must be a list of 1 to 256", id="none"),
        pytest.param({"messages": HELLO * 257}, "messages must be a list of 1 to 256", id="too many"),
        pytest.param({"messages": "hello"}, "messages must be a list", id="a string"),
        pytest.param({"messages": [{"content": "x"}]}, "messages.role must be", id="no role"),
        pytest.param({"messages": [{"role": "u" * 65, "content": "x"}]}, "messages.role", id="a long role"),
        pytest.param({"messages": [{"role": "user", "content": 3}]}, "messages.content", id="a number"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "no images",
            id="an image",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate", id="half a character"
        ),
        pytest.param(
            {"tools": [{}], "tool_choice": "required"}, "tool_choice must be none or auto", id="a call"
        ),
        pytest.param(
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            id="a call by name",
        ),
        pytest.param({"function_call": {"name": "f"}}, "function_call must be", id="a call of old"),
        pytest.param({"response_format": {"type": "json_object"}}, "response_format must be text", id="JSON"),
        pytest.param({"max_completion_tokens": 0}, "max_completion_tokens must be", id="no tokens"),
        pytest.param({"temperature": 9}, "temperature must be", id="a field of completions"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(ApiProblem, match=reason) as caught:
        read(**body)
    assert caught.value.status == 400


def test_the_first_piece_says_whose_it_is_and_the_last_why_it_ends() -> None:
    identity = CompletionIdentity("cmpl-1", 1, "m")
    choices = [
        CompletionChoice(0, "a", None),
        CompletionChoice(0, "b", None, position=1),
        CompletionChoice(0, "", "stop", position=2),
    ]
    pieces = [json.loads(CHAT.piece(identity, one, with_usage=False)[6:]) for one in choices]
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    assert deltas == [{"role": "assistant", "content": "a"}, {"content": "b"}, {}]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None, None, "stop"]
    assert {piece["object"] for piece in pieces} == {"chat.completion.chunk"}
