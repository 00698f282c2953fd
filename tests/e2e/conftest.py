"""The cluster with a real node, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import cluster
from tests.e2e.cluster import NodeCluster


@pytest.fixture(scope="session")
def node_cluster() -> Iterator[NodeCluster]:
    """A cluster whose one node runs real containers."""
    folder = os.environ.get("DAYBREAK_E2E_FOLDER")
    if folder is None:
        pytest.skip("a real node needs root, containerd and namespaces of its own: run `make e2e`")
    running = cluster.start(Path(folder), Path(folder).name)
    yield running
    running.close()
