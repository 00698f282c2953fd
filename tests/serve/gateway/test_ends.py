"""Why a text ended, in the words of each protocol: its clients cut, ask again or go on by it.

llama.cpp's ``tools/server/README.md``, vLLM's ``entrypoints/openai/protocol.py``, text-generation-inference's
``router/src/lib.rs``; Anthropic's stand in `test_conversation_protocols.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.conftest import gateway_before_an_engine
from tests.serve.gateway.chat.test_template import CHATML

TALK = {"messages": [{"role": "user", "content": "x"}]}
SAID = {"prompt": "x"}
STOP = ["x", "three", "thr"]
WORD, LIMIT = "three", 3
"""The engine counts in words; it sees a stop string only where a whole word is one."""


@pytest.fixture(scope="module")
def url(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chat = ChatTemplate(template=CHATML)
    with gateway_before_an_engine(
        model, tmp_path_factory.mktemp("ends"), chat=chat, max_new_tokens=64
    ) as url:
        yield url


def last_of(response: httpx.Response) -> dict[str, Any]:
    """Return an answer, or of a stream the last object that says why it ended."""
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line]
    found = [json.loads(line) for line in lines if line != "[DONE]"]
    last: dict[str, Any] = found[-1]["choices"][0] if "choices" in found[-1] else found[-1]
    return last


CHOICES = (
    {"finish_reason": "stop", "stop_reason": WORD},
    {"finish_reason": "length", "stop_reason": None},
)
LLAMA = ({"stop_type": "word", "stopping_word": WORD}, {"stop_type": "limit", "stopping_word": ""})
OLLAMA = ({"done_reason": "stop"}, {"done_reason": "length"})
TGI = ({"finish_reason": "stop_sequence"}, {"finish_reason": "length"})
Ending = tuple[dict[str, Any], dict[str, Any]]
ENDS: Mapping[str, tuple[str, Callable[[int, list[str]], dict[str, Any]], Ending]] = {
    "vLLM": ("/v1/completions", lambda limit, stop: {**SAID, "max_tokens": limit, "stop": stop}, CHOICES),
    "vLLM, a chat": ("/v1/chat/completions", lambda limit, stop: {**TALK, "max_tokens": limit, "stop": stop}, CHOICES),
    "llama.cpp": ("/completion", lambda limit, stop: {**SAID, "n_predict": limit, "stop": stop}, LLAMA),
    "llama.cpp, a gap": (
        "/infill", lambda limit, stop: {"input_prefix": "x", "n_predict": limit, "stop": stop}, LLAMA),
    "Ollama": ("/api/generate", lambda limit, stop: {**SAID, "options": {"num_predict": limit, "stop": stop}}, OLLAMA),
    "Ollama, a chat": (
        "/api/chat", lambda limit, stop: {**TALK, "options": {"num_predict": limit, "stop": stop}}, OLLAMA),
    "TGI": (
        "/generate", lambda limit, stop: {"inputs": "x", "parameters": {"max_new_tokens": limit, "stop": stop}}, TGI),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("name", ENDS)
def test_the_end_says_whether_a_stop_string_or_the_limit_ended_it(url: str, name: str, stream: bool) -> None:
    path, body_of, endings = ENDS[name]
    if name == "TGI" and stream:
        path = "/generate_stream"
    for limit, expected in zip((20, LIMIT), endings, strict=True):
        body = {**body_of(limit, STOP), "stream": stream}
        last = last_of(httpx.post(url + path, json=body, timeout=30, trust_env=False))
        assert expected.items() <= last.get("details", last).items()


def test_the_last_event_of_tgis_stream_has_the_whole_text_and_no_piece_of_it(url: str) -> None:
    """Clients leave out tokens that are special; the text came with the events before."""
    body = {"inputs": "x", "parameters": {"max_new_tokens": LIMIT}}
    response = httpx.post(f"{url}/generate_stream", json=body, timeout=30, trust_env=False)
    events = [json.loads(line[5:]) for line in response.text.splitlines() if line]
    assert events[-1]["generated_text"] == "".join(one["token"]["text"] for one in events[:-1])
    assert events[-1]["token"] == {"id": 0, "text": "", "logprob": None, "special": True}
    assert events[-1]["details"]["generated_tokens"] == LIMIT
