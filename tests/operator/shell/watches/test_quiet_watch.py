"""A watch of something that hardly ever changes lives on: quiet is not dead."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_operator.shell import health
from daybreak_operator.shell.kube import client as kube
from daybreak_operator.shell.kube.resources import EVENTS, PODS, ApiResource, resource_of
from daybreak_operator.shell.run import Timing
from daybreak_operator.shell.watches.reflector import Reflector
from daybreak_operator.shell.watches.store import ListResult
from tests.cluster.reach import Reach
from tests.operator.shell.proxy import Proxy

SILENCE_S = 2.0


class Nobody:
    """A sink that takes in nothing."""

    def listed(self, resource: ApiResource, listed: ListResult) -> None: ...

    def event(self, resource: ApiResource, kind: str, body: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    "resource", [EVENTS, resource_of("batch/v1", "Job")], ids=["a kind without bookmarks", "one with them"]
)
def test_a_quiet_watch_shows_signs_of_life_without_an_event(cluster: Reach, resource: ApiResource) -> None:
    client = kube.connect({}, str(cluster.kubeconfig))
    watch = Reflector(client, resource, Nobody(), namespace=cluster.namespace(), silence_s=SILENCE_S)
    watch.start()
    assert watch.synced.wait(60)
    began = watch.heard
    deadline = time.monotonic() + 60
    while watch.heard < began + 3 * SILENCE_S:
        assert time.monotonic() < deadline, f"last heard {watch.age_s():.0f} s ago: {watch.last_error}"
        time.sleep(0.1)
    watch.stop()
    assert watch.restarts == 0


def test_default_times_end_a_frozen_process_in_time_and_a_quiet_one_never() -> None:
    timing = Timing()
    assert timing.silence_s + timing.margin_s + health.LOOK_EVERY_S <= 80.0  # 90 s are promised
    tries_s = 2 * kube.CONNECT_S  # a connection is tried twice
    assert kube.stream_s(timing.silence_s) + tries_s < timing.silence_s
    assert timing.margin_s > 2 * tries_s


def test_no_pooled_connection_is_trusted_after_one_fell_silent(cluster: Reach, tmp_path: Path) -> None:
    port = urlsplit(cluster.url).port
    assert port is not None
    with Proxy(port) as proxy, ThreadPoolExecutor(4) as threads:
        kubeconfig = tmp_path / "kubeconfig"
        there = f"https://127.0.0.1:{proxy.port}"
        kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.url, there))
        client = kube.connect({}, str(kubeconfig))
        namespace = cluster.namespace()
        while len(proxy.pairs) < 2:  # until two requests met
            list(threads.map(lambda _: list(client.pages(PODS, namespace, "")), range(8)))
        proxy.silence()
        client.request_s = 1.0
        with pytest.raises(TransientError):
            list(client.pages(PODS, namespace, ""))
        client.request_s = 60.0
        assert list(client.pages(PODS, namespace, ""))
