"""What a play is played on: a full cluster, the small cloud, gateways, the operator, and one ModelDeployment.

Three zones. Spot in ``live-a`` is the cheapest, then spot in the other two, then on-demand everywhere. Owns waiting for
what the status says; `notebook.py` tells what happened meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from daybreak_contracts import names
from tests.cluster.cloud import Cloud
from tests.cluster.cloud_model import Change, Offering, Rules
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.gateways import Gateways
from tests.operator.live.hasty import TIMING, decisions
from tests.operator.live.notebook import Notebook, Place, answers
from tests.operator.shell.replica import Replica

A, B, C = ZONES = ("live-a", "live-b", "live-c")
SPOT_A, SPOT_B, SPOT_C = ("cheap", A), ("spot", B), ("spot", C)
PRICES = {("Spot", A): 0.30, ("Spot", B): 0.40, ("Spot", C): 0.40} | {
    ("OnDemand", zone): 1.0 for zone in ZONES
}
ACCELERATOR = "nvidia-l4"
NAME = "completions"
DIGEST = "1" * 64
RULES = Rules(boot_s=0.3, notice_s=10.0, idle_s=2.0)
INTERVAL_S = 1
POOLS = [
    {"name": "cheap", "zones": [A], "market": "Spot", "pricePerHour": "0.30", "max": 6},
    {"name": "spot", "zones": [B, C], "market": "Spot", "pricePerHour": "0.40", "max": 6},
    {"name": "od", "zones": list(ZONES), "market": "OnDemand", "pricePerHour": "1.00", "max": 6},
]


def deployment(namespace: str, **parts: Any) -> dict[str, Any]:
    """Return the ModelDeployment; ``parts`` replace parts of its spec."""
    spec = {
        "model": {"uri": "s3://models/one", "digest": DIGEST},
        "runtime": {"maxConcurrency": 4},
        "pools": [{"accelerator": ACCELERATOR, **pool} for pool in POOLS],
        "gateway": {"replicas": 2},
        "rollout": {"everyone": True},
        "scaling": scaling(),
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {**spec, **parts},
    }


def scaling(**parts: Any) -> dict[str, Any]:
    """Return short intervals."""
    return {"intervalSeconds": INTERVAL_S, "scaleDownSeconds": 2, "spareSpotReplicas": 1, **parts}


@dataclass
class Scene:
    """Everything a play touches."""

    cluster: Reach
    namespace: str
    cloud: Cloud
    gateways: Gateways
    notebook: Notebook
    me: str = "live"
    thrifty: bool = False
    parts: dict[str, Any] = field(default_factory=dict)
    _replica: Replica | None = None
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def apply(self, **parts: Any) -> None:
        """Change parts of the spec; None takes one out."""
        self.parts = {name: part for name, part in {**self.parts, **parts}.items() if part is not None}
        self.cluster.apply(deployment(self.namespace, **self.parts))

    def capacity(self, market: str, **zones: int) -> None:
        """From now on there are so many machines: ``capacity("Spot", a=0)``."""
        for zone, number in zones.items():
            self.cloud.set_capacity(f"live-{zone}", market, number)

    @property
    def status(self) -> dict[str, Any]:
        """The newest status, as the notebook has it."""
        found = self.notebook.of("ModelDeployment")
        return dict(found[-1].body.get("status") or {}) if found else {}

    def zone(self, place: Place) -> dict[str, Any]:
        """Return what the status says of a place."""
        zones = self.status.get("zones") or ()
        return next((zone for zone in zones if (zone["pool"], zone["zone"]) == place), {})

    def ready(self) -> dict[Place, int]:
        """Return where replicas answer, by the status."""
        zones = self.status.get("zones") or ()
        return {(zone["pool"], zone["zone"]): zone["ready"] for zone in zones if zone.get("ready")}

    def wait(self, what: str, ready: Any) -> None:
        """Wait until ``ready`` is true of what answers, the status says so and nothing is asked for beyond it."""
        try:
            wait_for(what, lambda: self._is_calm() and ready(self.ready()))
        except AssertionError as late:
            raise AssertionError(f"{late}; {self.summary()}") from None

    def summary(self) -> str:
        """Return how things stand."""
        shown = ("ready", "pending", "desired", "failures", "retryAt")
        zones = {
            f"{zone['pool']}/{zone['zone']}": {name: zone[name] for name in shown if zone.get(name)}
            for zone in self.status.get("zones") or ()
        }
        said = [c["message"] for c in self.status.get("conditions") or () if c["type"] == "CapacityAvailable"]
        return f"asked {self.asked()}, capacity {self.status.get('capacity')}, zones {zones}, {said}"

    def _is_calm(self) -> bool:
        there: dict[str, dict[str, Any]] = {}
        for one in self.notebook.of("Pod"):
            there[one.name] = {} if one.how == "DELETED" else one.body
        engines = [pod for pod in there.values() if pod and is_engine(pod) and not is_over(pod)]
        answering = sum(map(answers, engines))
        told = self.status.get("readyReplicas")
        return answering == len(engines) == sum(self.ready().values()) == told == self.asked()

    def asked(self) -> int:
        """Return how many replicas all Deployments of engines ask for."""
        there: dict[str, int] = {}
        for one in self.notebook.of("Deployment"):
            if one.place[0]:
                there[one.name] = 0 if one.how == "DELETED" else one.body["spec"].get("replicas", 1)
        return sum(there.values())

    def node_in(self, place: Place) -> str:
        """Return a node with an engine that answers there."""
        there = {one.name: one for one in self.notebook.of("Pod")}
        found = [
            one for one in there.values() if one.place == place and one.how != "DELETED" and answers(one.body)
        ]
        return str(found[0].body["spec"]["nodeName"])

    def pods_on(self, node: str) -> list[str]:
        """Return the engines on a node."""
        there = {one.name: one for one in self.notebook.of("Pod")}
        found = [one for one in there.values() if one.how != "DELETED" and is_engine(one.body)]
        return [one.name for one in found if one.body["spec"].get("nodeName") == node]

    def empty_machines_gone(self) -> None:
        """Wait until every machine has its pod."""
        wait_for("no empty machine", lambda: all(not machine.free_gpus for machine in self.cloud.machines()))

    def reasons(self) -> set[str]:
        """Return the reasons of all conditions."""
        return {condition["reason"] for condition in self.status.get("conditions") or ()}

    def wait_passes(self, number: int) -> None:
        """Wait until the operator has looked at the object so many times."""

        def passes() -> float:
            found = self.operator().operator.metrics.registry
            labels = {"kind": names.KIND_DEPLOYMENT, "result": "ok"}
            return found.get_sample_value("daybreak_reconcile_seconds_count", labels) or 0.0

        before = passes()
        wait_for(f"{number} looks", lambda: passes() >= before + number)

    def metric(self, place: Place) -> float | None:
        """Return what Prometheus would read of a place's back-off."""
        pool, zone = place
        wanted = {"namespace": self.namespace, "name": NAME, "pool": pool, "zone": zone}
        families = text_string_to_metric_families(metrics_at(self.operator().operator.port))
        samples = (sample for family in families for sample in family.samples)
        found = [s.value for s in samples if s.name == "daybreak_zone_backing_off" and s.labels == wanted]
        return found[0] if found else None

    def operator(self) -> Replica:
        """Return the operator in this process; it is started where it does not run."""
        if self._replica is None:
            deciding = decisions(thrifty=self.thrifty)
            replica = Replica(str(self.cluster.kubeconfig), self.namespace, deciding, self.me, TIMING)
            self._replica = self._running.enter_context(replica)
        return self._replica

    def end_operator(self) -> None:
        """End it in good order, if it runs."""
        self._running.close()
        self._replica = None

    @contextlib.contextmanager
    def process(self, **given: Any) -> Iterator[subprocess.Popen[bytes]]:
        """The operator as a process that may be killed."""
        about = {
            "kubeconfig": str(self.cluster.kubeconfig),
            "namespace": self.namespace,
            "me": self.me,
            "thrifty": self.thrifty,
            **given,
        }
        command = [sys.executable, "-m", "tests.operator.live", json.dumps(about)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def is_engine(pod: dict[str, Any]) -> bool:
    """Return whether a pod serves a model, or shall."""
    return (pod["metadata"].get("labels") or {}).get(names.LABEL_ROLE) == names.ROLE_ENGINE


def is_over(pod: dict[str, Any]) -> bool:
    """Return whether a pod has ended: such ones lie about until somebody collects them."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def metrics_at(port: int) -> str:
    """Return what a scrape brings. Any free port is one of either protocol, and of the first one bound."""
    for host in ("127.0.0.1", "[::1]"):
        with (
            contextlib.suppress(urllib.error.URLError),
            urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer,
        ):
            return str(answer.read().decode())
    raise AssertionError(f"nobody answers at port {port}")


def offerings() -> list[Offering]:
    """Return what the small cloud sells: machines of one card, which only pods that want a card put up with."""
    return [
        Offering(zone, ACCELERATOR, market, price, taints=(names.RESOURCE_GPU,))
        for (market, zone), price in PRICES.items()
    ]


PLENTY = [Change(0, zone, market, 6) for market, zone in PRICES]


@contextlib.contextmanager
def scene(cluster: Reach) -> Iterator[Scene]:
    """Everything but the operator and the ModelDeployment."""
    namespace = cluster.namespace()
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    cluster.apply({**account, "metadata": {"name": "daybreak-pipeline", "namespace": namespace}})
    plain = [NodeSpec(f"plain-{namespace}-{number}", A, gpus=0) for number in range(2)]
    cluster.add_nodes(plain)
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(Cloud(cluster, offerings(), PLENTY, RULES))
        gateways = stack.enter_context(Gateways(cluster, namespace, DIGEST))
        notebook = stack.enter_context(Notebook(cluster, namespace))
        made = Scene(cluster, namespace, cloud, gateways, notebook)
        try:
            yield made
        finally:
            made.end_operator()
            cluster.kubectl("delete", "modeldeployments", "--all", "-n", namespace, "--wait=false")
            cluster.kubectl("delete", "deployments,pods", "--all", "-n", namespace, "--wait=false")
            cluster.kubectl("delete", "node", *(node.name for node in plain))
