"""The fixtures that give tests a cluster: `cluster` has etcd and an API server, `full_cluster` the rest as well.

Owns the choice between a cluster of our own and one that is named by the environment; README.md tells how to name it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster import binaries, launcher
from tests.cluster.binaries import NoClusterError
from tests.cluster.launcher import API_SERVER, FULL, WITH_QUEUES, WITH_TRAINER, WITH_TRAINING_OPERATOR, Parts
from tests.cluster.reach import Reach
from tests.plugins.needs import starts

MODES = {"cluster": API_SERVER, "full_cluster": FULL, "training_cluster": WITH_TRAINING_OPERATOR}
ASKED = pytest.StashKey[set[str]]()
"""Which of them the chosen tests ask for."""


def clusters_of(item: pytest.Item) -> set[str]:
    """Return which of the clusters a test asks for; a file's own fixture may have the same name."""
    information = getattr(item, "_fixtureinfo", None)
    definitions = {} if information is None else information.name2fixturedefs
    return {
        name for name in MODES if name in definitions and definitions[name][-1].func.__module__ == __name__
    }


def existing() -> Reach | None:
    """Return the cluster that the environment names, if it names one."""
    if os.environ.get("DAYBREAK_TEST_CLUSTER") != "existing":
        return None
    kubeconfig, kubectl = os.environ.get("KUBECONFIG"), binaries.find("kubectl")
    if not kubeconfig or kubectl is None:
        raise pytest.UsageError("DAYBREAK_TEST_CLUSTER=existing needs KUBECONFIG and kubectl")
    return Reach(Path(kubeconfig), kubectl, controllers=True)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """A test that handles the API server of a cluster that is not ours skips, and says why."""
    try:
        return (yield)
    except NoClusterError as reason:
        pytest.skip(str(reason))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which of the clusters the chosen tests ask for."""
    session.config.stash[ASKED] = set().union(*map(clusters_of, session.items))


def say_at_once(config: pytest.Config) -> binaries.Say:
    """Return what tells the person who waits, past the capture of tests' output."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with (
            capture.global_and_fixture_disabled()
        ):  # standard output is no screen in one of several test processes
            print(f"cluster: {text}", file=sys.stderr, flush=True)

    return say


def _running(parts: Parts, config: pytest.Config) -> Iterator[Reach]:
    found = existing()
    if found is None:
        try:
            found = launcher.start(parts, os.environ, say_at_once(config))
        except NoClusterError as reason:
            pytest.skip(str(reason))
    else:
        found.install_crds()
    yield found
    found.close()


@pytest.fixture(scope="session")
@starts("cluster")
def cluster(pytestconfig: pytest.Config) -> Iterator[Reach]:
    """etcd and an API server with our kinds: no controller looks after anything."""
    yield from _running(API_SERVER, pytestconfig)


@pytest.fixture(scope="session")
@starts("cluster")
def _larger_cluster(pytestconfig: pytest.Config) -> Iterator[Reach]:
    """One for both that follow: two of them would take memory for nothing."""
    parts = WITH_TRAINING_OPERATOR if "training_cluster" in pytestconfig.stash[ASKED] else FULL
    yield from _running(parts, pytestconfig)


@pytest.fixture(scope="session")
def full_cluster(_larger_cluster: Reach) -> Reach:
    """With controllers, scheduler, and nodes that KWOK plays."""
    return _larger_cluster


@pytest.fixture(scope="session")
def training_cluster(_larger_cluster: Reach) -> Reach:
    """With the training operator besides."""
    return _larger_cluster


def _built_on_wish(parts: Parts, config: pytest.Config) -> Iterator[Reach]:
    """One of its own; nothing is built for it."""
    lacking = binaries.missing(parts.managers, os.environ)
    if lacking:
        pytest.skip(f"{', '.join(lacking)}: never built; `make launchers` builds them, once")
    yield from _running(parts, config)


@pytest.fixture(scope="session")
@starts("cluster")
def trainer_cluster(pytestconfig: pytest.Config) -> Iterator[Reach]:
    """With JobSet and Kubeflow Trainer."""
    yield from _built_on_wish(WITH_TRAINER, pytestconfig)


@pytest.fixture(scope="session")
@starts("cluster")
def queue_cluster(pytestconfig: pytest.Config) -> Iterator[Reach]:
    """With Kueue beside the training operator, JobSet and Kubeflow Trainer."""
    yield from _built_on_wish(WITH_QUEUES, pytestconfig)
