"""Which tests share a process of `make test`: a file's, and files that have a session's fixture in common.

A Spark and a set of engines are started once that way; groups with such a fixture go first.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test the group that `--dist=loadgroup` keeps together."""
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
