"""Parsing of completion requests: what is taken, what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.engine.protocol import GenerationOptions, decode_options, encode_options
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse, parse_object

LIMITS = RequestLimits("daybreak", default_max_tokens=16, max_tokens=64)


def parsed(document: Any, file_header: str | None = None) -> CompletionRequest:
    return parse(json.dumps(document).encode(), file_header, LIMITS)


def test_what_is_not_said_has_its_default() -> None:
    assert parsed({"prompt": "x"}) == CompletionRequest(
        prompt="x",
        suffix=None,
        options=GenerationOptions(max_tokens=16),
        stream=False,
        include_usage=False,
        user=None,
        file=None,
    )


def test_everything_that_is_said_arrives() -> None:
    document = {
        "model": "daybreak",
        "prompt": ["x"],
        "suffix": "y",
        "max_tokens": 3,
        "temperature": 1,
        "top_p": 0.5,
        "seed": 7,
        "stop": "\n",
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "ada",
        "metadata": {"file": "a.py"},
        "n": 1,
        "best_of": 1,
        "echo": False,
        "logprobs": None,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
    }
    options = GenerationOptions(max_tokens=3, temperature=1.0, top_p=0.5, seed=7, stop=("\n",))
    assert parsed(document) == CompletionRequest("x", "y", options, True, True, "ada", "a.py")


def test_the_header_names_the_file_before_the_metadata_do() -> None:
    assert parsed({"prompt": "x", "metadata": {"file": "a.py"}}, "b.py").file == "b.py"


@pytest.mark.parametrize(
    ("document", "param", "reason"),
    [
        pytest.param({"prompt": 1}, "prompt", "string", id="prompt is a number"),
        pytest.param({"prompt": ["a", "b"]}, "prompt", "one string", id="two prompts"),
        pytest.param({"prompt": [1, 2]}, "prompt", "string", id="prompt of token ids"),
        pytest.param({"prompt": None}, "prompt", "null", id="prompt is null"),
        pytest.param({"prompt": "\ud800"}, "prompt", "surrogate", id="half a character"),
        pytest.param({"suffix": 1}, "suffix", "string", id="suffix is a number"),
        pytest.param({"max_tokens": 0}, "max_tokens", "between 1 and 64", id="no tokens"),
        pytest.param({"max_tokens": 65}, "max_tokens", "got 65", id="too many tokens"),
        pytest.param({"max_tokens": "5"}, "max_tokens", "integer", id="max_tokens is a string"),
        pytest.param({"max_tokens": True}, "max_tokens", "boolean", id="max_tokens is a boolean"),
        pytest.param({"max_tokens": 1.0}, "max_tokens", "integer", id="max_tokens is a float"),
        pytest.param({"temperature": 2.1}, "temperature", "between 0 and 2", id="too hot"),
        pytest.param({"temperature": -1}, "temperature", "between 0 and 2", id="too cold"),
        pytest.param({"temperature": "1"}, "temperature", "number", id="temperature is a string"),
        pytest.param({"top_p": 0}, "top_p", "between 0 and 1", id="an empty nucleus"),
        pytest.param({"seed": -1}, "seed", "between", id="negative seed"),
        pytest.param({"stop": ["a"] * 5}, "stop", "at most 4", id="five stop strings"),
        pytest.param({"stop": [""]}, "stop", "empty", id="an empty stop string"),
        pytest.param({"stop": ""}, "stop", "empty", id="an empty stop"),
        pytest.param({"stop": [1]}, "stop", "strings", id="a stop that is no string"),
        pytest.param({"stream": 1}, "stream", "true or false", id="stream is a number"),
        pytest.param({"stream_options": {}}, "stream_options", "stream: true", id="options without a stream"),
        pytest.param({"n": 2}, "n", "not supported", id="two choices"),
        pytest.param({"n": True}, "n", "not supported", id="n is a boolean"),
        pytest.param({"best_of": 2}, "best_of", "not supported", id="best of two"),
        pytest.param({"logprobs": 0}, "logprobs", "not supported", id="logprobs"),
        pytest.param({"echo": True}, "echo", "not supported", id="echo"),
        pytest.param({"logit_bias": {"1": 1}}, "logit_bias", "not supported", id="logit bias"),
        pytest.param({"user": 5}, "user", "string", id="user is a number"),
        pytest.param({"user": "u" * 513}, "user", "512", id="an endless user"),
        pytest.param({"metadata": "x"}, "metadata", "object", id="metadata is a string"),
        pytest.param({"metadata": {"file": 5}}, "metadata.file", "string", id="file is a number"),
        pytest.param({"context": "x"}, "context", "at most 64 objects", id="context is a string"),
        pytest.param(
            {"context": [{"path": "a", "text": ""}] * 65},
            "context",
            "at most 64 objects",
            id="too many files",
        ),
        pytest.param({"context": [{"path": "a.c"}]}, "context.text", "a string", id="a file without text"),
        pytest.param(
            {"context": [{"path": 5, "text": ""}]}, "context.path", "string", id="a path is a number"
        ),
        pytest.param({"path": "p" * 513}, "path", "512", id="an endless path"),
        pytest.param({"max_token": 5}, "max_token", "did you mean 'max_tokens'", id="a mistyped field"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(document: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        parsed({"prompt": "x", **document})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert reason in caught.value.message


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(ApiProblem) as caught:
        parsed({"prompt": "x", "model": "other"})
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="torn"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b'{"temperature": NaN}', id="not a number"),
        pytest.param(b"[" * 100_000, id="deeper than the stack"),
        pytest.param(b'{"max_tokens": ' + b"9" * 5000 + b"}", id="a number of 5,000 digits"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(ApiProblem, match="body") as caught:
        parse_object(body)
    assert caught.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("prompt", "suffix", "max_tokens", "temperature", "top_p", "seed", "stop", "stream"),
        *("stream_options", "user", "metadata", "model", "n", "echo", "logit_bias", "surprise"),
    ]
)


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_gives_a_request_within_the_limits_or_a_problem(document: dict[str, Any]) -> None:
    try:
        request = parse(json.dumps(document).encode(), None, LIMITS)
    except ApiProblem as problem:
        assert problem.status in (400, 404)
        assert problem.message
        json.loads(problem.body())
        return
    assert 1 <= request.options.max_tokens <= 64
    assert 0 <= request.options.temperature <= 2
    assert 0 < request.options.top_p <= 1
    assert all(request.options.stop)
    request.prompt.encode()
    (request.suffix or "").encode()


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_problem(body: bytes) -> None:
    try:
        assert isinstance(parse_object(body), dict)
    except ApiProblem as problem:
        assert problem.status == 400


@given(
    st.builds(
        GenerationOptions,
        max_tokens=st.integers(1, 1000),
        temperature=st.floats(0, 2),
        top_p=st.floats(0.01, 1),
        seed=st.none() | st.integers(0, 1 << 62),
        stop=st.lists(st.text(min_size=1), max_size=4).map(tuple),
    )
)
def test_options_reach_the_engine_as_they_were(options: GenerationOptions) -> None:
    assert decode_options(encode_options(options)) == options


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"{}", "max_tokens", id="nothing said"),
        pytest.param(b'{"max_tokens": 0}', "at least 1", id="no tokens"),
        pytest.param(b'{"max_tokens": 1, "color": 2}', "color", id="a field too many"),
        pytest.param(b'{"max_tokens": 1, "temperature": 3}', "temperature", id="too hot"),
        pytest.param(b'{"max_tokens": 1, "top_p": 0}', "top_p", id="an empty nucleus"),
        pytest.param(b'{"max_tokens": 1, "stop": [""]}', "stop", id="an empty stop string"),
        pytest.param(b"[", "Expecting", id="torn"),
    ],
)
def test_the_engine_refuses_options_that_the_gateway_would_never_send(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_options(data)
