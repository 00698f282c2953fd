"""The cluster with a real node, for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import cluster, installation, plays
from tests.e2e.cluster import NodeCluster
from tests.e2e.installation import OperatorProcess
from tests.e2e.plays import Play
from tests.plugins.needs import starts


@pytest.fixture(scope="session")
@starts("cluster")
def node_cluster() -> Iterator[NodeCluster]:
    """A cluster whose one node runs real containers."""
    folder = os.environ.get("DAYBREAK_E2E_FOLDER")
    if folder is None:
        pytest.skip("a real node needs root, containerd and namespaces of its own: run `make e2e`")
    running = cluster.start(Path(folder), Path(folder).name)
    yield running
    running.close()


@pytest.fixture(scope="session")
def play(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A team's namespace and storage, and the operator. `DAYBREAK_E2E_KEEP` names a folder for all logs."""
    plays.prepare(node_cluster)
    operator = OperatorProcess(node_cluster, tmp_path_factory.mktemp("operator") / "log.jsonl")
    with installation.storage() as variables:
        namespace = installation.prepare_namespace(node_cluster, variables)
        operator.start()
        stage = Play(node_cluster, operator, namespace, variables["AWS_ENDPOINT_URL_S3"])
        yield stage
        kept = os.environ.get("DAYBREAK_E2E_KEEP")
        if kept:
            plays.keep(stage, Path(kept))
        operator.stop()
