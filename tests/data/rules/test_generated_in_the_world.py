"""What tools of every ecosystem leave at the head of what they write, and what people write about such files.

heads_of_files.json holds names and first lines, written here after the form that each tool is known for.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_data.rules.generated import find_generated
from daybreak_data.rules.languages import detect_language, family_of

HEADS = json.loads((Path(__file__).parent / "heads_of_files.json").read_text("utf-8"))


def _rule(path: str, text: str) -> str | None:
    language = detect_language(path, text)
    return find_generated(path, text, None if language is None else family_of(language))


@pytest.mark.parametrize(("path", "text"), HEADS["generated"])
def test_what_a_tool_writes_is_generated(path: str, text: str) -> None:
    assert _rule(path, text) is not None


@pytest.mark.parametrize(("path", "text"), HEADS["written"])
def test_what_speaks_of_it_is_written(path: str, text: str) -> None:
    assert _rule(path, text) is None
