"""Which tests share a process of `make test`, and in which order the groups begin.

A file's tests share one, as do files that have a session's fixture in common: a Spark, a set of engines and a cluster
with controllers are started once that way; and files whose tests are marked with the same ``xdist_group``. Long groups
begin first, those that wait for a cluster between those that compute.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.plugins.needs import needs_of

GROUP = pytest.StashKey[str]()
"""The group of a test; for one that runs alone, that of its file."""
FILE = pytest.StashKey[Path]()
"""In the process that shares out the tests: where those that run them write down the groups."""
SHARED = {"_larger_cluster"}
"""Session fixtures of plugins, which have no folder, that are shared nevertheless. A cluster of an API server alone
starts in seconds and is asked for all over the tests: each process has its own."""


class Scheduler(LoadScopeScheduling):
    """Gives each process one group after the other."""

    groups: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self.groups is None:
            self.groups = json.loads(self.config.stash[FILE].read_text())
        return self.groups[nodeid]


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the groups where this process shares out the tests."""
    if not hasattr(config, "workerinput") and config.getoption("dist", "no") == "loadgroup":
        with tempfile.NamedTemporaryFile(prefix="daybreak-groups-", delete=False) as file:
            config.stash[FILE] = Path(file.name)
        config.add_cleanup(config.stash[FILE].unlink)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler | None:
    """Share out by our groups: xdist's marks have no effect under pytest 9.2, which ignores the names it makes."""
    return Scheduler(config, log) if FILE in config.stash else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that will run tests where to write down the groups."""
    node.workerinput["groups"] = str(node.config.stash.get(FILE, ""))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its group, and order the groups if there are processes that share them."""
    group = {item.path: str(item.path) for item in items}
    files_by_name = defaultdict(set)
    for item in items:
        for name in _shared_by(item):
            files_by_name[name].add(item.path)
    for _, files in sorted(files_by_name.items()):
        sharing = {group[path] for path in files}
        group = {path: min(sharing) if here in sharing else here for path, here in group.items()}
    members = defaultdict(list)
    for item in items:
        item.stash[GROUP] = group[item.path]
        members[group[item.path]].append(item)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items[:] = [item for name in ordered(members) for item in members[name]]


@pytest.hookimpl(tryfirst=True)  # before xdist says that this process is ready
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down the groups: every process finds the same ones, and one writes them."""
    given = getattr(session.config, "workerinput", {})
    if given.get("groups") and given["workerid"] == "gw0":
        groups = {item.nodeid: item.stash[GROUP] for item in session.items}
        Path(given["groups"]).write_text(json.dumps(groups))


def ordered(members: dict[str, list[pytest.Item]]) -> list[str]:
    """Return the groups in the order in which they begin: long ones first, waiting between computing ones."""
    waiting: list[str] = []
    computing: list[str] = []
    slow: list[str] = []
    quick: list[str] = []
    for name, items in members.items():
        needs = {kind for item in items for kind in needs_of(item)}
        if needs & {"jvm", "torchrun", "triton"}:
            computing.append(name)
        elif needs:
            waiting.append(name)
        else:
            has_slow = any(item.get_closest_marker("slow") for item in items)
            (slow if has_slow else quick).append(name)
    for names in (waiting, computing):
        names.sort(key=lambda name: len({item.path for item in members[name]}), reverse=True)
    pairs = chain.from_iterable(zip_longest(computing, waiting))
    return [*(name for name in pairs if name is not None), *slow, *quick]


def _shared_by(item: pytest.Item) -> list[str]:
    """Name a test's marks of a group, the session's fixtures that it has from its folders, and plugins' shared ones."""
    information = getattr(item, "_fixtureinfo", None)
    definitions = (
        [] if information is None else [found[-1] for found in information.name2fixturedefs.values()]
    )
    marks = [f"xdist_group::{mark.args[0]}" for mark in item.iter_markers("xdist_group")]
    return marks + [
        f"{definition.baseid}::{definition.argname}"
        for definition in definitions
        if definition.scope == "session" and (definition.baseid or definition.argname in SHARED)
    ]
