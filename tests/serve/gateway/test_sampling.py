"""What numbers mean to the engines whose words clients use, by those engines' own sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.chat import ChatCompletions
from daybreak_serve.gateway.dialects.dialect import RequestHeaders
from daybreak_serve.gateway.dialects.llamacpp import LlamaCpp
from daybreak_serve.gateway.dialects.messages import AnthropicMessages
from daybreak_serve.gateway.dialects.ollama import OllamaGenerate
from daybreak_serve.gateway.dialects.openai import OpenAiCompletions
from daybreak_serve.gateway.dialects.responses import OpenAiResponses
from daybreak_serve.gateway.dialects.textgen import TextGeneration
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import RequestLimits

LIMITS = RequestLimits("daybreak", default_max_tokens=32, max_tokens=64)


@pytest.mark.parametrize(
    ("engine", "sent", "meant"),
    [
        pytest.param(sampling.llamacpp, {"n_predict": 0}, {"max_tokens": 1}, id="llama.cpp warms its cache"),
        pytest.param(sampling.llamacpp, {"n_predict": -1}, {"max_tokens": -1}, id="llama.cpp without a bound"),
        pytest.param(sampling.llamacpp, {"max_completion_tokens": 7}, {"max_tokens": 7}, id="llama.cpp's third name"),
        pytest.param(sampling.llamacpp, {"top_p": 0, "temperature": 1}, {"temperature": 0}, id="the likeliest alone"),
        pytest.param(sampling.llamacpp, {"top_p": 1.5}, {"top_p": 1}, id="a share of more than all"),
        pytest.param(sampling.llamacpp, {"temperature": -1}, {"temperature": 0}, id="llama.cpp's cold"),
        pytest.param(sampling.llamacpp, {"seed": 4294967295}, {}, id="llama.cpp's seed of none"),
        pytest.param(sampling.ollama, {"num_predict": 0}, {"max_tokens": -1}, id="Ollama counts above 0 alone"),
        pytest.param(sampling.ollama, {"num_predict": -2}, {"max_tokens": -1}, id="Ollama fills the context"),
        pytest.param(sampling.ollama, {"top_p": -1, "temperature": 0.2}, {"temperature": 0}, id="Cody"),
        pytest.param(sampling.ollama, {"seed": -1}, {}, id="Ollama's seed of none"),
        pytest.param(sampling.textgen, {"do_sample": False, "temperature": 0.5}, {}, id="no sampling"),
        pytest.param(sampling.textgen, {"max_new_tokens": 5, "top_p": 0.9}, {"max_tokens": 5, "top_p": 0.9}, id="TGI"),
        pytest.param(sampling.openai, {"top_p": 0, "temperature": 1}, {"temperature": 0}, id="OpenAI's share of 0"),
        pytest.param(sampling.openai, {"seed": -1}, {"seed": None}, id="vLLM's seed of none"),
        pytest.param(sampling.openai, {"max_completion_tokens": 9}, {"max_tokens": 9}, id="Refact"),
        pytest.param(
            sampling.openai, {"max_completion_tokens": 9, "max_tokens": 3}, {"max_tokens": 9}, id="both: the newer name"
        ),
        pytest.param(sampling.openai, {"n_predict": 0}, {"max_tokens": 1}, id="llama.cpp's warming"),
        pytest.param(sampling.openai, {"n_predict": -2}, {"max_tokens": -1}, id="llama.cpp's, without a bound"),
        pytest.param(sampling.openai, {"max_tokens": 0}, {"max_tokens": 0}, id="OpenAI's 0, which is a mistake"),
    ],
)  # fmt: skip
def test_a_number_means_what_its_engine_does_with_it(engine: Any, sent: Any, meant: dict[str, Any]) -> None:
    assert engine(sent) == meant


@pytest.mark.parametrize("value", ["0.5", True, [1], {}])
@pytest.mark.parametrize(
    ("dialect", "body", "name"),
    [
        (LlamaCpp(infill=False), {"prompt": "a"}, "top_p"),
        (LlamaCpp(infill=True), {"prompt": "a"}, "n_predict"),
        (OpenAiCompletions(), {"prompt": "a"}, "top_p"),
        (OpenAiCompletions(), {"prompt": "a"}, "max_tokens"),
        (OllamaGenerate(), {"prompt": "a"}, "options.num_predict"),
        (TextGeneration(), {"inputs": "a"}, "parameters.temperature"),
    ],
)
def test_what_is_no_number_is_named(dialect: Any, body: dict[str, Any], name: str, value: Any) -> None:
    outer, _, inner = name.rpartition(".")
    sent = body | ({outer: {inner: value}} if outer else {inner: value})
    with pytest.raises(ApiProblem, match=inner):
        dialect.read(json.dumps(sent).encode(), RequestHeaders(), LIMITS)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (OllamaGenerate(), {"prompt": "a", "options": {"num_predict": -1}}),
        (LlamaCpp(infill=False), {"prompt": "a", "n_predict": -1}),
        (LlamaCpp(infill=True), {"input_prefix": "a", "n_predict": -1}),
        (OpenAiCompletions(), {"prompt": "a", "max_tokens": -1}),
        (OpenAiCompletions(), {"prompt": "a", "n_predict": -2}),
        (ChatCompletions(), {"messages": [{"role": "user", "content": "a"}], "max_tokens": -1}),
        (ChatCompletions(), {"messages": [{"role": "user", "content": "a"}], "n_predict": -2}),
    ],
)
def test_no_bound_is_as_many_as_there_can_be(dialect: Any, body: Any) -> None:
    request = dialect.read(json.dumps(body).encode(), RequestHeaders(), LIMITS)
    assert (request.options.max_tokens, request.max_tokens_cut) == (LIMITS.max_tokens, False)


@pytest.mark.parametrize(
    ("dialect", "body", "where"),
    [
        (OpenAiCompletions(), {"messages": [{"role": "user", "content": "a"}]}, "/v1/chat/completions"),
        (OpenAiCompletions(), {"prompt": None, "inputs": "a"}, "/generate"),
        (OpenAiCompletions(), {"input_prefix": "a", "input_suffix": "b"}, "/infill"),
        (ChatCompletions(), {"prompt": "a"}, "/v1/completions"),
        (ChatCompletions(), {"input": "a"}, "responses"),
        (OpenAiResponses(), {"messages": [{"role": "user", "content": "a"}]}, "/v1/chat/completions"),
        (AnthropicMessages(), {"prompt": "a"}, "/v1/completions"),
        (LlamaCpp(infill=False), {"messages": []}, "/v1/chat/completions"),
        (TextGeneration(), {"prompt": "a"}, "/v1/completions"),
        (OllamaGenerate(), {"messages": [{"role": "user", "content": "a"}]}, "/api/chat"),
    ],
)
def test_another_paths_body_is_told_where_it_belongs(dialect: Any, body: Any, where: str) -> None:
    """`/v1/chat/completion`, a letter short, was answered with what follows an empty prompt."""
    with pytest.raises(ApiProblem, match=where) as found:
        dialect.read(json.dumps(body).encode(), RequestHeaders(), LIMITS)
    assert found.value.status == 400


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param([], "", id="a tool that said nothing"),
        pytest.param(["a", "b"], "a\nb", id="plain strings"),
        pytest.param([{"text": "a"}], "a", id="no type"),
        pytest.param([{"type": "input_text", "text": "a"}], "a", id="the words of responses"),
        pytest.param([{"type": "refusal", "refusal": "no"}], "no", id="a refusal"),
        pytest.param(
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}], "a", id="a thought"
        ),
    ],
)
def test_parts_that_are_text_are_read(content: Any, text: str) -> None:
    body = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": content}]}
    request = ChatCompletions().read(json.dumps(body).encode(), RequestHeaders(), LIMITS)
    assert request.messages[1].content == text


@pytest.mark.parametrize(
    "part", [5, None, {"type": "image_url"}, {"type": ["text"], "text": "a"}, {"type": "file"}]
)
def test_parts_that_are_no_text_are_refused(part: Any) -> None:
    with pytest.raises(ApiProblem, match=r"messages\.content"):
        ChatCompletions().read(
            json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode(), RequestHeaders(), LIMITS
        )


def test_empty_stop_strings_are_none_to_llama_cpp() -> None:
    request = LlamaCpp(infill=True).read(
        b'{"input_prefix": "a", "stop": ["", "x"]}', RequestHeaders(), LIMITS
    )
    assert request.options.stop == ("x",)
