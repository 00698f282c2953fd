"""The operator beside its control plane: a burst of objects, a steady stream of changes, an idle minute, memory.

The cluster is the tests' own (etcd and API server on this machine), the operator a process with its real decisions,
and who creates and watches the objects runs here too: all share the machine's cores.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_contracts.ports import free_ports
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.client import MERGE, Kube, Selector
from daybreak_operator.shell.kube.resources import DEPLOYMENTS, RUNS, ApiResource
from tests.bench.operator.beside import cluster_of
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.reach import wait_for

EXAMPLES = Path("manifests/examples")
NUM_EACH = 1000
CHANGES_PER_S = 10.0
STEADY_S = 60.0
IDLE_S = 60.0
LOOKED_AT_S = 45.0
"""Each object was looked at once within that: what was still to be said with time (how long a step takes) is said."""
WITHIN_S = 330.0
"""For all waiting together: with a minute of changes and one of rest the whole ends in eight minutes, or fails."""
Body = dict[str, Any]
Name = tuple[str, str]


@dataclass
class Clock:
    """When each object reached which generation, by a watch of both kinds."""

    kube: Kube
    reached: dict[Name, dict[int, float]] = field(default_factory=dict)
    version: dict[str, str] = field(default_factory=dict)

    def start(self, resource: ApiResource, namespace: str) -> None:
        """Follow a kind until this process ends."""
        follow = threading.Thread(target=self._follow, args=(resource, namespace), daemon=True)
        follow.start()

    def _follow(self, resource: ApiResource, namespace: str) -> None:
        version = "0"
        while True:
            try:
                for kind, body in self.kube.watch(resource, namespace, Selector(), version, 120.0):
                    version = body["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        self._see(body)
            except TransientError:
                continue

    def _see(self, body: Body) -> None:
        seen = (body.get("status") or {}).get("observedGeneration")
        if seen is not None:
            name = (body["kind"], body["metadata"]["name"])
            self.reached.setdefault(name, {}).setdefault(int(seen), time.monotonic())


@dataclass
class Running:
    """The operator's process."""

    process: subprocess.Popen[bytes]
    port: int

    def metrics(self) -> list[str]:
        """The lines of its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return list(answer.read().decode().splitlines())

    def passes(self) -> float:
        """Passes over objects."""
        counts = [line for line in self.metrics() if line.startswith("daybreak_reconcile_seconds_count{")]
        return sum(float(line.rpartition(" ")[2]) for line in counts)

    def requests(self) -> dict[tuple[str, str], float]:
        """Requests by verb and resource."""
        found: dict[tuple[str, str], float] = {}
        for line in self.metrics():
            if line.startswith("daybreak_api_requests_total{"):
                labels = dict(
                    part.split("=") for part in line[line.index("{") + 1 : line.index("}")].split(",")
                )
                at = labels["verb"].strip('"'), labels["resource"].strip('"')
                found[at] = found.get(at, 0.0) + float(line.rpartition(" ")[2])
        return found

    def writes(self) -> float:
        """Requests that changed something, but for the Lease's renewals."""
        spared = ("leases", "selfsubjectaccessreviews")
        return sum(n for (verb, what), n in self.requests().items() if verb != "GET" and what not in spared)

    def processor_s(self) -> float:
        """Processor time used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Resident memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


@contextmanager
def operator(kubeconfig: Path, namespace: str, log: Path) -> Iterator[Running]:
    """Run the operator as its pod does, for all namespaces."""
    (port,) = free_ports(1)
    environment = {"KUBECONFIG": str(kubeconfig), "DAYBREAK_NAMESPACE": namespace, "DAYBREAK_PORT": str(port)}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "daybreak_operator"], env={**os.environ, **environment}, stderr=stream
        )
    try:
        yield Running(process, port)
    finally:
        process.terminate()
        process.wait(60)


def objects(namespace: str) -> list[Body]:
    """The examples, a thousand times each: runs, and deployments that follow them."""
    found = []
    for name, kind in (("team-cluster.yaml", "run"), ("completions.yaml", "deployment")):
        body = yaml.safe_load((EXAMPLES / name).read_text())
        for number in range(NUM_EACH):
            metadata = {"name": f"{kind}-{number}", "namespace": namespace}
            spec = {**body["spec"]}
            if kind == "deployment":
                spec["model"] = {"trainingRunRef": {"name": f"run-{number}"}}
            found.append({**body, "metadata": metadata, "spec": spec})
    return [body for pair in zip(found[:NUM_EACH], found[NUM_EACH:], strict=True) for body in pair]


def until(end: float) -> float:
    """Return the seconds that are left; an AssertionError when there are none."""
    left = end - time.monotonic()
    assert left > 0.0, f"not done in time: is the machine busy? load {os.getloadavg()}"
    return left


def burst(kube: Kube, clock: Clock, bodies: list[Body], end: float) -> tuple[float, list[float]]:
    """Create everything at once; return the seconds until all had a status, and each one's own."""
    created: dict[Name, float] = {}

    def create(body: Body) -> None:
        created[body["kind"], body["metadata"]["name"]] = time.monotonic()
        kube.create(body)

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, bodies))
    wait_for("a status of each", lambda: len(clock.reached) >= len(bodies), until(end))
    ends = {name: min(times.values()) for name, times in clock.reached.items()}
    return max(ends.values()) - began, [ends[name] - created[name] for name in created]


