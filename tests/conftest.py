"""Fixtures that more than one room uses, what holds for every property test, and which tests share a process."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cluster.fixtures"]

# The same examples every time: a change is judged by what it changed. `HYPOTHESIS_PROFILE=explore` looks for new ones.
# A busy machine is slow now and then: how long an example takes is no property of the code.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("settled", derandomize=True, **PATIENT)
settings.register_profile("explore", **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and files that share a fixture of the whole session (`make test` has two).

    A Spark and a set of engines are started once that way; groups with such a fixture go first.
    """
    if not config.pluginmanager.hasplugin("xdist") or not os.environ.get("PYTEST_XDIST_WORKER"):
        return
    group = {item.path: str(item.path) for item in items}
    for name in sorted({name for item in items for name in _of_the_session(item)}):
        sharing = {group[item.path] for item in items if name in _of_the_session(item)}
        group = {path: min(sharing) if here in sharing else here for path, here in group.items()}
    files = Counter(group.values())
    items.sort(key=lambda item: files[group[item.path]] == 1)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group[item.path]))


def _of_the_session(item: pytest.Item) -> list[str]:
    """Name the session's fixtures that a test has from its folders: a library's have no folder, nor have clusters.

    A cluster starts in seconds and is asked for all over the tests: each process has its own.
    """
    information = getattr(item, "_fixtureinfo", None)
    definitions = (
        [] if information is None else [found[-1] for found in information.name2fixturedefs.values()]
    )
    return [
        f"{definition.baseid}::{definition.argname}"
        for definition in definitions
        if definition.scope == "session" and definition.baseid
    ]
