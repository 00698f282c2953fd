"""The measures of a file, against a plain reading of what each of them means."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daybreak_data.xray import measures

COMMENT = {"python": "#", "c": ("//", "/*", "*"), "sql": "--", "html": "<!", "json": ()}
PIECES = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "\t",
        "# a",
        "// b",
        "/* c",
        " * d",
        "--",
        "<!--",
        "x = 12",
        "\u00e9",
        "\u4f60\U0001f469",
        "\r\n",
    ]
)
TEXTS = st.lists(
    st.tuples(st.sampled_from(sorted(COMMENT)), st.lists(PIECES, max_size=12).map("".join)), max_size=8
)


def plainly(text: str, language: str) -> dict[str, int]:
    """Every count by ordinary string functions."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    stripped = [line.lstrip(" \t\n\r\v\f") for line in lines]
    return {
        "characters": len(text),
        "lines": len(lines),
        "blank_lines": sum(line == "" for line in stripped),
        "comment_lines": sum(line.startswith(COMMENT[language]) for line in stripped if line),
        "longest_line": max((len(line.encode()) for line in lines), default=0),
        "letters": len(re.findall(r"[A-Za-z]|[^\x00-\x7f]", text)),
        "digits": len(re.findall(r"[0-9]", text)),
        "spaces": len(re.findall(r"[ \t\n\r\v\f]", text)),
    }


@pytest.mark.slow
@given(TEXTS)
@settings(deadline=None)
@example([("python", ""), ("python", "\n"), ("c", "/"), ("c", "")])
@example([("sql", "-"), ("sql", "-\n"), ("html", "\n<"), ("html", "!")])
def test_counts_are_what_plain_string_functions_say(texts: list[tuple[str, str]]) -> None:
    column = pa.array([text for _, text in texts], pa.string())
    data, offsets = measures.buffers(column)
    counts = measures.count(data, offsets, [language for language, _ in texts])
    for place, (language, text) in enumerate(texts):
        assert {name: int(counts[name][place]) for name in measures.COUNTS} == plainly(text, language)


@settings(deadline=None)
@given(st.lists(st.text(max_size=10), min_size=3, max_size=6))
def test_a_slice_of_a_column_is_measured_alone(texts: list[str]) -> None:
    column = pa.array(texts, pa.string())
    data, offsets = measures.buffers(column[1:-1])
    assert data.tobytes() == "".join(texts[1:-1]).encode()
    assert np.diff(offsets).tolist() == [len(text.encode()) for text in texts[1:-1]]


@pytest.mark.parametrize(
    ("measure", "counts", "expected"),
    [
        pytest.param("bytes", {"bytes": 0}, (0, 1), id="an-empty-file"),
        pytest.param("bytes", {"bytes": 7}, (7, 10), id="an-edge-belongs-to-the-bin-above"),
        pytest.param("longest_line", {"longest_line": 1499}, (1000, 1500), id="a-long-line"),
        pytest.param("mean_line", {"bytes": 100, "lines": 3}, (30, 50), id="a-mean-is-rounded-down"),
        pytest.param("letters_share", {"characters": 4, "letters": 2}, (0.5, 0.55), id="half"),
        pytest.param(
            "letters_share", {"characters": 4, "letters": 4}, (0.95, 1.0), id="all-is-in-the-last-bin"
        ),
        pytest.param("comments_share", {"lines": 0, "comment_lines": 0}, (0, 0.05), id="no-line-at-all"),
    ],
)
def test_bins_hold_what_their_edges_say(
    measure: str, counts: dict[str, int], expected: tuple[float, float]
) -> None:
    every = dict.fromkeys((*measures.COUNTS, "bytes"), 0) | counts
    places = measures.bins({name: np.array([value]) for name, value in every.items()})
    assert measures.bin_edges(measure, int(places[f"bin_{measure}"][0])) == pytest.approx(expected)
