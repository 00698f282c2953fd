"""Base models of other families behind a real Triton and the gateway: what transformers generates, token for token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from daybreak_contracts.errors import UserError
from daybreak_serve.local import serving as local
from daybreak_serve.local.serving import LocalServer
from tests.plugins.needs import starts
from tests.serve.conftest import TEXTS
from tests.serve.families import BASE_FAMILIES, BaseFamily, Reference, changed, write_base

TOKENS = 40


@dataclass(frozen=True)
class ServedBase:
    family: BaseFamily
    server: LocalServer
    reference: Reference

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="none", max_retries=0)

    def expected(self, text: str, num_tokens: int = TOKENS) -> str:
        """Return what transformers writes behind a text, marks and all, up to a token that ends it."""
        ids = self.reference.tokenizer(text)["input_ids"]
        ends = sorted(self.server.model.end_ids)
        found = self.reference.greedy(ids, num_tokens, ends)
        return self.reference.text(found[:-1] if found[-1] in ends else found)


@pytest.fixture(scope="module", params=["Qwen2.5-Coder", "StarCoder2", "DeepSeek-Coder"])
@starts("triton")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBase]:
    folder, family = tmp_path_factory.mktemp("base"), BASE_FAMILIES[request.param]
    write_base(folder, family)
    with local.serve(str(folder), work_dir=tmp_path_factory.mktemp("work"), port=0) as server:
        yield ServedBase(family, server, Reference.of(folder))


def test_greedy_text_is_that_of_transformers(served: ServedBase) -> None:
    for prompt in (*TEXTS, "schön über Öl õ\n", "def f(x):\n    if x:\n"):
        for _ in range(2):  # the second time from a kept cache
            answer = served.client.completions.create(model="daybreak", prompt=prompt, max_tokens=TOKENS)
            assert answer.choices[0].text == served.expected(prompt), prompt


def test_the_middle_is_filled_in_the_familys_own_way(served: ServedBase) -> None:
    prefix, suffix, middle = served.family.marks
    before, behind = TEXTS[1], TEXTS[3]
    asked = {"model": "daybreak", "prompt": before, "suffix": behind, "max_tokens": TOKENS}
    answer = served.client.completions.with_raw_response.create(**asked)
    assert "x-daybreak-suffix" not in answer.headers
    expected = served.expected(f"{prefix}{before}{suffix}{behind}{middle}")
    text = answer.parse().choices[0].text
    # an editor gets no blank-only text and no repeated suffix (manners): else what transformers writes
    assert text == expected or expected.startswith(text)
    assert answer.parse().usage.prompt_tokens == len(
        served.reference.tokenizer(f"{prefix}{before}{suffix}{behind}{middle}")["input_ids"]
    )
    composed = f"{prefix}{before}{suffix}{behind}{middle}"  # an editor that composes by itself
    own = served.client.completions.create(model="daybreak", prompt=composed, max_tokens=TOKENS)
    assert own.choices[0].text == text


def test_streams_and_many_at_once_are_what_one_gets_alone(served: ServedBase) -> None:
    prompts = [text[:cut] for text in TEXTS for cut in (9, 17)]

    def ask(prompt: str) -> str:
        stream = served.client.completions.create(
            model="daybreak", prompt=prompt, max_tokens=TOKENS, stream=True
        )
        return "".join(piece.choices[0].text for piece in stream if piece.choices)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, prompts)) == [served.expected(prompt) for prompt in prompts]


def test_who_leaves_stops_the_engine(served: ServedBase) -> None:
    with httpx.Client(base_url=served.server.url, timeout=30, trust_env=False) as client:
        asked = {"prompt": "x = ", "max_tokens": 200, "stream": True}
        with client.stream("POST", "/v1/completions", json=asked) as response:
            next(response.iter_lines())
        deadline = time.monotonic() + 10
        while "gw_inflight 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.02)


CONVERSATION = [
    {"role": "system", "content": "You write code."},
    {"role": "user", "content": "def add(a, b):"},
]


def test_a_conversation_is_answered_as_transformers_would(served: ServedBase) -> None:
    asked: dict[str, Any] = {"model": "daybreak", "messages": CONVERSATION, "max_completion_tokens": TOKENS}
    if not served.family.chat:
        with pytest.raises(openai.BadRequestError, match="no chat template"):
            served.client.chat.completions.create(**asked)
        return
    text = served.reference.tokenizer.apply_chat_template(
        CONVERSATION, tokenize=False, add_generation_prompt=True
    )
    answer = served.client.chat.completions.create(**asked)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == served.expected(text)
    assert answer.usage.prompt_tokens == len(served.reference.tokenizer(text)["input_ids"])
    pieces = list(
        served.client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    deltas = [piece.choices[0].delta for piece in pieces if piece.choices]
    assert [delta.role for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]
    assert "".join(delta.content or "" for delta in deltas) == answer.choices[0].message.content
    assert (pieces[-1].usage, pieces[-2].choices[0].finish_reason) == (
        answer.usage,
        answer.choices[0].finish_reason,
    )
    stop = answer.choices[0].message.content[5:8]
    two = served.client.chat.completions.create(**asked, n=2, stop=stop)
    assert [one.message.content for one in two.choices] == [served.expected(text).partition(stop)[0]] * 2


@pytest.mark.needs("triton")
def test_a_text_ends_at_any_of_several_ends(tmp_path: Path) -> None:
    folder, family = tmp_path / "base", BASE_FAMILIES["Qwen2.5-Coder"]
    folder.mkdir()
    write_base(folder, family)
    reference, prompt = Reference.of(folder), TEXTS[0]
    free = reference.greedy(reference.tokenizer(prompt)["input_ids"], 30, ends=[0])
    # two tokens that come in the text are ends from now on; the one that comes first must end it
    later, first = free[12], free[7]
    changed(folder, "generation_config.json", lambda found: found.update(eos_token_id=[later, first]))
    at = min(free.index(later), free.index(first))
    with local.serve(str(folder), work_dir=tmp_path / "work", port=0) as server:
        body = {"prompt": prompt, "max_tokens": 30}
        answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=30, trust_env=False).json()
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["choices"][0]["text"] == reference.text(free[:at])
    assert answer["usage"]["completion_tokens"] == at + 1


def test_what_cannot_be_served_is_said_before_anything_is_started(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    write_base(folder, BASE_FAMILIES["StarCoder2"])
    changed(folder, "config.json", lambda config: config.update(architectures=["RwkvForCausalLM"]))
    with pytest.raises(UserError, match="Rwkv"), local.serve(str(folder), work_dir=tmp_path / "work", port=0):
        raise AssertionError("it was served")
    assert not (tmp_path / "work").exists()
