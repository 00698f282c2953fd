"""A small cluster that keeps its word: it carries plans out, makes pods of Deployments, and tells time.

Pods start in the zones that have machines, fetch, and answer after ``warm_s``. Every status that is written must be
one that the API server would take. What gateways saw is kept, so that properties can be asked of the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_contracts.routing import Routing
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.observed.peers import PeerDeployment
from daybreak_operator.core.observed.objects import ObservedConfigMap, ObservedWarning
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Plan
from daybreak_operator.core.pod_shape.demands import NodeKind
from daybreak_operator.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
M1, M2, M3 = ("1" * 64, "2" * 64, "3" * 64)
KINDS_FIRST = ("status", "apply", "delete")


def model(digest: str) -> dict[str, str]:
    """A fixed model."""
    return {"uri": f"s3://models/{digest[:3]}", "digest": digest}


def a_spec(**parts: Any) -> dict[str, Any]:
    """One on-demand pool in two zones, two gateways, switches off."""
    pool = {"name": "l4", "accelerator": "nvidia-l4", "zones": ["a", "b"], "pricePerHour": "1", "max": 8}
    spec: dict[str, Any] = {
        "model": model(M1),
        "replicas": 2,
        "pools": [pool],
        "rollout": {"soakSeconds": 60, "guardrails": {"minRequests": 100}},
        "scaling": {"spareSpotReplicas": 0},
    }
    return {**spec, **parts}


def stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Traffic:
    """What a model's users meet from now on, a second."""

    requests: int = 0
    errors: int = 0
    slow: int = 0
    shown: int = 0
    accepted: int = 0


