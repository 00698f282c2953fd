"""How a completion behaves in an editor: the same text whole or in pieces, and where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_serve.gateway.http.manners import CompletionMode, CompletionShaper


def shaped(prefix: str, suffix: str | None, mode: CompletionMode | None, pieces: list[str]) -> str:
    shaper = CompletionShaper(prefix, suffix, mode)
    text = "".join(shaper.add(piece) for piece in pieces)
    return text + shaper.finish()


@pytest.mark.parametrize(
    ("prefix", "suffix", "mode", "text", "shown"),
    [
        pytest.param("x = ", None, None, "  \n", "  \n", id="plain text is left alone"),
        pytest.param("x = ", "", None, " \n\n", "", id="blanks alone are no completion"),
        pytest.param("x = ", "", None, "1\n", "1\n", id="blanks behind text stay"),
        pytest.param("print(", '"hello")\n', None, '"hello")', "", id="the rest of the line again"),
        pytest.param("f(", ")\n", None, "g(x)", "g(x)", id="a bracket is as often meant"),
        pytest.param(
            "def f():\n    ",
            "\n    return total\n",
            None,
            "total = 1\n    return total\n",
            "total = 1",
            id="the next line again",
        ),
        pytest.param(
            "def f():\n    ",
            "\n    return total\n",
            None,
            "total = 1\n    return totals\n",
            "total = 1\n    return totals\n",
            id="a line that only begins like the next",
        ),
        pytest.param("x = ", "", "Line", "1\ny = 2\n", "1", id="one line"),
        pytest.param(
            "x = 1", "", "Line", "\ny = 2\nz = 3", "\ny = 2", id="the next line where this one is whole"
        ),
        pytest.param(
            "def f():\n    ",
            "",
            "Block",
            "a = 1\n    b = 2\n\ndef g():\n    pass\n",
            "a = 1\n    b = 2",
            id="a block ends at the dedent",
        ),
        pytest.param(
            "def f():",
            "",
            "Block",
            "\n    a = 1\n\n    b = 2\nx = 1\n",
            "\n    a = 1\n\n    b = 2",
            id="a block behind its head",
        ),
        pytest.param(
            "int f() {",
            "",
            "Block",
            "\n    return 1;\n}\nint g() {\n",
            "\n    return 1;\n}",
            id="the closing bracket belongs to the block",
        ),
        pytest.param("\tif (x) {\n\t\t", "", "Block", "y();\n\t}\n}\n", "y();", id="tabs"),
        pytest.param("a\r\nb\r\n", "", None, "c\nd\r\ne", "c\r\nd\r\ne", id="line ends as the file has them"),
        pytest.param("a\nb\n", "", None, "c\nd", "c\nd", id="a file with bare line ends"),
    ],
)
def test_a_completion_ends_where_an_editor_wants_it(
    prefix: str, suffix: str | None, mode: CompletionMode | None, text: str, shown: str
) -> None:
    assert shaped(prefix, suffix, mode, [text]) == shown
    assert shaped(prefix, suffix, mode, list(text)) == shown


WORDS = st.sampled_from(
    ["a", " ", "\n", "\r\n", "    ", "\t", "}", ")", "total", "return x", "\nreturn x", "x = 1"]
)
TEXTS = st.lists(WORDS, max_size=12).map("".join)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    prefix=TEXTS,
    suffix=st.none() | TEXTS,
    mode=st.sampled_from([None, "Line", "Block"]),
    pieces=st.lists(WORDS),
)
def test_a_text_is_shaped_alike_streamed_and_whole(
    prefix: str, suffix: str | None, mode: CompletionMode | None, pieces: list[str]
) -> None:
    whole = shaped(prefix, suffix, mode, ["".join(pieces)])
    assert shaped(prefix, suffix, mode, pieces) == whole
    assert "".join(pieces).replace("\r\n", "\n").startswith(whole.replace("\r\n", "\n"))
    if suffix is not None or mode is not None:
        assert not whole or whole.strip()
