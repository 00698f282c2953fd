"""How much the long plays try: a tenth, or all of it under `DAYBREAK_PROFILE=ci`, which `.ci/run` sets."""

from __future__ import annotations

import os

import pytest

VARIABLE = "DAYBREAK_PROFILE"
PROFILES = ("default", "ci")


def profile() -> str:
    """Return the profile of this run."""
    named = os.environ.get(VARIABLE, PROFILES[0])
    if named not in PROFILES:
        raise pytest.UsageError(f"{VARIABLE}={named}: give one of {', '.join(PROFILES)}")
    return named


def all_orders() -> bool:
    """Return whether every order is tried; what only that many come upon can be asked for then."""
    return profile() == "ci"


def share_of(orders: int) -> int:
    """Return how many of the orders in which a play could go are tried."""
    return orders if all_orders() else orders // 10


def examples(count: int) -> int:
    """Return how many examples a property that says how many it wants is tried with: a tenth in `make test-fast`."""
    return max(20, count // 10) if os.environ.get("HYPOTHESIS_PROFILE") == "quick" else count


def pytest_report_header() -> str:
    """Say which it is."""
    return f"profile: {profile()}" + ("" if all_orders() else f" ({VARIABLE}=ci plays every order)")
