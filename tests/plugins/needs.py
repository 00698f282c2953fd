"""What a test has started for it, and so whether it is one of the fast ones (`make test-fast`, `pytest -m fast`).

A fixture says so with `@starts("jvm")`, a test or a file with `pytest.mark.needs("jvm")`. Whoever says nothing is fast,
but for tests that compute for more than some third of a second, `pytest.mark.slow`: one of twelve, which take five
sixths of the time that all of them take. `guard.py` holds the fast ones to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

KINDS = {
    "jvm": "Java, which Spark runs in",
    "cluster": "a Kubernetes of tests/cluster",
    "programs": "Helm, promtool or kubectl, which are built from Go",
    "compilers": "compilers, interpreters and browsers of other languages",
    "torchrun": "trainings in processes of their own",
    "triton": "a Triton inference server",
}
"""What takes seconds to start, or minutes to build."""
STARTS = "_started_for_tests"
Definition = TypeVar("Definition", bound=Callable[..., object])


def starts(*kinds: str) -> Callable[[Definition], Definition]:
    """Say of a fixture's function what it starts: tests that ask for it, also by another fixture, need it."""
    _known(kinds)

    def said(function: Definition) -> Definition:
        setattr(function, STARTS, frozenset(kinds))
        return function

    return said


def _known(kinds: tuple[str, ...]) -> None:
    strangers = sorted(set(kinds) - set(KINDS))
    if strangers:
        raise pytest.UsageError(
            f"nothing that tests need is named {', '.join(strangers)}: {', '.join(KINDS)}"
        )


def needs_of(item: pytest.Item) -> frozenset[str]:
    """Return what is started for a test: by its own marks and by its fixtures."""
    found: set[str] = set()
    for mark in item.iter_markers("needs"):
        _known(mark.args)
        found |= set(mark.args)
    information = getattr(item, "_fixtureinfo", None)
    if information is not None:
        for definitions in information.name2fixturedefs.values():
            found |= getattr(definitions[-1].func, STARTS, frozenset())
    return frozenset(found)


def pytest_configure(config: pytest.Config) -> None:
    """Name both marks."""
    config.addinivalue_line("markers", f"needs(*kinds): what the test starts: {', '.join(KINDS)}")
    config.addinivalue_line(
        "markers", "fast: set by itself on every test that needs none of these and is not slow"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast ones, before `-m` chooses."""
    for item in items:
        if not needs_of(item) and not item.get_closest_marker("slow"):
            item.add_marker("fast")
