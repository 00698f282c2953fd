"""``--sanitize``: what chat models answer, as a table; clean code stays as it is; every problem in every wrapping."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_evaluate.samples.sanitize import sanitize, sanitize_program
from daybreak_evaluate.suites import humaneval

PROMPT = '''from typing import List


def total(numbers: List[int]) -> int:
    """Add up.
    >>> total([1, 2])
    3
    """
'''
BODY = "    found = 0\n    for number in numbers:\n        found += number\n    return found\n"
FLAT = "found = 0\nfor number in numbers:\n    found += number\nreturn found\n"
WHOLE = "def total(numbers: List[int]) -> int:\n" + BODY
SPACED = BODY.replace(" ", "\N{NO-BREAK SPACE}")

ASIDE = "I could use sum:\n```python\ndef total(x): return 7\n```"
TRIES = "```python\nassert total([1]) == 1\nprint(total([]))\n```"
CHATS = {
    "a fence with a language": f"```python\n{WHOLE}```",
    "a fence without one": f"```\n{WHOLE}```",
    "a capital tag": f"```Python\n{WHOLE}```\n",
    "py as tag": f"```py\n{WHOLE}```\n",
    "a fence with a title": f'```python title="total.py"\n{WHOLE}```\n',
    "python3 behind a space": f"``` python3\n{WHOLE}```\n",
    "a longer fence": f"````python\n{WHOLE}````\n",
    "tildes": f"~~~python\n{WHOLE}~~~\n",
    "a greeting before": f"Sure! Here is the function:\n\n```python\n{WHOLE}```",
    "words behind": f"```python\n{WHOLE}```\n\nThis function adds up all numbers (O(n) time).",
    "words on both sides": f"Here's one way.\n\n```python\n{WHOLE}```\n\nLet me know if it's wrong!",
    "a fence that stays open": f"Here you go:\n```python\n{WHOLE}",
    "the whole prompt again": f"```python\n{PROMPT}{BODY}```",
    "the whole prompt again without a fence": PROMPT + BODY,
    "the signature again, without a docstring": WHOLE,
    "the signature again, indented": textwrap.indent(WHOLE, "    "),
    "only the body in a fence": f"```python\n{BODY}```",
    "only the body, its indentation lost": f"```python\n{FLAT}```",
    "no fence, its indentation lost": FLAT,
    "the first line's indentation lost": BODY.lstrip(),
    "body, then a lone closing fence": f"{BODY}```\n\nExplanation: it adds.",
    "body, then a fence in the last line": f"{BODY.rstrip()}```",
    "body, then words": f"{BODY}\nThis works because addition doesn't care about order.",
    "body, then two words that are Python": f"{BODY}\nExplanation: trivial\n",
    "body, then one word that is Python": f"{BODY}\nDone\n",
    "words, then code without a fence": f"The idea is simple: add.\n\n{WHOLE}\nThat's all.",
    "words, then an indented body": f"Here is the body:\n\n{BODY}",
    "channels of OpenAI's open models": "<|channel|>analysis<|message|>So\n```python\ndef total(x): return 7\n```\n"
    f"<|end|><|start|>assistant<|channel|>final<|message|>```python\n{WHOLE}```<|return|>",
    "the question once more": f"<s> [INST] Write total. [/INST] ```python\n{WHOLE}```</s>",
    "numbers of lines": "```python\n"
    + "".join(f"{n} {line}\n" for n, line in enumerate(WHOLE.splitlines(), 1))
    + "```",
    "a patch": "```diff\n--- a/t.py\n+++ b/t.py\n@@ -1,2 +1,5 @@\n-def total(x): return 7\n"
    + textwrap.indent(WHOLE, "+")
    + "```",
    "ChatML's end": f"{BODY}<|im_end|>",
    "ChatML's end and the next turn": f"{BODY}<|im_end|>\n<|im_start|>user\nThanks",
    "Llama's end": f"{BODY}</s>",
    "Llama 3's end": f"{BODY}<|eot_id|>",
    "GPT's end": f"{BODY}<|endoftext|>import os\n",
    "DeepSeek's end": f"{BODY}<｜end▁of▁sentence｜>",
    "Gemma's end": f"{BODY}<end_of_turn>",
    "a turn's head in front": f"<|im_start|>assistant\n```python\n{WHOLE}```<|im_end|>",
    "code behind a thought": f"<think>\n{ASIDE}\n</think>\n```python\n{WHOLE}```",
    "CodeLlama's brackets": f"[PYTHON]\n{WHOLE}[/PYTHON]\n[TESTS]\nassert total([]) == 0\n[/TESTS]",
    "an answer tag": f"<answer>\n{WHOLE}</answer>",
    "tests in a second fence": f"```python\n{WHOLE}```\nTests:\n{TRIES}",
    "tests in the same fence": f"```python\n{WHOLE}\n\nassert total([1]) == 2\nprint(total(input()))\n```",
    "a main guard": f"```python\n{WHOLE}\nif __name__ == '__main__':\n    print(total([1]))\n```",
    "an attempt, then a better one": f"{ASIDE}\nWrong for [1]. Better:\n```python\n{WHOLE}```",
    "installation first": f"```bash\npip install nothing\n```\n```python\n{WHOLE}```",
    "the output last": f"```python\n{WHOLE}```\nOutput:\n```\n3\n```",
    "a fence in a list": "1. Write it:\n\n" + textwrap.indent(f"```python\n{WHOLE}```\n", "   ") + "2. Done.",
    "a fence in a quotation": textwrap.indent(f"```python\n{WHOLE}```\n", "> "),
    "line ends of Windows": f"Sure:\r\n```python\r\n{WHOLE}```\r\n".replace("\n", "\r\n").replace(
        "\r\r", "\r"
    ),
    "spaces that do not break": SPACED,
    "a future import": f"```python\nfrom __future__ import annotations\n{WHOLE}```",
    "lines that end with a backslash and an n": WHOLE.replace("\n", "\\n"),
    "escaped lines in a fence": f"```python\n{PROMPT}{BODY}```".replace("\n", "\\n").replace('"', '\\"'),
    "escaped and real lines": WHOLE.replace("\n", "\\n", 2),
    "lines escaped twice": WHOLE.replace("\n", "\\\\n"),
    "what is left of JSON": f'""{WHOLE.rstrip()}" }}"',
    "a brace too many": WHOLE.rstrip() + " }",
    "underscores as Markdown wants them": WHOLE.replace("found", "so\\_far"),
    "its own imports": f"```python\nfrom typing import List\nimport math\n\n{WHOLE}```",
}


def body_of(completion: str, prompt: str = PROMPT, entry_point: str = "total") -> str:
    """Return the statements of the function that a caller gets, its docstring left out."""
    tree = ast.parse(prompt + completion)
    function = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry_point][
        -1
    ]
    return "\n".join(
        ast.unparse(node)
        for node in function.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )


def has_tries(completion: str) -> bool:
    return any(
        isinstance(node, ast.Assert | ast.Expr | ast.If) for node in ast.parse(PROMPT + completion).body
    )


@pytest.mark.parametrize("answer", [pytest.param(text, id=name) for name, text in CHATS.items()])
def test_a_chat_answer_becomes_the_function(answer: str) -> None:
    found = sanitize(answer, PROMPT, "total")
    assert body_of(found).replace("so_far", "found") == body_of(BODY)
    assert not has_tries(found)
    assert sanitize(found, PROMPT, "total") == found


@pytest.mark.parametrize(
    "answer",
    [
        "```python def total(numbers): return sum(numbers)```",
        "The body is `return sum(numbers)`, no more.",
        "return sum(numbers)",
        "`return sum(numbers)`",
        "def total(numbers): return sum(numbers)<|im_end|>",
    ],
)
def test_one_line_is_enough(answer: str) -> None:
    assert body_of(sanitize(answer, PROMPT, "total")) == "return sum(numbers)"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(WHOLE, (WHOLE, True), id="a program is left as one"),
        pytest.param(BODY, (BODY, False), id="a body goes behind the prompt"),
        pytest.param("no code", ("no code", True), id="no code"),
    ],
)
def test_a_solution_is_a_program_or_what_goes_behind_the_prompt(
    answer: str, expected: tuple[str, bool]
) -> None:
    assert sanitize_program(answer, PROMPT, "total") == expected


def test_helpers_of_another_fence_come_along() -> None:
    helper = "```python\ndef add(a, b):\n    return a + b\n```"
    user = "```python\nfrom functools import reduce\n\ndef total(numbers):\n    return reduce(add, numbers, 0)\n```"
    found = sanitize(f"First a helper:\n{helper}\nThen:\n{user}", PROMPT, "total")
    scope: dict[str, object] = {}
    exec(PROMPT + found, scope)
    assert scope["total"]([1, 2, 3]) == 6  # type: ignore[operator]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(BODY, id="a body"),
        pytest.param(BODY + "\n\ndef helper():\n    return 1\n", id="a body and another function"),
        pytest.param(BODY + "\n\nassert total([]) == 0\n", id="a body and a test"),
        pytest.param("    return sum(numbers)  # no end of line", id="a comment without an end of line"),
        pytest.param(
            "    return '```python' and len('<|im_end|>')\n", id="marks that are text of the program"
        ),
        pytest.param("\r\n    return sum(numbers)\r\n", id="line ends of Windows"),
        pytest.param("I cannot help with that.", id="a refusal"),
        pytest.param("", id="nothing"),
        pytest.param("```python\n```", id="an empty fence"),
        pytest.param("    return (", id="cut off in its only line"),
        pytest.param("x" * 300_000, id="far too long"),
        pytest.param("\0", id="no text"),
        pytest.param("(" * 5000, id="a tower of brackets"),
    ],
)
def test_clean_code_and_what_holds_none_stay_as_they_are(answer: str) -> None:
    assert sanitize(answer, PROMPT, "total") == answer


WRAPPINGS = {
    "a fence": "Sure! Here's the completed function:\n\n```python\n{whole}```\n\nIt's O(n).",
    "an open fence": "```python\n{whole}",
    "the body in a fence": "```python\n{body}```",
    "an end mark": "{body}<|im_end|>\n",
    "words behind": "{body}\nThis doesn't use any library.\n",
    "its indentation lost": "{flat}",
    "the first indentation lost": "{stripped}",
    "Windows": "```python\r\n{whole}```\r\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_problem_of_humaneval_comes_out_of_every_wrapping(wrapping: str) -> None:
    for name, problem in humaneval.problems().items():
        prompt, body, entry = problem["prompt"], problem["canonical_solution"], problem["entry_point"]
        assert sanitize(body, prompt, entry) == body
        answer = WRAPPINGS[wrapping].format(
            whole=prompt + body, body=body, flat=textwrap.dedent(body), stripped=body.lstrip()
        )
        found = sanitize(answer, prompt, entry)
        assert body_of(found, prompt, entry) == body_of(body, prompt, entry), name


WORDS = [
    "Sure!\n",
    "Done\n",
    "<|im_end|>",
    "<think>",
    "</think>",
    "[PYTHON]",
    "> ",
    "def total(",
    "```python\n",
]
SIGNS = ["```\n", "```", "    ", "\n", "\r", "'''", '"""']
PIECES = st.sampled_from([BODY, FLAT, WHOLE, PROMPT, *WORDS, *SIGNS])


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(PIECES, max_size=7).map("".join) | st.text(max_size=60))
def test_sanitizing_twice_changes_nothing_more(text: str) -> None:
    once = sanitize(text, PROMPT, "total")
    assert sanitize(once, PROMPT, "total") == once


def test_a_pages_characters_are_taken_back() -> None:
    whole = "def total(numbers):\n    return sum(n for n in numbers if n &lt; 9)\n"
    found = sanitize(f"```python\n{whole}```", PROMPT, "total")
    assert "if n < 9)" in found and ast.parse(PROMPT + found)
