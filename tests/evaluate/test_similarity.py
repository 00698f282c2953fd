"""Edit distance against the textbook table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_evaluate.similarity import similarity

TEXT = st.text("abcé ", max_size=80) | st.text(st.characters(codec=None), max_size=12)


def textbook(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]


@given(TEXT, TEXT)
def test_similarity_is_the_textbooks_to_the_last_bit(first: str, second: str) -> None:
    longer = max(len(first), len(second))
    assert similarity(first, second) == (1.0 - textbook(first, second) / longer if longer else 1.0)


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
