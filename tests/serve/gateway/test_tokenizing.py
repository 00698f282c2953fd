"""Questions about tokens: llama.cpp's, vLLM's, Anthropic's and OpenAI's, beside the tokenizer and what a chat costs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from daybreak_contracts import names
from daybreak_contracts.resources.access import AccessLimits, GroupLimits
from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.conftest import gateway_before_an_engine
from tests.serve.gateway.chat.test_template import CHATML

TEXT = "def größe(x):\n    return x  # 🙂\n"
MESSAGES = [{"role": "system", "content": "You edit."}, {"role": "user", "content": TEXT}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def url(model: ModelFolder, folder: Path) -> Iterator[str]:
    chat = ChatTemplate(template=CHATML)
    limits = AccessLimits(groups=[GroupLimits(name="few", requests_per_minute=1)])
    with gateway_before_an_engine(model, folder, chat=chat, limits=limits) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


async def told(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def tokenizer_of(model: ModelFolder) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(model.path / "tokenizer.json"))


async def test_text_goes_to_tokens_and_back(client: httpx.AsyncClient, model: ModelFolder) -> None:
    """llama.vscode asks with ``content``, vLLM's clients with ``prompt``; both look for their own field."""
    encoding = tokenizer_of(model).encode(TEXT, add_special_tokens=False)
    found = await told(client, "/tokenize", content=TEXT, with_pieces=True)
    assert [one["id"] for one in found["tokens"]] == encoding.ids
    spelled = [one["piece"] for one in found["tokens"]]
    assert b"".join(bytes(one) if isinstance(one, list) else one.encode() for one in spelled) == TEXT.encode()
    found = await told(client, "/tokenize", model="m", prompt=TEXT, return_token_strs=True)
    assert (found["tokens"], found["count"]) == (encoding.ids, len(encoding.ids))
    assert (found["token_strs"], found["max_model_len"]) == (encoding.tokens, 256)
    back = await told(client, "/v1/detokenize", tokens=encoding.ids)
    assert back == {"content": TEXT, "prompt": TEXT}


async def test_a_mark_is_a_mark_unless_that_is_not_wanted(client: httpx.AsyncClient) -> None:
    for name in ("content", "prompt"):
        found = await told(client, "/tokenize", **{name: names.END_OF_TEXT})
        assert found["tokens"] == [0]
    as_text = await told(client, "/tokenize", content=names.END_OF_TEXT, parse_special=False)
    assert as_text["count"] > 1
    assert (await told(client, "/detokenize", tokens=[0]))["content"] == names.END_OF_TEXT


async def test_all_ways_count_what_a_conversation_costs(client: httpx.AsyncClient) -> None:
    """llama.vscode adds up ``/apply-template`` and ``/tokenize``, Claude Code asks ``count_tokens``."""
    chat = await told(client, "/v1/chat/completions", messages=MESSAGES, max_tokens=1)
    expected = chat["usage"]["prompt_tokens"]
    prompt = (await told(client, "/apply-template", messages=MESSAGES, tools=[]))["prompt"]
    assert TEXT in prompt
    assert prompt.endswith("<|im_start|>assistant\n")
    claude = {"model": "m", "system": MESSAGES[0]["content"], "messages": MESSAGES[1:], "tools": []}
    response = {"model": "m", "instructions": MESSAGES[0]["content"], "input": TEXT}
    counts = [
        (await told(client, "/tokenize", content=prompt))["count"],
        (await told(client, "/tokenize", messages=MESSAGES))["count"],
        (await told(client, "/v1/messages/count_tokens?beta=true", **claude))["input_tokens"],
        (await told(client, "/v1/responses/input_tokens", **response))["input_tokens"],
    ]
    assert counts == [expected] * 4


async def test_a_message_of_the_models_own_is_gone_on_with(client: httpx.AsyncClient) -> None:
    """Anthropic's rule, Mistral's and DeepSeek's ``prefix``, vLLM's switch: a new turn was begun behind it."""
    begun = {"role": "assistant", "content": "```python\ndef add("}
    turn = (await told(client, "/apply-template", messages=MESSAGES))["prompt"]
    wanted = turn + begun["content"]
    bodies: list[dict[str, Any]] = [
        {"messages": [*MESSAGES, begun | {"prefix": True}]},
        {"messages": [*MESSAGES, begun], "continue_final_message": True, "add_generation_prompt": False},
    ]
    for body in bodies:
        assert (await told(client, "/apply-template", **body))["prompt"] == wanted
        chat = await told(client, "/v1/chat/completions", **body, max_tokens=1)
        assert chat["usage"]["prompt_tokens"] == (await told(client, "/tokenize", content=wanted))["count"]
    claude = {"system": MESSAGES[0]["content"], "messages": [MESSAGES[1], begun]}
    assert (await told(client, "/v1/messages/count_tokens", **claude))["input_tokens"] == chat["usage"][
        "prompt_tokens"
    ]
    left = (await told(client, "/apply-template", messages=[*MESSAGES, begun]))["prompt"]
    assert left.endswith("<|im_start|>assistant\n")


async def test_what_has_no_place_is_counted_all_the_same(client: httpx.AsyncClient) -> None:
    long = [{"role": "user", "content": "x " * 20_000}]
    assert (await told(client, "/v1/messages/count_tokens", model="m", messages=long))[
        "input_tokens"
    ] > 20_000


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        pytest.param("/tokenize", {}, "content, prompt or messages", id="nothing"),
        pytest.param("/tokenize", {"content": 5}, "content must be a string", id="a number"),
        pytest.param("/tokenize", {"prompt": ["a"]}, "prompt must be a string", id="several prompts"),
        pytest.param("/tokenize", {"content": "\ud800"}, "half a surrogate", id="half a character"),
        pytest.param("/tokenize", {"content": "a", "with_pieces": 1}, "with_pieces must be", id="a switch"),
        pytest.param("/tokenize", {"messages": "a"}, "messages must be", id="no conversation"),
        pytest.param(
            "/tokenize", {"messages": [], "add_generation_prompt": False}, "must be true", id="another end"
        ),
        pytest.param("/detokenize", {"tokens": [-1]}, "tokens must be", id="an id below 0"),
        pytest.param("/detokenize", {"tokens": [10**9]}, "tokens must be", id="no such id"),
        pytest.param("/apply-template", {"content": "a"}, "messages", id="llama.cpp's other words"),
        pytest.param(
            "/v1/messages/count_tokens", {"prompt": "a"}, "/v1/completions", id="a prompt for Claude"
        ),
        pytest.param("/v1/responses/input_tokens", {"input": []}, "input must be", id="no item"),
    ],
)
async def test_a_mistake_is_told(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], words: str
) -> None:
    response = await client.post(path, content=json.dumps(body))
    assert (response.status_code, words in response.json()["error"]["message"]) == (400, True)


async def test_questions_are_in_the_log_and_under_the_limits(client: httpx.AsyncClient, folder: Path) -> None:
    response = await client.post("/tokenize", json={"content": TEXT}, headers={"x-daybreak-user": "ada"})
    log = (folder / "gateway.log").read_text().splitlines()
    (line,) = [json.loads(line) for line in log if response.headers["x-request-id"] in line]
    assert (line["dialect"], line["status"], line["tokens"]) == ("tokenize", 200, 0)
    assert line["promptTokens"] == response.json()["count"]
    assert TEXT not in "".join(log)
    few = {"x-daybreak-user": "bob", "x-daybreak-groups": "few"}
    answers = [await client.post("/detokenize", json={"tokens": [5]}, headers=few) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
