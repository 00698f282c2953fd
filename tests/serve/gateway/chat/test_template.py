"""Chat templates in their own process: what transformers renders, and templates that mean harm."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daybreak_serve.gateway.chat.renderer import COMMAND, TemplateFailed, TemplateRenderer
from daybreak_serve.gateway.chat.template import RENDER_S
from daybreak_serve.gateway.http.turns import Turn

CHATML = (
    "{%- if messages[0]['role'] == 'system' %}\n"
    "    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
    "{%- else %}\n    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}\n{%- endif %}\n"
    "{%- for message in messages %}\n"
    "    {%- if (message.role == 'user') or (message.role == 'system' and not loop.first) or "
    "(message.role == 'assistant' and not message.tool_calls) %}\n"
    "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    "    {%- endif %}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"
)
TURNS = (
    "{{ bos_token }}{% for message in messages %}\n"
    "{% if loop.index0 > 9 %}{% break %}{% endif %}\n"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system messages') }}{% endif %}\n"
    "{% set ns = namespace(text=message['content'] | trim) %}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ ns.text }}{{ eos_token }}{% endgeneration %}\n"
    "{% else %}[INST] {{ ns.text | tojson }} [/INST]{% endif %}{% endfor %}{{ strftime_now('%Y') }}\n"
)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
ASKED = [
    {"role": "user", "content": "  What is <x> & 'y'?\n"},
    {"role": "assistant", "content": "für \u2028 🙂"},
    {"role": "user", "content": "And now?"},
]


@pytest.fixture
async def new_renderer() -> AsyncIterator[list[TemplateRenderer]]:
    found: list[TemplateRenderer] = []
    yield found
    for one in found:
        await one.close()


@pytest.mark.parametrize("template", [CHATML, TURNS], ids=["ChatML", "turns, with every helper"])
async def test_the_text_is_that_of_transformers(template: str, new_renderer: list[TemplateRenderer]) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    renderer = TemplateRenderer(template, TOKENS)
    new_renderer.append(renderer)
    for messages in (ASKED, ASKED[:1]):
        (expected,), _ = render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=True, **TOKENS
        )
        assert await renderer.render(messages) == expected


async def test_a_template_that_refuses_says_why_and_goes_on(new_renderer: list[TemplateRenderer]) -> None:
    renderer = TemplateRenderer(TURNS, TOKENS)
    new_renderer.append(renderer)
    with pytest.raises(TemplateFailed, match="no system messages"):
        await renderer.render([{"role": "system", "content": "x"}])
    assert "[INST]" in await renderer.render(ASKED)


HARM = {
    "loops for hours": "{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}",
    "a huge number": "{{ (9 ** (messages | length * 9 ** 8)) | string | length }}",
    "a huge text": "{{ 'x' * 9000000000 }}",
    "a large text": "{{ 'x' * 9000000 }}",
    "endless recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "climbs out of an object": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "climbs out of a function": "{{ raise_exception.__globals__['os'].system('true') }}",
    "reads a file": "{% include '/etc/passwd' %}",
    "imports": "{% import 'os' as os %}{{ os.getcwd() }}",
    "writes to its messages": "{{ messages.append(1) }}",
    "is no template": "{% for %}",
    "a pattern that explodes": "{{ ('a' * 5000000) | wordcount }}{{ ('a ' * 90000000) | wordcount }}",
}


@pytest.mark.slow
@pytest.mark.parametrize("template", HARM.values(), ids=HARM)
async def test_a_template_that_means_harm_ends_soon_and_gets_nothing(
    template: str, new_renderer: list[TemplateRenderer], tmp_path: Path
) -> None:
    # only once a message asks for it, as a template that passes a first look would
    renderer = TemplateRenderer("{% if messages %}" + template + "{% endif %}", TOKENS)
    new_renderer.append(renderer)
    began_s = time.monotonic()
    with pytest.raises(TemplateFailed) as caught:
        await renderer.render(ASKED)
    assert time.monotonic() - began_s < RENDER_S + 15, "with the start of a process on a busy machine"
    assert "root:" not in str(caught.value)
    with pytest.raises(TemplateFailed):  # again, by a new process where the last one ended itself
        await renderer.render(ASKED)


async def test_its_process_opens_nothing_and_ends_with_its_renderer(
    new_renderer: list[TemplateRenderer],
) -> None:
    renderer = TemplateRenderer(CHATML, {})
    await renderer.render(ASKED)
    process = renderer._process
    assert process is not None
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert "Max open files            3 " in limits
    names = {line.partition("=")[0] for line in Path(f"/proc/{process.pid}/environ").read_text().split("\0")}
    assert names <= {"", "PATH", "PYTHONIOENCODING"}
    await renderer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_its_process_ends_with_its_renderer_also_where_too_many_wait(
    new_renderer: list[TemplateRenderer],
) -> None:
    renderer = TemplateRenderer(CHATML, {})
    await renderer.render(ASKED)
    process = renderer._process
    assert process is not None
    renderer._turn = Turn("conversations", wait_s=1.0, max_waiting=0)
    await renderer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_one_that_was_killed_is_started_again(new_renderer: list[TemplateRenderer]) -> None:
    renderer = TemplateRenderer(CHATML, {})
    new_renderer.append(renderer)
    first = await renderer.render(ASKED)
    assert renderer._process is not None
    renderer._process.kill()
    await renderer._process.wait()
    assert await renderer.render(ASKED) == first


@pytest.mark.parametrize("signal_name", ["SEGV", "ABRT"])
async def test_one_that_crashed_while_it_started_is_started_again(
    signal_name: str, new_renderer: list[TemplateRenderer], tmp_path: Path
) -> None:
    """A fork of a process with gRPC's threads may die before it is another program."""
    once = f'test -e {tmp_path}/died || {{ touch {tmp_path}/died; kill -{signal_name} $$; }}; exec "$@"'
    renderer = TemplateRenderer(CHATML, {}, ("/bin/sh", "-c", once, "sh", *COMMAND))
    new_renderer.append(renderer)
    assert "<|im_start|>" in await renderer.render(ASKED)
    assert (tmp_path / "died").exists()


async def test_one_that_always_crashes_is_a_reason(new_renderer: list[TemplateRenderer]) -> None:
    renderer = TemplateRenderer(CHATML, {}, ("/bin/sh", "-c", "kill -SEGV $$"))
    new_renderer.append(renderer)
    with pytest.raises(TemplateFailed, match="died 4 times"):
        await renderer.render(ASKED)


async def test_one_that_takes_no_conversation_is_given_up(new_renderer: list[TemplateRenderer]) -> None:
    """A stopped process reads nothing, and a pipe holds 64 KiB: writing to it was waited for without a bound."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    renderer = TemplateRenderer("x" * 1_000_000, {}, command, start_s=0.2)
    new_renderer.append(renderer)
    with pytest.raises(TemplateFailed, match="did not end"):
        await renderer.render(ASKED)
