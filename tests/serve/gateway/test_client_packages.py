"""The clients that people have, as they are published, before a real gateway: each must read what plain HTTP reads.

Every client runs once, in a process of its own, and tells all that it was told (`tests/serve/peer_scripts`).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from daybreak_contracts.resources.access import AccessLimits, GroupLimits
from daybreak_serve.gateway.auth.api_keys import new_key
from daybreak_serve.hubfolder import ChatTemplate
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.client_packages import NoClientError, Script
from tests.serve.conftest import gateway_before_an_engine
from tests.serve.gateway.chat.test_template import CHATML

pytestmark = pytest.mark.slow  # the first time clients are installed; later it takes some seconds
PROMPT, OTHER, SUFFIX = "def add(a, b):", "class A:", "\nadd(1, 2)"
CONVERSATION = [{"role": "user", "content": "add two numbers"}]
EVERYWHERE = (
    "whole",
    "tokens",
    "streamed",
    "stopped",
    "chat",
    "chat streamed",
    "no key",
    "not served",
    "limited",
)
RESPONSES = ("response", "response streamed")
MESSAGES = ("message", "message streamed")
OFTEN = (*EVERYWHERE, *RESPONSES, "several", "filled", "chat usage", "counted", "models", "no model")
CLIENTS = {
    "openai_python.py": OFTEN,
    "openai_node.mjs": OFTEN,
    "anthropic_python.py": (*MESSAGES, "counted", "models", "no key", "not served", "limited"),
    "anthropic_node.mjs": (*MESSAGES, "counted", "models", "no key", "not served", "limited"),
    "ai_sdk.mjs": (*EVERYWHERE, *RESPONSES, *MESSAGES, "chat usage"),
    "litellm_client.py": (*EVERYWHERE, "several"),
    "langchain_python.py": (*EVERYWHERE, "several", "chat usage"),
    "langchain_node.mjs": (*EVERYWHERE, "several"),
}
"""What each client is asked for; what is missing it does not have."""
COMPOSES = {"ai_sdk.mjs"}
"""Writes a prompt of its own around ours, so that the number of tokens, the first word, is another."""


@dataclass(frozen=True)
class KeyedGateway:
    """A gateway process that asks for keys: ada's, and one for each client that may ask twice a minute."""

    url: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def gateway(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedGateway]:
    folder = tmp_path_factory.mktemp("clients")
    keys = {name: new_key() for name in ("ada", *CLIENTS)}
    (folder / "keys").write_text(
        "".join(f"{name} sha256:{digest} {name}\n" for name, (_, digest) in keys.items())
    )
    limits = AccessLimits(groups=[GroupLimits(name=name, requests_per_minute=2) for name in CLIENTS])
    access = {"api_keys": str(folder / "keys"), "limits": limits}
    with gateway_before_an_engine(model, folder, chat=ChatTemplate(template=CHATML), **access) as url:
        yield KeyedGateway(url, {name: key for name, (key, _) in keys.items()})


@pytest.fixture(scope="module")
def expected(gateway: KeyedGateway) -> dict[str, Any]:
    """What plain HTTP is told."""

    def ask(path: str, **body: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {gateway.keys['ada']}"}
        response = httpx.post(f"{gateway.url}/v1/{path}", json=body, headers=headers, trust_env=False)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def text(**body: Any) -> str:
        return str(ask("completions", **body)["choices"][0]["text"])

    conversation = ask("chat/completions", messages=CONVERSATION, max_tokens=5)
    said = conversation["choices"][0]["message"]["content"]
    whole = text(prompt=PROMPT, max_tokens=8)
    assert whole.split()[1:] == ["one", "two", "three", "four", "five", "six", "seven"]
    assert int(said.split()[0]) > int(whole.split()[0])  # a conversation has more tokens than a prompt
    return {
        "whole": whole,
        "tokens": 8,
        "streamed": whole,
        "stopped": [whole.partition("three")[0], "stop"],
        "several": [text(prompt=prompt, max_tokens=3) for prompt in (PROMPT, OTHER)],
        "filled": text(prompt=PROMPT, suffix=SUFFIX, max_tokens=3),
        "chat": said,
        "chat streamed": said,
        "chat usage": 5,
        **dict.fromkeys((*RESPONSES, *MESSAGES), said),
        "counted": conversation["usage"]["prompt_tokens"],
        "models": ["daybreak"],
        "no key": 401,
        "no model": 404,
        "not served": 404,
        "limited": 429,
    }


def told(name: str, gateway: KeyedGateway) -> dict[str, Any]:
    """Run a client and return what it prints."""
    try:
        command = Script(name).command()
    except NoClientError as error:
        pytest.skip(str(error))
    quiet = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "NODE_NO_WARNINGS": "1"}
    asked = [*command, f"{gateway.url}/v1", gateway.keys["ada"], gateway.keys[name]]
    done = subprocess.run(asked, check=False, env=quiet, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def without_count(value: Any) -> Any:
    """Return a text without its first word."""
    if isinstance(value, list):
        return [without_count(value[0]), *value[1:]]
    return value.strip().partition(" ")[2] if isinstance(value, str) else value


@pytest.mark.parametrize("name", CLIENTS)
def test_a_published_client_reads_what_plain_http_reads(
    gateway: KeyedGateway, expected: dict[str, Any], name: str
) -> None:
    found = told(name, gateway)
    wanted = {what: expected[what] for what in CLIENTS[name]}
    if name in COMPOSES:
        for what in ("whole", "streamed", "stopped"):
            found[what], wanted[what] = without_count(found[what]), without_count(wanted[what])
    assert found == wanted
