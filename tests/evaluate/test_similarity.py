"""Edit distance against the textbook table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_evaluate.similarity import distance, similarity

TEXT = st.text("abcé ", max_size=80)


def textbook(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]


@given(TEXT, TEXT)
def test_distance_is_the_textbooks(first: str, second: str) -> None:
    assert distance(first, second) == textbook(first, second)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("", "", 1.0, id="two empty texts are equal"),
        pytest.param("abc", "", 0.0, id="nothing is unlike anything"),
        pytest.param("kitten", "sitting", 1 - 3 / 7, id="three edits of seven"),
        pytest.param("x" * 200, "x" * 200, 1.0, id="longer than a machine word"),
    ],
)
def test_similarity(first: str, second: str, expected: float) -> None:
    assert similarity(first, second) == pytest.approx(expected)
