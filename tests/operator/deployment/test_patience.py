"""A pod that takes long is not taken for one that is stuck: who waits for what waits long enough for it."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.capacity.placement import offerings
from daybreak_operator.core.deployment.children import engine, gateway
from daybreak_operator.core.deployment.observed.fleet import ENGINE
from daybreak_operator.core.deployment.rollout import blockers
from daybreak_serve.engine import triton
from daybreak_serve.pod import engine as engine_pod
from tests.operator.deployment.world import World, observed_pod


def deployment(role: str) -> dict[str, Any]:
    found = [
        dict(child)
        for child in World().plan().apply
        if child["kind"] == "Deployment" and child["metadata"]["labels"][names.LABEL_ROLE] == role
    ]
    return found[0]


def startup_s(role: str) -> float:
    (container,) = deployment(role)["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])


ENGINE_STARTS_S = startup_s(names.ROLE_ENGINE)
DEPLOYMENT_S = deployment(names.ROLE_ENGINE)["spec"]["progressDeadlineSeconds"]
OWN_S = engine_pod.LOADING_TIMEOUT_S + engine_pod.GOLDEN_TIMEOUT_S
BRINGING_S = engine.BRINGING_S


@pytest.mark.parametrize(
    ("patience_s", "needed_s"),
    [
        pytest.param(ENGINE_STARTS_S, 15 * 60, id="the kubelet gives a large model a quarter of an hour"),
        pytest.param(OWN_S, 15 * 60, id="so does the engine itself"),
        pytest.param(ENGINE_STARTS_S, OWN_S + 30, id="an engine that gives up says why before it is killed"),
        pytest.param(
            DEPLOYMENT_S, BRINGING_S + ENGINE_STARTS_S, id="a Deployment waits for image, model and engine"
        ),
        pytest.param(
            offerings.PLACED_S,
            offerings.UNPLACED_S + BRINGING_S + ENGINE_STARTS_S,
            id="placement waits for all of it before it tries another zone",
        ),
        pytest.param(OWN_S, triton.READY_TIMEOUT_S, id="a pod waits longer than a laptop"),
        pytest.param(
            startup_s(names.ROLE_GATEWAY), 60, id="a gateway has a minute to start, and needs no engine"
        ),
    ],
)
def test_who_waits_waits_long_enough(patience_s: float, needed_s: float) -> None:
    assert patience_s >= needed_s


def test_a_pod_that_has_not_failed_is_no_trouble_however_long_it_loads() -> None:
    loading = {"name": ENGINE, "ready": False, "restartCount": 0, "state": {"running": {}}}
    pods = [observed_pod({"metadata": {"name": "slow"}, "status": {"containerStatuses": [loading]}})]
    assert (blockers.refusal_of(pods), blockers.crash_of(pods), blockers.containers_cannot_start(pods)) == (
        None,
        None,
        None,
    )


def test_readiness_and_liveness_begin_only_once_the_start_is_over() -> None:
    """The kubelet holds both back until the startup probe succeeded; an engine ends by itself when it is broken."""
    (container,) = deployment(names.ROLE_ENGINE)["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["httpGet"] == container["readinessProbe"]["httpGet"]
    assert "livenessProbe" not in container
    served = deployment(names.ROLE_GATEWAY)["spec"]["template"]["spec"]["containers"][0]
    assert served["startupProbe"]["failureThreshold"] == gateway.STARTUP_PROBES
    assert served["startupProbe"]["httpGet"]["path"] == "/livez", "an engine that loads is not waited for"
