"""What a rule is, for both kinds: a function named by a sentence that returns a Finding, or None where it is not so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from daybreak_operator.core.plan import Finding

Subject = TypeVar("Subject")
Rule: TypeAlias = Callable[[Subject], Finding | None]


def first_finding(subject: Subject, rules: Iterable[Rule[Subject]]) -> Finding | None:
    """Return what the first rule finds that finds anything."""
    for rule in rules:
        finding = rule(subject)
        if finding is not None:
            return finding
    return None