@dataclass
class World:
    """The cluster."""

    spec: dict[str, Any] = field(default_factory=a_spec)
    followed: dict[str, Any] | None = None
    now: datetime = START
    warm_s: int = 20
    machines: dict[str, int] = field(default_factory=lambda: {"a": 8, "b": 8, "c": 8})
    """By zone."""
    broken: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Short digest to the container status that its pods get stuck in."""
    traffic: dict[str, Traffic] = field(default_factory=dict)
    mirrored: Traffic = field(default_factory=Traffic)
    """What becomes of the requests that a candidate sees while gateways are told to mirror some."""
    missing: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    stockouts: tuple[str, ...] = ()
    pods_wait: tuple[ObservedWarning, ...] = ()
    reclaimed: set[str] = field(default_factory=set)
    settings: Settings = field(default_factory=Settings)
    behind: bool = False
    """Whether a gateway does not hear of new routing."""
    unread: bool = False
    """Whether the operator cannot reach any gateway."""
    num_telling: int = 2
    """Gateways that tell what they count."""
    waking: int = 0
    """Requests that a gateway holds until there is an engine."""
    has_gateway_api: bool = False
    node_kinds: frozenset[NodeKind] = frozenset()
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.generation = 1
        self.children: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: list[tuple[str, str]] = []
        self.routings: list[Routing] = []
        self.writes = 0
        self.namespace = "team"
        self.alone = True
        self.peers: tuple[PeerDeployment, ...] = ()
        self._serial = 0
        self.inflight = 0
        self.quiet_since: float | None = START.timestamp()
        self._counters: dict[str, ModelCounters] = {}
        self._earlier: tuple[Any, tuple[GatewaySnapshot, ...]] = (None, ())

    # What a person does -----------------------------------------------------------------------------------------
    def change(self, **parts: Any) -> None:
        """Edit the spec."""
        self.spec = {**self.spec, **parts}
        self.generation += 1

    def switch(self, **switches: Any) -> None:
        """Edit the rollout."""
        self.change(rollout={**self.spec.get("rollout", {}), **switches})

    def ask(self) -> None:
        """Send a request that is answered at once, or given up."""
        self.quiet_since = self.now.timestamp()

    def plan_of(self, replicas: int) -> str:
        """The zone that would get one more replica of so many."""
        there = {zone["zone"]: zone["desired"] for zone in self.status["zones"]}
        spec, self.spec = self.spec, {**self.spec, "replicas": replicas}
        zones = self.plan().status["zones"]
        self.spec = spec
        return str(next(zone["zone"] for zone in zones if zone["desired"] > there[zone["zone"]]))

    # What the shell does ----------------------------------------------------------------------------------------
    def deployment(self) -> dict[str, Any]:
        metadata = {
            "name": "completions",
            "namespace": self.namespace,
            "uid": "u-1",
            "generation": self.generation,
            "annotations": dict(self.annotations),
            "labels": dict(self.labels),
        }
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND_DEPLOYMENT, "metadata": metadata}
        return {**body, "spec": self.spec, "status": self.status}

    def observed(self) -> DeploymentObservation:
        candidate = self.status.get("candidate") or {}
        window = tuple(candidate.get(part) for part in ("digest", "weight", "since"))
        snapshots = self.snapshots()
        if self._earlier[0] != window:
            self._earlier = (window, snapshots)
        return DeploymentObservation(
            deployment=self.deployment(),
            followed=self.followed,
            children=tuple(map(parse_object, self.children.values())),
            record=self.record(),
            alone=self.alone,
            peers=self.peers,
            snapshots=snapshots,
            earlier=self._earlier[1],
            reclaimed=tuple(sorted(self.reclaimed)),
            missing=self.missing,
            taken=self.taken,
            stockouts=self.stockouts,
            pods_wait=self.pods_wait,
            has_gateway_api=self.has_gateway_api,
            node_kinds=self.node_kinds,
            settings=self.settings,
        )

    def record(self) -> ObservedConfigMap | None:
        found = self.children.get(("ConfigMap", names.record_name("completions")))
        kept = parse_object(found) if found is not None else None
        return kept if isinstance(kept, ObservedConfigMap) else None

    def snapshots(self) -> tuple[GatewaySnapshot, ...]:
        if self.unread:
            return ()
        at = self.now.timestamp()
        version = 0 if self.behind or not self.routings else self.routings[-1].version
        reading = GatewaySnapshot(
            instance="gateway-0",
            started=START.timestamp(),
            at=at,
            models=dict(self._counters),
            routing_version=version,
            inflight=self.inflight,
            waking=self.waking,
            quiet_since=self.quiet_since,
        )
        idle = {"instance": "gateway-1", "models": {}, "waking": 0, "quiet_since": START.timestamp()}
        return (reading, reading.model_copy(update=idle))[: self.num_telling]

    def plan(self) -> Plan:
        return decide(self.observed(), self.now)

    def carry_out(self, plan: Plan, parts: Iterable[str] = KINDS_FIRST) -> None:
        """Do what a plan says; fewer parts when the operator was killed between two calls."""
        for part in parts:
            if part == "status":
                self._write(plan)
            elif part == "apply":
                for child in plan.apply:
                    self._apply({**child, "metadata": dict(child["metadata"])})
            else:
                for ref in plan.delete:
                    self._delete(ref.kind, ref.name, ref.uid)
        self._controllers()

    def _write(self, plan: Plan) -> None:
        status = dict(plan.status)
        ModelDeploymentStatus.model_validate(status, by_alias=True, by_name=False)
        self.events += [(event.type, event.reason) for event in plan.events]
        if status == self.status:
            return
        self.status = status
        self.writes += 1
        routing = Routing.model_validate(status["routing"]["document"]) if "routing" in status else None
        if routing is not None and (not self.routings or routing != self.routings[-1]):
            self.routings.append(routing)

    def look(self) -> Plan:
        """One pass of the operator."""
        plan = self.plan()
        self.carry_out(plan)
        return plan

    def run(self, seconds: int, step: int = 5) -> None:
        """Let time pass with a look every few seconds."""
        for _ in range(0, seconds, step):
            self.look()
            self.tick(step)
        self.look()

    def run_lazily(self, seconds: int) -> int:
        """Let time pass and look only when the last plan asked for it or a child changed; return how often."""
        due, seen, looks = self.now, "", 0
        for _ in range(seconds):
            if self.now >= due or str(self.children) != seen:
                plan, looks = self.look(), looks + 1
                wait = plan.requeue_after_s
                due = self.now + timedelta(seconds=wait if wait is not None else 1_000_000)
                seen = str(self.children)
            self.tick(1)
        return looks

    def run_until(self, digest: str, weight: int) -> None:
        """Let time pass until so many users get a candidate; an hour at most."""
        for _ in range(720):
            if self.status["candidate"]["digest"] == digest and self.weight >= weight:
                return
            self.run(5)
        raise AssertionError(f"stays in {self.stage} at {self.weight} %")

    # What Kubernetes does ---------------------------------------------------------------------------------------
    def tick(self, seconds: int) -> None:
        """Let time pass: pods start, users type."""
        self.now += timedelta(seconds=seconds)
        for digest, traffic in self.traffic.items():
            self._count(digest, traffic, seconds)
        self._mirror(seconds)
        self._controllers()

    def _count(self, digest: str, traffic: Traffic, seconds: int) -> None:
        old = self._counters.get(digest, ModelCounters())
        buckets = list(old.latency_buckets)
        buckets[3] += (traffic.requests - traffic.slow) * seconds
        buckets[len(LATENCY_BOUNDS_MS)] += traffic.slow * seconds
        counted = {
            "requests": old.requests + traffic.requests * seconds,
            "errors": old.errors + traffic.errors * seconds,
            "latency_buckets": tuple(buckets),
            "shown": old.shown + traffic.shown * seconds,
            "accepted": old.accepted + traffic.accepted * seconds,
            "seconds": old.seconds + 0.2 * traffic.requests * seconds,
        }
        self._counters[digest] = old.model_copy(update=counted)

    def _mirror(self, seconds: int) -> None:
        routing = self.routings[-1] if self.routings else None
        if routing is None or routing.candidate is None or not routing.shadow_percent:
            return
        old = self._counters.get(routing.candidate, ModelCounters())
        requests, errors = self.mirrored.requests * seconds, self.mirrored.errors * seconds
        counted = {
            "shadow_requests": old.shadow_requests + requests,
            "shadow_errors": old.shadow_errors + errors,
            "shadow_seconds": old.shadow_seconds + 0.2 * requests,
        }
        self._counters[routing.candidate] = old.model_copy(update=counted)

    def _apply(self, child: dict[str, Any]) -> None:
        key = (child["kind"], child["metadata"]["name"])
        old = self.children.get(key)
        child["metadata"]["uid"] = old["metadata"]["uid"] if old else self._uid()
        child["metadata"]["creationTimestamp"] = (
            old["metadata"]["creationTimestamp"] if old else stamp(self.now)
        )
        if old is not None and "status" in old:
            child["status"] = old["status"]
        self.children[key] = child

    def _delete(self, kind: str, name: str, uid: str) -> None:
        found = self.children.get((kind, name))
        if found is not None and found["metadata"]["uid"] == uid:
            del self.children[kind, name]
            self.reclaimed.discard(name)

    def _uid(self) -> str:
        self._serial += 1
        return f"uid-{self._serial}"

    def _controllers(self) -> None:
        """Deployments make and remove pods; owners that are gone take theirs with them."""
        deployments = [child for (kind, _), child in self.children.items() if kind == "Deployment"]
        for deployment in deployments:
            if deployment["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_GATEWAY:
                deployment["status"] = {"readyReplicas": deployment["spec"]["replicas"]}
            else:
                self._replicate(deployment)
        there = {deployment["metadata"]["uid"] for deployment in deployments}
        for pod in self.pods():
            if pod["owner"] not in there:
                self._delete("Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
        for pod in self.pods():
            self._run_pod(pod)

    def _replicate(self, deployment: dict[str, Any]) -> None:
        pods = [pod for pod in self.pods() if pod["owner"] == deployment["metadata"]["uid"]]
        pods.sort(key=lambda pod: (is_ready(pod), bool(pod["spec"].get("nodeName"))))
        for pod in pods[: max(0, len(pods) - deployment["spec"]["replicas"])]:
            self._delete("Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
        for _ in range(deployment["spec"]["replicas"] - len(pods)):
            uid = self._uid()
            name = f"{deployment['metadata']['name']}-{uid}"
            metadata = {
                "name": name,
                "namespace": "team",
                "uid": uid,
                "labels": dict(deployment["metadata"]["labels"]),
                "creationTimestamp": stamp(self.now),
            }
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {}}
            self.children["Pod", name] = {**pod, "owner": deployment["metadata"]["uid"]}

    def _run_pod(self, pod: dict[str, Any]) -> None:
        zone = pod["metadata"]["labels"][names.LABEL_ZONE]
        revision = pod["metadata"]["labels"][names.LABEL_REVISION]
        if "nodeName" not in pod["spec"]:
            here = [one for one in self.pods() if one["spec"].get("zone") == zone]
            if len(here) >= self.machines.get(zone, 0):
                return
            pod["spec"] |= {"nodeName": f"node-{zone}-{pod['metadata']['uid']}", "zone": zone, "at": self.now}
        if revision in self.broken:
            pod["status"] = dict(self.broken[revision])
            return
        age = (self.now - pod["spec"]["at"]).total_seconds()
        if age >= self.warm_s and not is_ready(pod):
            self.set_ready(pod, "True")
        elif age >= self.warm_s / 2 and not is_ready(pod):
            pod["status"]["initContainerStatuses"] = [
                {"name": "fetch", "state": {"terminated": {"exitCode": 0}}}
            ]

    def set_ready(self, pod: dict[str, Any], status: str) -> None:
        """Say that a pod answers, or not any more."""
        condition = {"type": "Ready", "status": status, "lastTransitionTime": stamp(self.now)}
        pod["status"]["conditions"] = [condition]

    # What tests ask ---------------------------------------------------------------------------------------------
    def pods(self, digest: str | None = None) -> list[dict[str, Any]]:
        """The pods, of one model or of all."""
        return [
            child
            for (kind, _), child in list(self.children.items())
            if kind == "Pod"
            and (digest is None or child["metadata"]["labels"][names.LABEL_REVISION] == names.short(digest))
        ]

    def ready(self, digest: str) -> int:
        return sum(1 for pod in self.pods(digest) if is_ready(pod))

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition."""
        found = next(one for one in self.status["conditions"] if one["type"] == kind)
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        return str(next(one for one in self.status["conditions"] if one["type"] == kind)["message"])

    @property
    def stage(self) -> str:
        return str((self.status.get("candidate") or {}).get("stage"))

    @property
    def weight(self) -> int:
        return int((self.status.get("candidate") or {}).get("weight", 0))

    @property
    def stable(self) -> str | None:
        return (self.status.get("stable") or {}).get("digest")

    @property
    def routing(self) -> Routing:
        return self.routings[-1]


def observed_pod(stored: dict[str, Any]) -> ObservedPod:
    """Return a pod as a decision sees it."""
    pod = parse_object({"kind": "Pod", **stored})
    assert isinstance(pod, ObservedPod)
    return pod


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def serving_world(**parts: Any) -> World:
    """A world in which the first model serves everyone and M2 is about to come."""
    world = World(**parts)
    world.switch(everyone=True)
    world.run(60)
    assert world.stable == M1
    world.switch(everyone=False)
    world.look()
    world.traffic[M1] = Traffic(requests=50, shown=50, accepted=15)
    return world
