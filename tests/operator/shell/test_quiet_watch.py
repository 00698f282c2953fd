"""A watch of something that hardly ever changes lives on: quiet is not dead."""

from __future__ import annotations

import time
from typing import Any

import pytest

from daybreak_operator.shell import kube
from daybreak_operator.shell.resources import EVENTS, Resource, resource_of
from daybreak_operator.shell.store import Listed
from daybreak_operator.shell.watch import Watch
from tests.cluster.reach import Reach

SILENCE_S = 2.0


class Nobody:
    """A sink that takes in nothing."""

    def listed(self, resource: Resource, listed: Listed) -> None: ...

    def event(self, resource: Resource, kind: str, body: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    "resource", [EVENTS, resource_of("batch/v1", "Job")], ids=["a kind without bookmarks", "one with them"]
)
def test_a_quiet_watch_shows_signs_of_life_without_an_event(cluster: Reach, resource: Resource) -> None:
    client = kube.connect({}, str(cluster.kubeconfig))
    watch = Watch(client, resource, Nobody(), namespace=cluster.namespace(), silence_s=SILENCE_S)
    watch.start()
    assert watch.synced.wait(60)
    began = watch.heard
    deadline = time.monotonic() + 60
    while watch.heard < began + 3 * SILENCE_S:
        assert time.monotonic() < deadline, f"last heard {watch.age_s():.0f} s ago: {watch.trouble}"
        time.sleep(0.1)
    watch.stop()
    assert watch.restarts == 0
