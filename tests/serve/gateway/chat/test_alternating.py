"""What agents say out of turn, below templates as models have them that take turns strictly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daybreak_model.vocabulary import TextEncoder
from daybreak_serve.gateway.chat.prompts import ChatComposer
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import ChatMessage
from daybreak_serve.hubfolder import ChatTemplate
from tests.serve.families import BASE_FAMILIES, write_base_tokenizer

TURNS = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{% if m['role'] in ['user', 'assistant'] %}[{{ m['role'] }}]{{ m['content'] }}{% endif %}{% endfor %}"
)
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + TURNS
)
SYSTEM_FIRST = (
    "{% if messages[0]['role'] == 'system' %}[system]{{ messages[0]['content'] }}{% set messages = messages[1:] %}"
    "{% endif %}" + TURNS
)
DEAF = (
    "{% if messages[0]['role'] == 'system' %}[system]{{ messages[0]['content'] }}{% endif %}"
    "{% for m in messages %}{% if m['role'] != 'system' %}[{{ m['role'] }}]{{ m['content'] }}{% endif %}{% endfor %}"
)
ESCAPED = (
    "{% for m in messages %}[{{ m['role'] }}]"
    "{% if m['role'] == 'tool' %}{{ m['content'] | tojson }}{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
)
TOLD = (ChatMessage("user", "a"), ChatMessage("assistant", "b"), ChatMessage("tool", '"c"'))
CLAUDE_CODE = (
    ChatMessage("system", "You edit."),
    ChatMessage("user", "hello"),
    ChatMessage("system", "Agents: none."),
)
OPENCODE = (ChatMessage("user", "a title for this:"), ChatMessage("user", "hello"))
TALK = (ChatMessage("user", "a"), ChatMessage("assistant", "b"), ChatMessage("user", "c"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_base_tokenizer(folder, BASE_FAMILIES["Qwen2.5-Coder"])
    return (folder / "tokenizer.json").read_text()


@pytest.fixture
async def composer(request: pytest.FixtureRequest, tokenizer: str) -> AsyncIterator[ChatComposer]:
    found = ChatComposer(tokenizer, ChatTemplate(template=request.param), 4096)
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("composer", "messages", "text"),
    [
        pytest.param(
            SYSTEM_FIRST, CLAUDE_CODE, "[system]You edit.[user]hello\n\nAgents: none.", id="Mistral, Llama 2"
        ),
        pytest.param(
            STRICT, CLAUDE_CODE, "[user]You edit.\n\nhello\n\nAgents: none.", id="Gemma: no system at all"
        ),
        pytest.param(
            DEAF, CLAUDE_CODE, "[system]You edit.[user]hello\n\nAgents: none.", id="left out without a word"
        ),
        pytest.param(STRICT, OPENCODE, "[user]a title for this:\n\nhello", id="twice the user"),
        pytest.param(
            ESCAPED, TOLD, '[user]a[assistant]b[tool]"\\"c\\""', id="Llama 3.1 writes what tools told as JSON"
        ),
        pytest.param(STRICT, TALK, "[user]a[assistant]b[user]c", id="nothing out of turn"),
    ],
    indirect=["composer"],
)
async def test_what_is_said_out_of_turn_is_heard(
    composer: ChatComposer, messages: tuple[ChatMessage, ...], text: str
) -> None:
    assert await composer.text_of(messages) == text


@pytest.mark.parametrize("composer", [STRICT], indirect=True)
async def test_what_no_form_mends_is_refused_in_the_templates_own_words(
    composer: ChatComposer, tokenizer: str
) -> None:
    with pytest.raises(ApiProblem, match="roles must alternate"):
        await composer.compose(TextEncoder(tokenizer), (ChatMessage("assistant", "a"),), 16)
