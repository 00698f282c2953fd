"""Conditions keep their transition time until their status changes."""

from __future__ import annotations

from datetime import UTC, datetime

from daybreak_operator.core.conditions import ConditionUpdate, is_true, merge
from daybreak_operator.core.plan import Finding

NOON, LATER = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=UTC)


def ready(status: str, reason: str = "Serves") -> ConditionUpdate:
    return ConditionUpdate("Ready", status, Finding(reason, "It serves."))  # type: ignore[arg-type]


def test_the_time_moves_only_with_the_status() -> None:
    first = merge([], [ready("False")], 1, NOON)
    same = merge(first, [ready("False", "Other")], 2, LATER)
    assert (same[0]["lastTransitionTime"], same[0]["reason"]) == ("2026-01-01T12:00:00Z", "Other")
    changed = merge(same, [ready("True")], 2, LATER)
    assert changed[0]["lastTransitionTime"] == "2026-01-01T13:00:00Z"
    assert is_true(changed, "Ready")
    assert not is_true(same, "Ready")


def test_conditions_of_others_are_kept() -> None:
    foreign = {"type": "Audited", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "t"}
    assert merge([foreign], [ready("True")], 1, NOON)[1] == foreign


def test_nothing_new_to_say_is_nothing_new_to_write() -> None:
    first = merge([], [ready("True")], 1, NOON)
    assert merge(first, [ready("True")], 1, LATER) == first
