"""Prompts that editors composed: every family's marks are read back, code about marks stays code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_model.repository_context import ContextFile
from daybreak_serve.gateway.http.sentinels import FAMILIES, ComposedText, MarkFamily, decompose


def mentions_marks(*parts: str) -> bool:
    return any(mark in part for part in parts for mark in ("<", "｜", "[")) or "\n" in parts[-1][-1:]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.prefix} {family.file}")
@given(prefix=st.text(), suffix=st.text())
def test_a_composed_prompt_is_read_back_in_either_order(family: MarkFamily, prefix: str, suffix: str) -> None:
    if mentions_marks(suffix, prefix):
        return
    prompts = [f"{family.suffix}{suffix}{family.prefix}{prefix}{family.middle}"]
    if family.middle and not mentions_marks(suffix):
        prompts.append(f"{family.prefix}{prefix}{family.suffix}{suffix}{family.middle}")
    for prompt in prompts:
        found = decompose(prompt)
        assert found is not None
        assert (found.prefix.strip(), found.suffix.strip()) == (prefix.strip(), suffix.strip())


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        pytest.param("<[fim-suffix]>b<[fim-prefix]>a<[fim-middle]>", ComposedText("a", "b"), id="Seed-Coder"),
        pytest.param(
            "<[fim-prefix]>a<[fim-suffix]>b<[fim-middle]>",
            ComposedText("a", "b"),
            id="Seed-Coder as Continue",
        ),
        pytest.param("<fim_suffix>b<fim_prefix>a<fim_middle>", ComposedText("a", "b"), id="Mellum"),
        pytest.param(
            "<filename>util.py\nx = 1\n<filename>main.py\n<fim_suffix>b<fim_prefix>a<fim_middle>",
            ComposedText("a", "b", "main.py", None, (ContextFile("util.py", "x = 1\n"),)),
            id="Mellum with files, by its model card",
        ),
        pytest.param(
            "<PRE> <SUF>b <MID> a", ComposedText("a", "b"), id="CodeLlama suffix first, as Meta has it"
        ),
        pytest.param("<SUF>b<PRE>a<MID>", ComposedText("a", "b"), id="CodeLlama for QML in QodeAssist"),
        pytest.param("<PRE>a = <SUF> b <MID>", ComposedText("a =", " b"), id="CodeLlama in twinny"),
        pytest.param(
            "<PRE>  a <SUF>b <MID>", ComposedText(" a", "b"), id="CodeLlama's own template, an indented line"
        ),
        pytest.param(
            "<|user|>\n###REFERENCE:\n###PATH:util.py\nx = 1\n\n###PATH:main.py\n###LANGUAGE:Python\n###MODE:BLOCK\n"
            "<|code_suffix|>b<|code_prefix|>a<|code_middle|><|assistant|>\n",
            ComposedText("a", "b", "main.py", None, (ContextFile("util.py", "x = 1\n\n"),)),
            id="CodeGeeX4 in Continue",
        ),
        pytest.param(
            "# Path: src/a.py\n<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
            ComposedText("a", "b", "src/a.py"),
            id="CodeGemma in Cody, the path before it",
        ),
        pytest.param(
            "<!-- Path: a.html -->\n<fim_prefix>a<fim_suffix>b<fim_middle>",
            ComposedText("a", "b", "a.html"),
            id="a path in a comment that ends",
        ),
        pytest.param(
            "[SUFFIX]b[PREFIX]+++++ util.py \nx = 1\n\n+++++ main.py\na",
            ComposedText("+++++ util.py \nx = 1\n\n+++++ main.py\na", "b"),
            id="Codestral with files, as Continue has them: its marks of files are text, which it reads itself",
        ),
        pytest.param(
            "<|file_sep|>main.py\n<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
            ComposedText("a", "b", "main.py"),
            id="Mercury in Continue",
        ),
        pytest.param("[SUFFIX]b\n[PREFIX]a", ComposedText("a", "b\n"), id="Codestral"),
        pytest.param("<fim_prefix><fim_suffix>b<fim_middle>a", ComposedText("a", "b"), id="suffix first"),
        pytest.param(
            "<fim_prefix>a<fim_suffix>b<fim_middle>\n", ComposedText("a", "b"), id="a line end behind"
        ),
        pytest.param(
            "<|repo_name|>shop\n<|file_sep|>util.py\nx = 1\n<|file_sep|>main.py\n"
            "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
            ComposedText("a", "b", "main.py", "shop", (ContextFile("util.py", "x = 1\n"),)),
            id="a repository before it",
        ),
        pytest.param(
            "<file_sep>util.py\nx = 1\n<fim_prefix>a<fim_suffix>b<fim_middle>",
            ComposedText("a", "b", None, None, (ContextFile("util.py", "x = 1\n"),)),
            id="other files, no path of its own",
        ),
        pytest.param(
            "<fim_prefix>m = '<fim_suffix>'\n<fim_suffix>\nend<fim_middle>",
            ComposedText("m = '<fim_suffix>'\n", "\nend"),
            id="code about marks inside a composed prompt",
        ),
        pytest.param("x = '<fim_prefix>a<fim_suffix>b<fim_middle>'", None, id="code about marks"),
        pytest.param("<fim_prefix>a<fim_middle>", None, id="no mark for the suffix"),
        pytest.param("<fim_prefix>a<fim_suffix>b", None, id="no mark for the middle"),
        pytest.param("<fim_prefix>", None, id="one mark"),
        pytest.param(
            "x = 1\n<fim_prefix>a<fim_suffix>b<fim_middle>", None, id="code before it that names no path"
        ),
        pytest.param("[PREFIX]a[SUFFIX]b", None, id="Codestral's marks in no order of its"),
        pytest.param("<fim_suffix>b<fim_prefix>a", None, id="half of Mellum's"),
        pytest.param("[SUFFIX] is a word", None, id="half of Codestral's"),
        pytest.param("<file_sep>util.py\nx = 1\n", None, id="a file alone"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_prompt_is_taken_apart_or_left_alone(prompt: str, expected: ComposedText | None) -> None:
    assert decompose(prompt) == expected


@given(st.text())
def test_any_text_is_answered(prompt: str) -> None:
    decompose(prompt)
