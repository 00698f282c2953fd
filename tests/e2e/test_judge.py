"""The judge in real pods, as an ordinary user: which tier it gets, what passes, what it says of other languages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.reach import ROOT, wait_for
from tests.e2e.cluster import NodeCluster
from tests.evaluate.runtimes.plays.shell import PLAY

pytestmark = pytest.mark.slow
IMAGE = "registry.test/daybreak/judge:1"
WITHIN_S = 900.0
UID = 1000


def run(cluster: NodeCluster, profile: str) -> dict[str, Any]:
    """Run the table in a pod under the restricted standard, with this seccomp profile; return what it found."""
    namespace = cluster.namespace()
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["python", "-m", "tests.e2e.judge_in_pod"],
        "workingDir": str(ROOT),
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "seccompProfile": {"type": profile},
    }
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "judge", "namespace": namespace},
            "spec": spec,
        }
    )

    def ended() -> str | None:
        found = cluster.get("pod", "judge", namespace) or {}
        phase = found.get("status", {}).get("phase")
        return phase if phase in ("Succeeded", "Failed") else None

    phase = wait_for("the end of the judge's pod", ended, WITHIN_S)
    text = cluster.kubectl("logs", "judge", "-n", namespace)
    assert phase == "Succeeded", text
    answer: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    print(profile, answer)
    return answer


@pytest.fixture(scope="module", autouse=True)
def image(node_cluster: NodeCluster) -> None:
    node_cluster.add_image(IMAGE)


def assert_no_cheat_passes(found: dict[str, Any]) -> None:
    assert found["user"] == UID
    assert (found["missing"], found["passed"]) == ([], [])
    assert found["honest"] == ["passed"] * len(found["honest"])


def test_under_runtime_default_the_judge_holds_in_the_weak_tier(node_cluster: NodeCluster) -> None:
    found = run(node_cluster, "RuntimeDefault")
    assert_no_cheat_passes(found["judge"])
    assert found["judge"]["level"] == 1
    assert "temporary files" in found["judge"]["tier"]  # a score says what differs by tier
    assert "allow user namespaces" in found["shell"]["refused"]


def test_where_user_namespaces_are_allowed_it_gets_the_strong_tier(node_cluster: NodeCluster) -> None:
    found = run(node_cluster, "Unconfined")
    assert_no_cheat_passes(found["judge"])
    assert found["judge"]["level"] == 2
    assert found["shell"] == {"passed": sorted(PLAY.right)}
