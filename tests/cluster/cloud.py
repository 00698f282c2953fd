"""A small cloud beside a cluster: machines come for waiting pods and go, as with a cluster autoscaler on a real one.

Owns what is said to Kubernetes: nodes that KWOK plays, taints, events, ends of pods. `cloud_model.py` decides.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from tests.cluster import cloud_model
from tests.cluster.cloud_model import Action, Change, Launch, Machine, Notice, Offering, Refuse, Remove, Rules
from tests.cluster.nodes import node_of
from tests.cluster.pods import is_waiting, resources_of, wish_of
from tests.cluster.reach import Reach

LOOK_EVERY_S = 0.2
NOTICE_TAINT = "cloud.google.com/impending-node-termination"
"""What GKE sets 30 seconds before a spot machine goes."""
RECLAIM_AT = "cluster.test/reclaim-at"
"""Annotation of a node that goes: when, in UTC."""
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Done:
    """Something the cloud did. ``time`` is in seconds since it began."""

    time: float
    action: Action


class Cloud:
    """Zones with capacity and prices. Use as a context manager, or call `look` yourself.

    Capacity comes from a trace, and from `set_capacity` while it runs; ``speed`` is how many seconds of the trace pass
    in one of the clock. An API server that does not answer is asked again at the next look.
    """

    def __init__(
        self,
        cluster: Reach,
        offerings: Iterable[Offering],
        changes: Iterable[Change] = (),
        rules: Rules = Rules(),  # noqa: B008 (frozen)
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from kubernetes.client import CoreV1Api

        self.done: list[Done] = []
        self._offerings = tuple(offerings)
        self._changes = list(changes)
        self._rules = rules
        self._speed = speed
        self._clock = clock
        self._began = clock()
        self._client = cluster.client()
        self._core = CoreV1Api(self._client)
        self._machines: dict[str, Machine] = {}
        self._up: set[str] = set()
        self._used: list[tuple[Offering, float]] = []
        self._told: dict[str, str] = {}
        self._uids: dict[str, str] = {}
        self._name = f"cloud-{uuid.uuid4().hex[:6]}"
        self._numbers = itertools.count(1)
        self._end = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name=self._name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now(self) -> float:
        """Seconds since the cloud began, by the time of its trace."""
        return (self._clock() - self._began) * self._speed

    def set_capacity(self, zone: str, market: str, capacity: int, accelerator: str | None = None) -> None:
        """From now on the zone has this many machines of a market."""
        with self._lock:
            self._changes.append(Change(self.now, zone, market, capacity, accelerator))

    def reclaim(self, node: str) -> None:
        """Give a machine notice, whatever the capacity is."""
        with self._lock:
            self._carry_out(Notice(node, self.now + self._rules.notice_s))

    def machines(self) -> list[Machine]:
        """Return the machines there are, and those on their way."""
        with self._lock:
            return list(self._machines.values())

    def cost(self) -> float:
        """Return what all machines cost so far."""
        with self._lock:
            running = [(item.offering, self.now - item.asked_at) for item in self._machines.values()]
            return cloud_model.cost([*self._used, *running])

    def counts(self, namespace: str | None = None) -> dict[str, int]:
        """Return how often each kind of thing was done, as ``{"Launch": 3, "Refuse": 1}``; for one namespace's pods.

        What was done to machines is always counted.
        """
        mine = [done.action for done in self.done if namespace is None or _concerns(done.action, namespace)]
        return dict(collections.Counter(type(action).__name__ for action in mine))

    def close(self) -> None:
        """Stop, and remove all machines."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in self._up:
            self._delete_node(name)
        self._client.close()

    def _run(self) -> None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        while not self._end.wait(LOOK_EVERY_S):
            try:
                self.look()
            except (ApiException, HTTPError):  # the server restarts or is frozen
                continue

    def look(self) -> None:
        """See what waits, decide, carry it out."""
        pods = json.loads(
            self._core.list_pod_for_all_namespaces(_preload_content=False, _request_timeout=10).data
        )
        with self._lock:
            self._bring_up()
            self._see(pods["items"])
            self._uids = {id_of(pod): pod["metadata"]["uid"] for pod in pods["items"]}
            wishes = [wish_of(pod) for pod in pods["items"] if is_waiting(pod)]
            now = self.now
            capacity = {item: cloud_model.capacity_at(now, item, self._changes) for item in self._offerings}
            for action in cloud_model.decide(now, wishes, self.machines(), capacity, self._rules):
                self._carry_out(action)

    def _bring_up(self) -> None:
        for machine in self._machines.values():
            if machine.name not in self._up and self.now >= machine.asked_at + self._rules.boot_s:
                node = node_of(machine.offering.node(machine.name))
                self._send(self._core.create_node, node)
                self._up.add(machine.name)

    def _see(self, pods: list[dict[str, Any]]) -> None:
        """Note what is free on each machine, and since when nobody is on it."""
        on: dict[str, list[dict[str, Any]]] = {}
        for pod in pods:
            if pod.get("status", {}).get("phase") not in ENDED:
                on.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
        for name, machine in self._machines.items():
            asked = [resources_of(pod) for pod in on.get(name, ())]
            idle = self.now if name in self._up and machine.idle_since is None else machine.idle_since
            self._machines[name] = dataclasses.replace(
                machine,
                free_gpus=machine.offering.gpus - sum(gpus for gpus, _ in asked),
                free_cpus=machine.offering.cpus - sum(cpus for _, cpus in asked),
                idle_since=None if asked else idle,
            )

    def _carry_out(self, action: Action) -> None:
        match action:
            case Launch(offering, pod):
                self._launch(offering, pod)
            case Refuse(pod, reason):
                if self._told.get(pod) == reason:
                    return
                self._told[pod] = reason
                self._event("Pod", pod, "Warning", "FailedScaleUp", reason)
            case Notice(machine, until):
                self._give_notice(machine, until)
            case Remove(machine, why):
                self._remove(machine, why)
        self.done.append(Done(self.now, action))

    def _launch(self, offering: Offering, pod: str) -> None:
        market = offering.market.lower()
        name = f"{self._name}-{offering.zone}-{market}-{next(self._numbers)}"
        self._machines[name] = Machine(name, offering, self.now, offering.gpus, offering.cpus)
        self._told.pop(pod, None)
        self._event("Pod", pod, "Normal", "TriggeredScaleUp", f"{name} comes up in {offering.zone}")

    def _give_notice(self, name: str, until: float) -> None:
        self._machines[name] = dataclasses.replace(self._machines[name], notice_until=until)
        left = timedelta(seconds=(until - self.now) / self._speed)
        at = (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%SZ")
        if name in self._up:
            taint = {"key": NOTICE_TAINT, "value": "true", "effect": "NoSchedule"}
            change = {"metadata": {"annotations": {RECLAIM_AT: at}}, "spec": {"taints": [taint]}}
            self._send(self._core.patch_node, name, change)
            self._event("Node", name, "Warning", "SpotInterruption", f"goes at {at}")

    def _remove(self, name: str, why: str) -> None:
        if why == "Idle" and name in self._up and not self._is_empty(name):
            return
        if name in self._up:
            if why == "Reclaimed":
                self._end_pods(name)
            self._delete_node(name)
            self._up.discard(name)
        machine = self._machines.pop(name)  # last: where the server refused something, the next look goes on
        self._used.append((machine.offering, self.now - machine.asked_at))

    def _is_empty(self, node: str) -> bool:
        """Close a machine for pods; return whether none came before. Opened again where one did."""
        self._send(self._core.patch_node, node, {"spec": {"unschedulable": True}})
        found = self._core.list_pod_for_all_namespaces(
            field_selector=f"spec.nodeName={node}", _preload_content=False
        )
        if not json.loads(found.data)["items"]:
            return True
        self._send(self._core.patch_node, node, {"spec": {"unschedulable": False}})
        return False

    def _end_pods(self, node: str) -> None:
        """As a kubelet does on a machine that shuts down: what runs there has failed, by no fault of its own."""
        found = self._core.list_pod_for_all_namespaces(
            field_selector=f"spec.nodeName={node}", _preload_content=False
        )
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for pod in json.loads(found.data)["items"]:
            if pod["status"].get("phase") in ENDED:
                continue
            conditions = [
                {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"},
                {"type": "Ready", "status": "False", "reason": "PodFailed"},
                {"type": "ContainersReady", "status": "False", "reason": "PodFailed"},
            ]
            ended = {"exitCode": 143, "reason": "Error", "finishedAt": now, "startedAt": now}
            containers = [
                {**status, "ready": False, "started": False, "state": {"terminated": ended}}
                for status in pod["status"].get("containerStatuses") or ()
            ]
            status = {
                "phase": "Failed",
                "reason": "Terminated",
                "message": "Pod was terminated in response to imminent node shutdown.",
                "conditions": [{**condition, "lastTransitionTime": now} for condition in conditions],
                "containerStatuses": containers,
            }
            metadata = pod["metadata"]
            with _unless_gone():
                self._send(
                    self._core.patch_namespaced_pod_status,
                    metadata["name"],
                    metadata["namespace"],
                    {"status": status},
                )

    def _delete_node(self, name: str) -> None:
        with _unless_gone():
            self._send(self._core.delete_node, name)

    @staticmethod
    def _send(call: Callable[..., Any], *arguments: object) -> bytes:
        """Send a request and return the answer as it came, no model of it.

        For each model the client reads the environment's proxies anew; where pytest changes the environment meanwhile,
        that ended this thread, and no machine came up any more.
        """
        answer: bytes = call(*arguments, _preload_content=False).data
        return answer

    def _event(self, kind: str, thing: str, severity: str, reason: str, message: str) -> None:
        namespace, _, name = thing.rpartition("/")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": "v1", "kind": kind, "name": name, "namespace": namespace}
        event = {
            "metadata": {"generateName": f"{name}.", "namespace": namespace or "default"},
            "involvedObject": {**about, "uid": self._uids.get(thing, "")},
            "type": severity,
            "reason": reason,
            "message": message,
            "source": {"component": "small-cloud"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._send(self._core.create_namespaced_event, namespace or "default", event)


def _concerns(action: Action, namespace: str) -> bool:
    return not isinstance(action, Launch | Refuse) or action.pod.startswith(f"{namespace}/")


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Let pass that something is not there any more."""
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as refusal:
        if refusal.status != 404:
            raise


def id_of(pod: dict[str, Any]) -> str:
    """Return a pod's namespace and name, as wishes name it."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
