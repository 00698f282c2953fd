"""What placement counts as held: what Deployments ask for and what nodes under notice will take, not what is seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.capacity.values import Held, Pending
from daybreak_operator.core.deployment.observed.fleet import fleet_of
from daybreak_operator.core.observed.parse import parse_object

NOW = 1_700_000_000.0
DIGEST = "1" * 64
LABELS = {
    names.LABEL_ROLE: names.ROLE_ENGINE,
    names.LABEL_REVISION: names.short(DIGEST),
    names.LABEL_POOL: "spot",
    names.LABEL_ZONE: "a",
}


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asking(replicas: int) -> dict[str, Any]:
    """The Deployment of the place."""
    metadata = {"name": "spot-a", "labels": LABELS}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }


def pod(
    name: str, since: float, *, ready: bool = True, node: str | None = "node", **more: Any
) -> dict[str, Any]:
    """A pod of the place: made, and ready or not, since then."""
    said = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp(since)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": LABELS, "creationTimestamp": stamp(since), **more},
        "spec": {"nodeName": node} if node else {},
        "status": {"conditions": [said] if node else []},
    }


OLD, NEW = pod("old", NOW - 100), pod("new", NOW - 50)
LOADS = pod("loads", NOW - 20, ready=False)
WAITS = pod("waits", NOW - 10, ready=False, node=None)
GOING = pod("new", NOW - 50, deletionTimestamp=stamp(NOW))


@pytest.mark.parametrize(
    ("asked", "pods", "noticed", "expected"),
    [
        pytest.param(
            2, [OLD, NEW], [], Held("spot", "a", (NOW - 100, NOW - 50)), id="what is asked is there"
        ),
        pytest.param(
            2, [OLD], [], Held("spot", "a", (NOW - 100,), (Pending(NOW),)), id="a pod is yet to be made"
        ),
        pytest.param(
            1, [OLD, NEW], [], Held("spot", "a", (NOW - 100,)), id="the younger one is given up, though seen"
        ),
        pytest.param(
            1, [OLD, LOADS, WAITS], [], Held("spot", "a", (NOW - 100,)), id="those that wait go first"
        ),
        pytest.param(
            2,
            [OLD, LOADS, WAITS],
            [],
            Held("spot", "a", (NOW - 100,), (Pending(NOW - 20, placed=True),)),
            id="one without a machine goes before one that loads",
        ),
        pytest.param(0, [OLD, WAITS], [], Held("spot", "a"), id="all are given up"),
        pytest.param(
            2, [OLD, NEW], ["new"], Held("spot", "a", (NOW - 100,)), id="a lost one is not asked for again"
        ),
        pytest.param(
            2,
            [OLD, GOING],
            ["new"],
            Held("spot", "a", (NOW - 100,), (Pending(NOW),)),
            id="but it is once its pod goes and the place still asks for two",
        ),
        pytest.param(
            1, [OLD, GOING], ["new"], Held("spot", "a", (NOW - 100,)), id="and not when it asks for one"
        ),
        pytest.param(
            1, [OLD, NEW], ["new"], Held("spot", "a", (NOW - 100,)), id="lost and given up is gone once"
        ),
    ],
)
def test_what_a_place_holds(
    asked: int, pods: list[dict[str, Any]], noticed: list[str], expected: Held
) -> None:
    fleet = fleet_of(map(parse_object, [asking(asked), *pods]), reclaimed=noticed, stockouts=(), now=NOW)
    assert fleet.held(DIGEST) == (expected,)
