"""Parsing of completion requests: what is taken, what is refused and why."""

from __future__ import annotations

import json
import time
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
        pytest.param({"prompt": [1, 2]}, "prompt", "string", id="prompt of token ids"),
        pytest.param({"prompt": None}, "prompt", "null", id="prompt is null"),
        pytest.param({"prompt": "\ud800"}, "prompt", "surrogate", id="half a character"),
        pytest.param({"suffix": 1}, "suffix", "string", id="suffix is a number"),
        pytest.param({"max_tokens": 0}, "max_tokens", "at least 1", id="no tokens"),
        pytest.param({"max_tokens": "5"}, "max_tokens", "integer", id="max_tokens is a string"),
        pytest.param({"max_tokens": True}, "max_tokens", "boolean", id="max_tokens is a boolean"),
        pytest.param({"max_tokens": 1.5}, "max_tokens", "integer", id="max_tokens is a float"),
        pytest.param({"temperature": 2.1}, "temperature", "between 0 and 2", id="too hot"),
        pytest.param({"temperature": -1}, "temperature", "between 0 and 2", id="too cold"),
        pytest.param({"temperature": "1"}, "temperature", "number", id="temperature is a string"),
        pytest.param({"top_p": 0}, "top_p", "between 0 and 1", id="an empty nucleus"),
        pytest.param({"seed": -1}, "seed", "between", id="negative seed"),
        pytest.param({"stop": [""]}, "stop", "empty", id="an empty stop string"),
        pytest.param({"stop": ""}, "stop", "empty", id="an empty stop"),
        pytest.param({"stop": [1]}, "stop", "strings", id="a stop that is no string"),
        pytest.param({"stream": 1}, "stream", "true or false", id="stream is a number"),
        pytest.param({"stream_options": {}}, "stream_options", "stream: true", id="options without a stream"),
        pytest.param({"n": 17}, "n", "between 1 and 16", id="too many choices"),
        pytest.param({"prompt": ["a"] * 4, "n": 5}, "n", "at most 16", id="too many choices of prompts"),
        pytest.param({"prompt": []}, "prompt", "1 to 16 strings", id="no prompt"),
        pytest.param({"completion": {"mode": "Word"}}, "completion.mode", "Line or Block", id="unknown mode"),
        pytest.param({"n": True}, "n", "between 1 and 16", id="n is a boolean"),
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
    ],
)
def test_a_wrong_field_is_named_with_its_rule(document: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        parsed({"prompt": "x", **document})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        pytest.param({"model": "gpt-4"}, "daybreak answers for model gpt-4", id="another model's name"),
        pytest.param({"max_tokens": 4096}, "max_tokens was cut to 64", id="more tokens than there can be"),
        pytest.param({"stop": ["a"] * 65}, "only the first 64 stop strings count", id="65 stop strings"),
        pytest.param({"logprobs": 5, "best_of": 2}, "ignored: best_of, logprobs", id="what is not done"),
        pytest.param({"presence_penalty": 0.5}, "ignored: presence_penalty", id="a penalty"),
        pytest.param(
            {"max_token": 5},
            "unknown and ignored: max_token (did you mean max_tokens?)",
            id="a mistyped field",
        ),
        pytest.param(
            {"repetition_penalty": 1.1},
            "unknown and ignored: repetition_penalty",
            id="a field of another engine",
        ),
        pytest.param({"ü\r\nx": 1}, "unknown and ignored: ???x", id="a name that must not reach a header"),
    ],
)
def test_what_is_not_done_as_asked_is_said(document: dict[str, Any], warning: str) -> None:
    assert parsed({"prompt": "x", **document}).warnings == (warning,)


@pytest.mark.parametrize(
    "document", [{"n": 1}, {"best_of": 1}, {"logit_bias": {}}, {"top_k": -1}, {"model": ""}]
)
def test_what_asks_for_nothing_is_no_reason_for_a_warning(document: dict[str, Any]) -> None:
    assert parsed({"prompt": "x", **document}).warnings == ()


def test_a_megabyte_of_a_name_costs_nothing() -> None:
    """Twenty unknown names of a megabyte took 11 s to look for a known one like them."""
    began = time.process_time()
    (warning,) = parsed({"prompt": "x", **{f"{index}" + "y" * 1_000_000: 1 for index in range(20)}}).warnings
    assert time.process_time() - began < 2
    assert warning.endswith("and 12 more")
    assert len(warning) < 500


def test_prompts_and_choices_come_in_the_order_of_openai() -> None:
    request = parsed(
        {"prompt": ["a", "<fim_prefix>b<fim_suffix>c<fim_middle>"], "n": 2, "seed": 7, "echo": True}
    )
    singles = request.singles()
    assert [(single.prompt, single.suffix, single.options.seed) for single in singles] == [
        ("a", None, 7),
        ("a", None, 8),
        ("b", "c", 7),
        ("b", "c", 8),
    ]
    assert [single.echo for single in singles][1:3] == ["a", "<fim_prefix>b<fim_suffix>c<fim_middle>"]


COMPOSED = "<fim_prefix>a<fim_suffix>b<fim_middle>"


@pytest.mark.parametrize(
    ("document", "said", "expected"),
    [
        pytest.param({"prompt": COMPOSED}, None, ("a", "b"), id="by its marks"),
        pytest.param({"prompt": COMPOSED}, "composed", ("a", "b"), id="as it is said"),
        pytest.param({"prompt": COMPOSED}, "text", (COMPOSED, None), id="text, whatever it looks like"),
        pytest.param(
            {"prompt": COMPOSED, "suffix": "c"}, None, (COMPOSED, "c"), id="with a suffix it is text"
        ),
    ],
)
def test_a_composed_prompt_is_told_by_its_marks_or_by_the_header(
    document: dict[str, Any], said: str | None, expected: tuple[str, str | None]
) -> None:
    request = parse(json.dumps(document).encode(), None, LIMITS, said)
    assert (request.prompt, request.suffix) == expected


@pytest.mark.parametrize(("prompt", "said"), [("x", "composed"), ("x", "fim")])
def test_a_wrong_word_about_the_prompt_is_refused(prompt: str, said: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        parse(json.dumps({"prompt": prompt}).encode(), None, LIMITS, said)
    assert caught.value.status == 400


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


@pytest.mark.slow
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
