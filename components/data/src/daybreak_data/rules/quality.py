"""How good a document is, as one number from 0 to 1: the share of OpenCoder's rules for its language that it keeps.

Owns which rules count. They are the profile Strict's (opencoder.py, arXiv 2411.04905), whose thresholds are published;
as a share they order documents where the profile would drop four of five. Left out: what OpenCoder decides by a draw
(Go tests), what costs more than all others together (n-grams, hexadecimal words), and what says nothing of a text.
"""

from __future__ import annotations

from collections.abc import Callable

from daybreak_data.rules import opencoder
from daybreak_data.rules.measures import MeasuredText

Check = Callable[[MeasuredText], str | None]

OF_ANY: tuple[Check, ...] = (
    opencoder.is_too_big_or_too_small,
    opencoder.has_words_of_unlikely_length,
    opencoder.has_lines_that_are_short_on_average,
    opencoder.is_not_mostly_letters,
    opencoder.is_mostly_white_or_broken,
    opencoder.is_mostly_comments_or_strings,
    opencoder.is_an_exercise_or_all_asserts,
    opencoder.repeats_its_lines,
)
OF_PYTHON: tuple[Check, ...] = (opencoder.is_python_without_statements, opencoder.is_python_without_logic)
OF_C: tuple[Check, ...] = (opencoder.is_c_without_substance,)
OF_LANGUAGE = {"python": OF_PYTHON, "c": OF_C, "cpp": OF_C}


def quality_of(text: str, language: str, path: str) -> float:
    """Return the share of the rules that the text keeps, to two decimals."""
    document = MeasuredText(text, language, path, None)
    checks = (*OF_ANY, *OF_LANGUAGE.get(language, ()))
    return round(sum(check(document) is None for check in checks) / len(checks), 2)
