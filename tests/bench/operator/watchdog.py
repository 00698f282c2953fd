"""The operator at its default times while its watches are frozen for five minutes: when it recovers, or ends.

Two clusters of the tests' own beside each other, each with an operator as a real process. In one the API server is
stopped (SIGSTOP): nothing can recover, so the process has to end. In the other a proxy between the two lets all open
connections fall silent while the API server lives on: a change made meanwhile has to be answered.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.bench.operator.beside import cluster_of
from tests.bench.operator.burst import EXAMPLES, Running, is_ready, operator
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.reach import Reach, wait_for
from tests.operator.shell.proxy import Proxy

FROZEN_S = 300.0
QUIET_S = 40.0
"""Longer than a stream lives: the last sign of life is as old as it can be."""
WITHIN_S = 120.0
TARGET = "<= 90"


def run_named(name: str, namespace: str) -> dict[str, Any]:
    """Return a TrainingRun to make."""
    body = yaml.safe_load((EXAMPLES / "team-cluster.yaml").read_text())
    return {**body, "metadata": {"name": name, "namespace": namespace}}


def seconds_to_status(cluster: Reach, namespace: str, name: str, within_s: float) -> float:
    """Make a run and return the seconds until the operator said something of it."""
    began = time.monotonic()
    cluster.apply(run_named(name, namespace))
    wait_for(
        f"a status of {name}",
        lambda: (cluster.get("trainingrun", name, namespace) or {}).get("status"),
        within_s,
    )
    return time.monotonic() - began


def ready(running: Running) -> None:
    """Wait until the operator leads and its caches are full."""
    wait_for("readiness", lambda: is_ready(running), WITHIN_S)


def troubles(log: Path) -> str:
    """Return what the watchdog said at last."""
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    found = [line["failed"] for line in said if line.get("message") == "liveness check failed, exiting"]
    return "; ".join(found[-1]) if found else "it did not say why"


def stopped_server(cluster: launcher.Cluster, log: Path) -> list[Row]:
    """Stop the API server for five minutes; when did the process end, and does the next one work?"""
    namespace, home = cluster.namespace(), cluster.namespace()
    with operator(cluster.kubeconfig, home, log) as running:
        ready(running)
        seconds_to_status(cluster, namespace, "before", WITHIN_S)
        time.sleep(QUIET_S)
        with cluster.freeze_apiserver():
            began = time.monotonic()
            ended_s, code = FROZEN_S, None
            while code is None and time.monotonic() - began < FROZEN_S:
                time.sleep(0.1)
                code = running.process.poll()
                ended_s = time.monotonic() - began
            time.sleep(max(0.0, began + FROZEN_S - time.monotonic()))
    said = troubles(log)
    with operator(cluster.kubeconfig, home, log) as running:
        ready(running)
        after_s = seconds_to_status(cluster, namespace, "after", WITHIN_S)
    note = f"exit code {code}; {said.split(';')[0]}; the next process answered a new object after {after_s:.1f} s"
    return [Row("API server frozen for 5 minutes: the operator ended after", ended_s, "s", TARGET, note=note)]


def silent_streams(cluster: launcher.Cluster, log: Path) -> list[Row]:
    """Let all connections fall silent; when was an object answered that was made at that moment?"""
    namespace, home = cluster.namespace(), cluster.namespace()
    port = urlsplit(cluster.url).port
    assert port is not None
    with Proxy(port) as proxy:
        through = log.with_suffix(".kubeconfig")
        there = f"https://127.0.0.1:{proxy.port}"
        through.write_text(cluster.kubeconfig.read_text().replace(cluster.url, there))
        with operator(through, home, log) as running:
            ready(running)
            seconds_to_status(cluster, namespace, "before", WITHIN_S)
            time.sleep(QUIET_S)
            began, silent = time.monotonic(), proxy.silence()
            recovered_s = seconds_to_status(cluster, namespace, "meanwhile", FROZEN_S)
            time.sleep(max(0.0, began + FROZEN_S - time.monotonic()))
            ended = running.process.poll()
            after_s = seconds_to_status(cluster, namespace, "after", WITHIN_S) if ended is None else -1.0
    how = (
        f"the same process answers after {after_s:.1f} s at the end"
        if ended is None
        else f"it ended with {ended}"
    )
    note = f"{silent} connections, new ones work; {how}"
    return [
        Row("streams silent for 5 minutes: the operator recovered after", recovered_s, "s", TARGET, note=note)
    ]


def beside(play: Callable[[launcher.Cluster, Path], list[Row]], folder: Path) -> list[Row]:
    """Run a play on a cluster of its own."""
    with cluster_of(launcher.API_SERVER) as cluster:
        return play(cluster, folder / play.__name__)


def measure() -> list[Row]:
    """Both plays at the same time: idle processes disturb each other little."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        plays = [pool.submit(beside, play, Path(folder)) for play in (stopped_server, silent_streams)]
        return [row for play in plays for row in play.result()]
