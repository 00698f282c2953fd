"""``--sanitize`` in languages other than Python: the chats of a table around the right answers of every language."""

from __future__ import annotations

import textwrap

import pytest

from daybreak_evaluate.samples.chat_code import code_of
from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play, plays
from tests.evaluate.runtimes.plays.more.chats import (
    BODY,
    CHATS,
    CORRECTED,
    HELPED,
    JAVA,
    JAVASCRIPT,
    TAGS,
    WHOLE,
)


def tokens(code: str) -> list[str]:
    return code.split()


def chat(form: str, play: Play, right: str) -> str:
    tag = TAGS.get(play.task.language, play.task.language)
    closed = right + ("}\n" if play.task.language == "shell" else "")
    return form.replace("{tag}", tag).replace(WHOLE, play.task.prompt + closed).replace(BODY, right)


@pytest.mark.parametrize("language", sorted(plays()))
@pytest.mark.parametrize("name", sorted(CHATS))
def test_code_is_taken_out_of_a_chat(language: str, name: str) -> None:
    play = plays()[language]
    right = next(iter(play.right.values()))
    assert tokens(code_of(chat(CHATS[name], play, right), play.task)) == tokens(right)


@pytest.mark.parametrize("language", sorted(plays()))
def test_what_is_no_chat_stays_as_it_is(language: str) -> None:
    play = plays()[language]
    for answer in (*play.right.values(), *play.wrong.values()):
        if "```" not in answer and "<" + "|" not in answer:
            assert code_of(answer, play.task) == answer or answer.strip() == ""


@pytest.mark.parametrize("name", sorted(HELPED))
def test_helpers_of_an_answer_are_kept(name: str) -> None:
    task, text, wanted = HELPED[name]
    assert tokens(code_of(text, task)) == tokens(wanted)


def test_the_last_block_that_declares_the_function_counts() -> None:
    again = CORRECTED.replace("return 1", "return 2")
    text = f"{CORRECTED}\n\nWait, that is wrong:\n\n{again}\n\nUse it:\n\n```js\nabove([], 1)\n```"
    assert tokens(code_of(text, JAVASCRIPT)) == ["return", "2", "}"]


def test_a_page_is_taken_whole() -> None:
    page = "<!doctype html>\n<nav><a href='/'>Home</a></nav>\n"
    task = Task("chat/html", "html", prompt="", test="{}")
    text = f"Here is the page:\n\n```html\n{page}```\nEnjoy the page, it is simple."
    assert code_of(text, task).strip() == page.strip()


def test_indentation_that_was_lost_comes_back() -> None:
    lost = textwrap.dedent("        return x * 2;\n    }\n}\n")
    assert code_of(f"```java\n{lost.lstrip()}```", JAVA).startswith("        return x * 2;")