def steady(kube: Kube, clock: Clock, bodies: list[Body], end: float) -> list[float]:
    """Change objects one after the other; return the seconds until each change was observed."""
    began, changed = time.monotonic(), {}
    for number in range(int(STEADY_S * CHANGES_PER_S)):
        body = bodies[number % len(bodies)]
        time.sleep(max(0.0, began + number / CHANGES_PER_S - time.monotonic()))
        is_run = body["kind"] == names.KIND_RUN
        spec = {"runPolicy": {"ttlSecondsAfterFinished": 86_400}} if is_run else {"gateway": {"holdMs": 201}}
        resource = RUNS if is_run else DEPLOYMENTS
        path = resource.path(body["metadata"]["namespace"], body["metadata"]["name"])
        at = time.monotonic()
        answer = kube._call("PATCH", path, {}, {"spec": spec}, content_type=MERGE)
        changed[body["kind"], body["metadata"]["name"]] = (answer["metadata"]["generation"], at)

    def seen() -> bool:
        return all(generation in clock.reached[name] for name, (generation, _) in changed.items())

    wait_for("all changes observed", seen, until(end))
    return [clock.reached[name][generation] - at for name, (generation, at) in changed.items()]


def settled(running: Running, end: float, quiet_s: float = 5.0) -> None:
    """Wait until nothing was written for so many seconds."""
    before = -1.0
    while (now := running.writes()) != before:
        until(end)
        before = now
        time.sleep(quiet_s)


@dataclass(frozen=True)
class Rest:
    """What the operator did in a minute in which nothing happened."""

    processor_s: float
    writes: float
    requests: float
    passes: float


def idle(running: Running) -> Rest:
    """Let a minute go by."""

    def counts() -> tuple[float, float, float, float]:
        return running.processor_s(), running.writes(), sum(running.requests().values()), running.passes()

    before = counts()
    time.sleep(IDLE_S)
    return Rest(*(after - once for once, after in zip(before, counts(), strict=True)))


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of many values."""
    return statistics.quantiles(values, n=100)[percent - 1]


def measure() -> list[Row]:
    """Burst, rest, steady changes, rest, idle minute."""
    with tempfile.TemporaryDirectory() as folder, cluster_of(launcher.API_SERVER) as cluster:
        return _measured(cluster, Path(folder) / "log")


def _measured(cluster: launcher.Cluster, log: Path) -> list[Row]:
    namespace, home = cluster.namespace(), cluster.namespace()
    kube = clients.connect({}, str(cluster.kubeconfig))
    clock, bodies = Clock(kube), objects(namespace)
    for resource in (RUNS, DEPLOYMENTS):
        clock.start(resource, namespace)
    end = time.monotonic() + WITHIN_S
    with operator(cluster.kubeconfig, home, log) as running:
        wait_for("readiness", lambda: is_ready(running), until(end))
        empty = running.memory_mb()
        whole_s, each = burst(kube, clock, bodies, end)
        settled(running, end)
        written, full, worked_s = running.writes(), running.memory_mb(), running.processor_s()
        latencies = steady(kube, clock, bodies, end + STEADY_S)
        settled(running, end + STEADY_S, LOOKED_AT_S)
        rest = idle(running)
        memory = max(full, running.memory_mb())
    rate = len(bodies) / whole_s
    count = f"{NUM_EACH} runs and {NUM_EACH} deployments"
    return [
        Row("burst to first status", rate, "objects/s", ">= 60", "Kueue (published)", 43.0, count),
        Row(
            "burst, P95 of one object",
            percentile(each, 95),
            "s",
            "",
            note=f"{written:,.0f} API writes and {worked_s:.0f} s of processor time in all",
        ),
        Row("change to observedGeneration, P95", percentile(latencies, 95), "s", "<= 5", note="10 changes/s"),
        Row("change to observedGeneration, P50", percentile(latencies, 50), "s", ""),
        Row("memory", memory, "MB", "<= 250", note=f"{empty:.0f} MB without objects"),
        Row(
            "API writes in an idle minute",
            rest.writes,
            "",
            "0",
            note=f"{rest.requests:.0f} requests, Lease and all",
        ),
        Row(
            "processor time in an idle minute",
            rest.processor_s,
            "s",
            "<= 9",
            note=f"{rest.passes:,.0f} passes",
        ),
    ]


def is_ready(running: Running) -> bool:
    """Return whether the operator's caches are full."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
