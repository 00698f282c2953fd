"""The language of a request by the name of its file."""

from __future__ import annotations

import pytest

from daybreak_serve.gateway.events.languages import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("file", "language"),
    [("a/b.py", "python"), ("B.TSX", "typescript"), ("x.h", "c"), ("Makefile", "unknown"), (None, "unknown")],
    ids=str,
)
def test_the_language_comes_from_the_file_name(file: str | None, language: str) -> None:
    assert language_of(file, LANGUAGES) == language
