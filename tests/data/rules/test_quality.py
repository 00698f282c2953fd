"""One number that orders documents as a reader would: what is written well above what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.data import PersonalData
from daybreak_data.rules.document_rules import RuleOptions, assess_after_duplicates
from daybreak_data.rules.opencoder import OPENCODER, is_python_without_substance
from daybreak_data.rules.quality import OF_ANY, OF_LANGUAGE, quality_of

WRITTEN = """\
\"\"\"Read settings from a file.\"\"\"

import json
from pathlib import Path


def load(path: Path, default: dict) -> dict:
    \"\"\"Return the settings in a file, over the default ones.\"\"\"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return default
    unknown = set(found) - set(default)
    if unknown:
        raise ValueError(f"unknown settings: {sorted(unknown)}")
    for name, value in default.items():
        found.setdefault(name, value)
    return found
"""
PASSES = "\n".join(f"class Error{number}(Exception):\n    pass\n" for number in range(12))
TABLE = "\n".join(
    f"    {{ 0x{number:02x}, {number * 7 % 256}, {number * 13 % 256} }}," for number in range(64)
)
EXERCISE = "\n".join(
    f"def task_{number}(n):\n    # TODO: your code here\n    n += {number}\n    return n * n\n"
    for number in range(9)
)
SAME = "int lookup_one(void) { return table_of_values[0]; }\n" * 40


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        pytest.param(WRITTEN, "python", 1.0, id="what-a-person-wrote"),
        pytest.param(PASSES, "python", 0.9, id="classes-that-pass"),
        pytest.param(TABLE, "c", 0.89, id="a-table-of-numbers"),
        pytest.param(EXERCISE, "python", 0.8, id="an-exercise"),
        pytest.param(SAME, "c", 0.89, id="the-same-line-again"),
        pytest.param("x = 1\n", "python", 0.6, id="next-to-nothing"),
    ],
)
def test_a_document_is_worth_the_rules_that_it_keeps(text: str, language: str, expected: float) -> None:
    assert quality_of(text, language, "a") == expected


@given(st.text(max_size=300), st.sampled_from(["python", "c", "go", "json"]))
def test_a_quality_is_a_share(text: str, language: str) -> None:
    found = quality_of(text, language, "a")
    assert 0.0 <= found <= 1.0
    assert found == quality_of(text, language, "another/path"), "where a file lies says nothing of its text"


def test_every_rule_that_counts_is_one_of_the_profile() -> None:
    """Or a part of one: who changes a threshold changes both."""
    published = {rule.check for rule in OPENCODER}
    counted = {*OF_ANY, *(check for checks in OF_LANGUAGE.values() for check in checks)}
    parts = {check.__name__ for check in counted - published}
    assert parts == {"repeats_its_lines", "is_python_without_statements", "is_python_without_logic"}
    assert is_python_without_substance in published


def test_a_manifest_can_ask_for_a_least_quality() -> None:
    def finished(least: float) -> object:
        options = RuleOptions(("python",), "StarCoder2", PersonalData(), min_quality=least)
        return assess_after_duplicates("errors.py", PASSES, "python", options)

    kept, dropped = finished(0.9), finished(0.95)
    assert (kept.drop, kept.quality) == (None, 0.9)  # type: ignore[attr-defined]
    assert dropped.drop.reason == "low-quality"  # type: ignore[attr-defined]
    assert dropped.drop.detail == "0.90, at least 0.95"  # type: ignore[attr-defined]
