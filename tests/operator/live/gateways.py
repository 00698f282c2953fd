"""Gateways that no container runs: KWOK's pods answer nobody, so each gateway pod gets an address of this machine.

At that address a server tells ``GET /snapshot`` as a gateway does. Counting is the gateway's own (`GatewayCounters`);
what is made up is the load: arrivals at an even rate that are all answered after the same time. Owns what a kubelet
would say of these pods (their IP), and nothing of engines.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from daybreak_contracts import names
from daybreak_operator.shell.metrics.snapshots import GATEWAY_PORT
from daybreak_serve.gateway.events.counters import GatewayCounters
from tests.cluster.reach import Reach

TICK_S = 0.1


class StandIn:
    """One gateway: the real counters behind the address and port that the operator asks."""

    def __init__(self, pod: str, host: str, digest: str) -> None:
        self.counters = GatewayCounters(pod, time.time)
        self.rate = 0.0
        self.service_s = 1.0
        self.is_silent = False
        self._digest = digest
        self._credit = 0.0
        self._server = ThreadingHTTPServer((host, GATEWAY_PORT), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=pod)
        self._thread.start()

    def tick(self, seconds: float) -> None:
        """Let the requests of so many seconds come and be answered."""
        self._credit += self.rate * seconds
        for _ in range(int(self._credit)):
            self.counters.arrive()
            self.counters.stir()
            self.counters.answer(self._digest, self.service_s, failed=False)
        self._credit %= 1.0

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _snapshot(self) -> bytes:
        working = round(self.rate * self.service_s)
        return self.counters.snapshot(1, {self._digest: working}, 0).model_dump_json().encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503 if gateway.is_silent else 200)
                self.end_headers()
                if not gateway.is_silent:
                    self.wfile.write(gateway._snapshot())

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class Gateways:
    """Stand-ins for all gateway pods of a namespace, with a load that is shared between them."""

    def __init__(self, cluster: Reach, namespace: str, digest: str) -> None:
        from kubernetes.client import CoreV1Api

        self._client = cluster.client()
        self._core = CoreV1Api(self._client)
        self._namespace = namespace
        self._digest = digest
        self._net = (
            f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"  # ports are fixed: addresses differ
        )
        self._hosts = itertools.count(1)
        self._made: dict[str, StandIn] = {}
        self._load = (0.0, 1.0)
        self._is_silent = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateways")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for one in self._made.values():
            one.close()
        self._client.close()

    def load(self, rate: float, service_s: float = 1.0) -> None:
        """From now on so many requests a second come in all, and each takes so long."""
        self._load = (rate, service_s)

    def fall_silent(self, is_silent: bool = True) -> None:
        """Answer the operator no more, or again."""
        self._is_silent = is_silent

    def ask_once(self) -> None:
        """Let one request come to one gateway, which nobody waits for any more when it is read."""
        one = next(iter(self._made.values()))
        one.counters.arrive()
        one.counters.stir()

    def __len__(self) -> int:
        return len(self._made)

    def _run(self) -> None:
        last = time.monotonic()
        for number in itertools.count():
            if self._end.wait(TICK_S):
                return
            if number % 5 == 0:
                self._give_addresses()
            now = time.monotonic()
            rate, service_s = self._load
            for one in self._made.values():
                one.rate, one.service_s = rate / len(self._made), service_s
                one.is_silent = self._is_silent
                one.tick(now - last)
            last = now

    def _give_addresses(self) -> None:
        chosen = f"{names.LABEL_ROLE}={names.ROLE_GATEWAY}"
        answer = self._core.list_namespaced_pod(
            self._namespace, label_selector=chosen, _preload_content=False
        )
        for pod in json.loads(answer.data)["items"]:
            name, status = pod["metadata"]["name"], pod.get("status") or {}
            if name in self._made or status.get("phase") != "Running":
                continue
            host = f"{self._net}.{next(self._hosts)}"
            self._made[name] = StandIn(name, host, self._digest)
            addresses = [{"$patch": "replace"}, {"ip": host}]  # else they are merged with KWOK's
            change = {"status": {"podIP": host, "podIPs": addresses}}
            self._core.patch_namespaced_pod_status(name, self._namespace, change)
