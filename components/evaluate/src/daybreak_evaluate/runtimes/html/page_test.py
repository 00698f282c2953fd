"""The test of a document: what its elements must be, and a document that it must look like.

Owns the shape of a task's ``test`` (docs/suites.md). One of another shape is the suite's mistake: a UserError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.task import Task

MIN_EQUAL_PIXELS = 0.95
_CHECKS = frozenset({"count", "text", "attribute", "style"})


@dataclass(frozen=True)
class PageTest:
    """What a document is held against."""

    assertions: tuple[dict[str, Any], ...]
    reference: str | None
    min_equal_pixels: float


def parse(task: Task) -> PageTest:
    """Return the test of a task."""
    try:
        said = json.loads(task.test)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{task.task_id}: the test of a task in html must be JSON: {error}") from None
    problem = _problem(said)
    if problem:
        raise UserError(f"{task.task_id}: {problem}")
    share = float(said.get("minEqualPixels", MIN_EQUAL_PIXELS))
    return PageTest(tuple(said.get("assertions", ())), said.get("reference"), share)


def _problem(said: object) -> str:
    """Say what is wrong with a test; empty where nothing is."""
    if not isinstance(said, dict):
        return f"the test must be a JSON object, got {type(said).__name__}"
    strangers = sorted(set(said) - {"assertions", "reference", "minEqualPixels"})
    if strangers:
        return f"the test may hold assertions, reference and minEqualPixels, got {', '.join(strangers)}"
    assertions = said.get("assertions", [])
    if not isinstance(assertions, list):
        return "assertions must be a list"
    for number, each in enumerate(assertions, 1):
        problem = _assertion_problem(each)
        if problem:
            return f"assertion {number}: {problem}"
    if not isinstance(said.get("reference", ""), str):
        return "reference must be the text of a document"
    if "minEqualPixels" in said and "reference" not in said:
        return "minEqualPixels needs a reference"
    share = said.get("minEqualPixels", MIN_EQUAL_PIXELS)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        return "minEqualPixels must be a number above 0 and at most 1"
    return "" if assertions or "reference" in said else "the test must hold assertions or a reference"


def _assertion_problem(each: object) -> str:
    if (
        not isinstance(each, dict)
        or not isinstance(each.get("selector"), str)
        or not each["selector"].strip()
    ):
        return "must be an object with a selector"
    checks = _CHECKS & set(each)
    strangers = sorted(set(each) - _CHECKS - {"selector", "value"})
    if strangers or len(checks) != 1:
        return f"must hold one of {', '.join(sorted(_CHECKS))} beside the selector, got {', '.join(sorted(each))}"
    if ("attribute" in each) != ("value" in each):
        return "attribute and value belong together"
    (check,) = checks
    wanted = each[check]
    if check == "count":
        right = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0
        return "" if right else "count must be a whole number, 0 or more"
    if check == "style":
        right = isinstance(wanted, dict) and bool(wanted) and all(isinstance(v, str) for v in wanted.values())
        return "" if right else "style must map properties to their computed values, as text"
    texts = (wanted, each["value"]) if check == "attribute" else (wanted,)
    return "" if all(isinstance(text, str) for text in texts) else f"{check} must be text"
