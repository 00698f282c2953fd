"""Builds the programs of a cluster beside the tests that need none; those that need them come last and wait for them.

Owns when they are built; what a test needs is said by its fixtures (`tests/cluster/fixtures.py`) and marks. Nothing is
built for tests that were not chosen, nor where a cluster is named by the environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import binaries, launcher
from tests.cluster.binaries import PROGRAMS, NoClusterError
from tests.cluster.fixtures import MODES, clusters_of, say_at_once
from tests.plugins.groups import GROUP
from tests.plugins.needs import needs_of

PACKAGING = ("helm", "promtool", "kubectl")
"""What `pytest.mark.needs("programs")` stands for."""
ROOT = Path(__file__).resolve().parents[2]
BUILDER = pytest.StashKey[subprocess.Popen[bytes]]()


def wanted_for(item: pytest.Item) -> list[str]:
    """Return the programs that a test needs and that only we can build."""
    wanted: list[str] = []
    if os.environ.get("DAYBREAK_TEST_CLUSTER") != "existing":
        for name in sorted(clusters_of(item)):
            wanted += launcher.wanted(MODES[name], os.environ)
    if "programs" in needs_of(item):
        found = {name for name in PACKAGING if name == "kubectl" and binaries.find(name)}
        wanted += [name for name in PACKAGING if name not in found]
    return list(dict.fromkeys(wanted))


def missing_for(item: pytest.Item) -> list[str]:
    """Return those that are not built by now."""
    return binaries.missing(wanted_for(item), os.environ)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell every process that will run tests the same: one of them begins to build while others still collect."""
    node.workerinput["missing"] = binaries.missing(PROGRAMS, os.environ)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put groups last that have a test whose programs are missing."""
    given = getattr(config, "workerinput", {})
    missing = set(given["missing"] if "missing" in given else binaries.missing(PROGRAMS, os.environ))
    waiting = {item.stash[GROUP] for item in items if missing & set(wanted_for(item))}
    items.sort(key=lambda item: item.stash[GROUP] in waiting)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start to build what the chosen tests lack, in one of the processes that run them."""
    if session.config.option.collectonly or os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return
    names = {name for item in session.items for name in missing_for(item)}
    if not names or binaries.find("go") is None:
        return
    # A cluster's first: its plays wait more than they compute, so they are to begin while others still compute. For
    # the same reason the builder has no lower priority: with one, they ran alone for ten minutes at the end.
    first = sorted(names, key=lambda name: (name in PACKAGING, list(PROGRAMS).index(name)))
    command = [sys.executable, "-m", "tests.cluster", "--program", *first]
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # its progress goes past the capture, to the screen
        session.config.stash[BUILDER] = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for a test's programs before the time that it has begins to run."""
    names = missing_for(item)
    if names:
        with contextlib.suppress(NoClusterError):  # the test says so
            binaries.programs(names, os.environ, say_at_once(item.config))
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what is still being built when the tests end early."""
    builder = config.stash.get(BUILDER, None)
    if builder is not None:
        if builder.poll() is None:
            os.killpg(builder.pid, signal.SIGTERM)
        builder.wait()
