"""What happened in a namespace and when, as the API server told it: what plays are judged by afterwards.

One watch for each kind. Owns the record; judges nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from daybreak_contracts import names
from tests.cluster import requests
from tests.cluster.reach import Reach

PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Pod": "/api/v1/namespaces/{}/pods",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "ModelDeployment": f"/apis/{names.API_VERSION}/namespaces/{{}}/modeldeployments",
    "Event": "/api/v1/namespaces/{}/events",
}
Place = tuple[str, str]


@dataclass(frozen=True)
class Seen:
    """One change. ``at`` is monotonic time, ``how`` ADDED, MODIFIED or DELETED."""

    at: float
    how: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])

    @property
    def place(self) -> Place:
        """Pool and zone by its labels."""
        labels = self.body["metadata"].get("labels") or {}
        return labels.get(names.LABEL_POOL, ""), labels.get(names.LABEL_ZONE, "")


class Notebook:
    """Watches a namespace until closed."""

    def __init__(self, cluster: Reach, namespace: str) -> None:
        self.seen: dict[str, list[Seen]] = {kind: [] for kind in PATHS}
        self._client = cluster.client()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(kind, path.format(namespace)), name=f"watch {kind}")
            for kind, path in PATHS.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def of(self, kind: str, since: float = 0.0) -> list[Seen]:
        """Return the changes of a kind from a moment on."""
        return [one for one in list(self.seen[kind]) if one.at >= since]

    def asked(self, place: Place, since: float) -> float | None:
        """Return when a place was first asked for more than before, from a moment on."""
        before = 0
        for one in self.of("Deployment"):
            if one.place != place:
                continue
            number = 0 if one.how == "DELETED" else one.body["spec"].get("replicas", 1)
            if one.at >= since and number > before:
                return one.at
            before = number
        return None

    def most_asked(self, pool: str, since: float) -> int:
        """Return the most replicas that a pool was asked for in all its zones together, from a moment on."""
        there: dict[str, int] = {}
        most = 0
        for one in self.of("Deployment"):
            if one.place[0] == pool:
                there[one.name] = 0 if one.how == "DELETED" else one.body["spec"].get("replicas", 1)
                most = max(most, sum(there.values())) if one.at >= since else 0
        return most

    def story(self, since: float) -> str:
        """Return what was asked for where, and what nobody had a machine for, in its order: for a play that failed."""
        asked = [
            (one.at, f"asked for {one.body['spec'].get('replicas', 1)} in {'/'.join(one.place)}")
            for one in self.of("Deployment", since)
            if one.place[0]
        ]
        refused = [
            (one.at, one.body.get("message", ""))
            for one in self.of("Event", since)
            if one.body.get("reason") == "FailedScaleUp"
        ]
        return "\n".join(f"{at - since:6.2f} s {what}" for at, what in sorted(asked + refused))

    def ready_counts(self, since: float, until: float) -> Iterator[int]:
        """Yield how many engines answered, at the moment and after each change of a pod."""
        answering: set[str] = set()
        for one in self.of("Pod"):
            if one.at >= until:
                break
            if one.at >= since:
                yield len(answering)
            if one.how != "DELETED" and answers(one.body):
                answering.add(one.name)
            else:
                answering.discard(one.name)
        yield len(answering)

    def endpoints(self) -> set[str]:
        """Return the names of the engine pods that gateways may ask now."""
        *_, (_, newest) = self._endpoints()
        return newest

    def endpoint_counts(self, since: float, until: float) -> Iterator[int]:
        """Yield how many engines gateways could ask, at the moment and after each change."""
        before: set[str] = set()
        for at, there in self._endpoints():
            if since <= at < until:
                yield len(there)
            elif at < since:
                before = there
        yield len(before)

    def emptied(self, pod: str, since: float) -> float | None:
        """Return when gateways were told of a pod for the last time, from a moment on."""
        for at, there in self._endpoints():
            if at >= since and pod not in there:
                return at
        return None

    def told(self, reason: str, since: float) -> float | None:
        """Return when the first event with this reason came, from a moment on."""
        return next((one.at for one in self.of("Event", since) if one.body.get("reason") == reason), None)

    def places_told(self, reason: str, since: float) -> list[Place]:
        """Return the places of the pods that such events are about, from a moment on."""
        pods = {one.name: one.place for one in self.of("Pod")}
        about = (one.body for one in self.of("Event", since) if one.body.get("reason") == reason)
        return [
            pods[body["involvedObject"]["name"]] for body in about if body["involvedObject"]["name"] in pods
        ]

    def needs(self, since: float) -> list[int]:
        """Return the numbers of replicas that the load was found to need, one after the other."""
        found: list[int] = []
        for one in self.of("ModelDeployment", since):
            needed = ((one.body.get("status") or {}).get("capacity") or {}).get("needed")
            if needed is not None and found[-1:] != [needed]:
                found.append(needed)
        return found

    def _endpoints(self) -> Iterator[tuple[float, set[str]]]:
        slices: dict[str, set[str]] = {}
        yield 0.0, set()
        for one in self.of("EndpointSlice"):
            if names.LABEL_REVISION not in (one.body["metadata"].get("labels") or {}):
                continue
            ready = (end for end in one.body.get("endpoints") or () if end["conditions"].get("ready"))
            slices[one.name] = set() if one.how == "DELETED" else {end["targetRef"]["name"] for end in ready}
            yield one.at, set().union(*slices.values())

    def _follow(self, kind: str, path: str) -> None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        version = ""
        while not self._end.is_set():
            query = {"watch": "true", "timeoutSeconds": "1"}
            query |= {"resourceVersion": version} if version else {}
            try:
                answer = requests.stream(self._client, "GET", path, query)
                for line in lines_of(answer):
                    version = self._take(kind, json.loads(line)) or version
            except (ApiException, HTTPError):
                time.sleep(0.05)

    def _take(self, kind: str, change: dict[str, Any]) -> str:
        if change["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            return ""
        self.seen[kind].append(Seen(time.monotonic(), change["type"], change["object"]))
        return str(change["object"]["metadata"]["resourceVersion"])


def lines_of(answer: Any) -> Iterator[bytes]:
    """Yield whole lines of a streamed answer."""
    rest = b""
    for part in answer.stream():
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


def answers(pod: dict[str, Any]) -> bool:
    """Return whether a pod is an engine that answers and stays."""
    labels = pod["metadata"].get("labels") or {}
    conditions = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or ()}
    going = "deletionTimestamp" in pod["metadata"]
    return (
        labels.get(names.LABEL_ROLE) == names.ROLE_ENGINE and conditions.get("Ready") == "True" and not going
    )
