"""What a start took by stages, from pods as a cluster tells of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from daybreak_operator.core.deployment.rollout.cold_start import stages_of
from daybreak_operator.core.deployment.state import ColdStartStages
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.times import seconds_of

READY = "2026-01-01T00:02:00Z"
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:20Z"}
FETCHED = {"exitCode": 0, "startedAt": "2026-01-01T00:00:31Z", "finishedAt": "2026-01-01T00:01:10Z"}


def a_pod(conditions: list[dict[str, Any]], ended: dict[str, Any] | None) -> ObservedPod:
    state = {"terminated": ended} if ended else {"running": {}}
    found = parse_object(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {
                "conditions": conditions,
                "initContainerStatuses": [{"name": "fetch", "state": state}],
            },
        }
    )
    assert isinstance(found, ObservedPod)
    return found


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(a_pod([SCHEDULED], FETCHED), ColdStartStages(20, 11, 39, 50), id="all"),
        pytest.param(a_pod([], FETCHED), ColdStartStages(None, None, 39, 50), id="nobody-says-when-placed"),
        pytest.param(
            a_pod([SCHEDULED], None), ColdStartStages(20, None, None, None), id="no-end-of-the-fetch"
        ),
        pytest.param(
            a_pod([SCHEDULED], {**FETCHED, "startedAt": "2026-01-01T00:00:19Z"}),
            ColdStartStages(20, 0, 51, 50),
            id="clocks-that-differ",
        ),
        pytest.param(a_pod([SCHEDULED], {"exitCode": 0}), ColdStartStages(20), id="an-end-without-times"),
    ],
)
def test_stages_are_read(pod: ObservedPod, expected: ColdStartStages) -> None:
    assert stages_of(pod, seconds_of(READY)) == expected
    assert datetime.fromtimestamp(seconds_of(READY), UTC).minute == 2
