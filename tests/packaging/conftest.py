"""Builds Helm and promtool once, before the tests: a build takes longer than a test may."""

from __future__ import annotations

import pytest

from tests.cluster.binaries import NoClusterError
from tests.packaging import render

PROGRAMS = ("helm", "kubectl", "promtool")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Only where tests are run; what is missing is said by each test that needs it."""
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        for name in PROGRAMS:
            with capture.global_and_fixture_disabled():
                render.program(name)
    except NoClusterError:
        return


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Skip with the reason where a program can't be had."""
    try:
        for name in PROGRAMS:
            render.program(name)
    except NoClusterError as reason:
        pytest.skip(str(reason))
