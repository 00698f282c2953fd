"""The count of completions that stand in their place: only what changes the program counts."""

from __future__ import annotations

import json

import pytest

from tests.bench import first_light

RETURN = ("def add(a, b):\n    return ", "\n")


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        pytest.param("a + b", True, id="an-expression"),
        pytest.param("0", True, id="a-wrong-one-that-is-python-all-the-same"),
        pytest.param("", False, id="nothing"),
        pytest.param("   ", False, id="blanks"),
        pytest.param("# the the the", False, id="a-comment"),
        pytest.param("a +", False, id="half-an-expression"),
        pytest.param("._c = 1, 1, 1", False, id="what-it-was-before"),
        pytest.param("a\0", False, id="a-null-byte"),
    ],
)
def test_a_completion_stands_when_it_changes_the_program(completion: str, expected: bool) -> None:
    prefix, suffix = RETURN
    assert first_light.stands(prefix, completion, suffix) is expected


def test_the_gaps_are_twenty_and_each_can_be_filled() -> None:
    gaps = json.loads(first_light.PROMPTS.read_text())
    assert len({gap["name"] for gap in gaps}) == len(gaps) == 20
    filled = [
        any(
            first_light.stands(gap["prefix"], text, gap["suffix"])
            for text in ("name", "self.name = name", "Exception")
        )
        for gap in gaps
    ]
    assert all(filled)
