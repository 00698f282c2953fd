"""Holds the fast tests to starting nothing that takes long: `guard.py` refuses it, here the test fails for it.

Python processes that tests start are held to it as well, in runs that have chosen fast tests only (`-m fast`). Such a
run tells at its end which of them computed for so long that they are fast no more.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.plugins import guard

WATCH = guard.Watch()
NESTED = Path(__file__).with_name("nested")
COMPUTED = "processor seconds"
"""What a test's report carries."""
BOUND_S = 1.0
"""Of processor time: twice what `slow` means, for a busy machine counts more of it than a quiet one."""


def pytest_configure(config: pytest.Config) -> None:
    """Set the hook once in this process, and the environment of those that follow."""
    sys.addaudithook(WATCH)
    if config.option.markexpr == "fast":
        notes = tempfile.NamedTemporaryFile(prefix="daybreak-fast-tests-", delete=False)  # noqa: SIM115
        notes.close()
        os.environ[guard.NOTES] = notes.name
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(NESTED), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        config.add_cleanup(lambda: Path(notes.name).unlink(missing_ok=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch from a fast test's first fixture to its last."""
    WATCH.test = item.nodeid if item.get_closest_marker("fast") else None
    WATCH.refused.clear()
    _noted()  # what a test before left that never came to its end
    try:
        return (yield)
    finally:
        WATCH.test = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail for what was refused, even where the test put up with it; note how long it computed."""
    before = sum(os.times()[:4])
    try:
        result = yield
    finally:
        item.user_properties.append((COMPUTED, sum(os.times()[:4]) - before))
    refused = [*WATCH.refused, *_noted()]
    WATCH.refused.clear()
    if refused:
        pytest.fail("\n".join(refused), pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the fast tests that are not."""
    if config.option.markexpr != "fast":
        return
    computed = {
        report.nodeid: dict(report.user_properties).get(COMPUTED, 0.0)
        for report in terminalreporter.getreports("passed")
    }
    long = sorted(
        (name for name, took in computed.items() if took > BOUND_S), key=lambda name: -computed[name]
    )
    if long:
        terminalreporter.section("compute for too long to be fast: mark them slow (tests/plugins/needs.py)")
        for name in long:
            terminalreporter.line(f"{computed[name]:.1f} s  {name}")


def _noted() -> list[str]:
    notes = os.environ.get(guard.NOTES)
    if notes is None:
        return []
    found = Path(notes).read_text().splitlines()
    Path(notes).write_text("")
    return found
