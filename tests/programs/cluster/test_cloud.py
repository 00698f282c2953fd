"""The small cloud on a full cluster: machines come in the zone that is named, none in a stock-out, spot ones go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from daybreak_contracts import names
from tests.cluster.cloud import NOTICE_TAINT, RECLAIM_AT, Cloud
from tests.cluster.cloud_model import Change, Offering, Rules
from tests.cluster.reach import Reach, wait_for

pytestmark = pytest.mark.slow

# Zones in which nobody else has nodes, and a taint that nobody else puts up with: a session's tests share one cluster,
# and a pod of another test that waits anywhere would lie down on a machine that is to be empty.
TAINT = "cluster.test/small-cloud"
OFFERINGS = [
    Offering(zone, accelerator="nvidia-l4", market=market, price_per_hour=price, taints=(TAINT,))
    for zone in ("cloud-a", "cloud-b")
    for market, price in (("Spot", 0.35), ("OnDemand", 0.98))
]
PLENTY = [Change(0, zone, market, 3) for zone in ("cloud-a", "cloud-b") for market in ("Spot", "OnDemand")]


@pytest.fixture
def namespace(full_cluster: Reach) -> Iterator[str]:
    """A namespace whose pods are gone before the next test."""
    name = full_cluster.namespace()
    yield name
    full_cluster.kubectl("delete", "deployments,pods", "--all", "-n", name, "--wait=false")


def expression(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}


def template(zone: str, market: str) -> dict[str, Any]:
    """A pod of one card that names zone, market and accelerator."""
    wanted = [
        expression(names.LABEL_NODE_ZONE, zone),
        expression(names.LABEL_MARKET, market),
        expression(names.LABEL_ACCELERATOR, "nvidia-l4"),
    ]
    terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
    resources = {"limits": {names.RESOURCE_GPU: "1"}}
    return {
        "containers": [{"name": "main", "image": "daybreak", "resources": resources}],
        "tolerations": [{"key": TAINT, "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
    }


def pod(namespace: str, name: str, zone: str, market: str = "Spot") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template(zone, market)}


def phase(cluster: Reach, namespace: str, name: str) -> str | None:
    found = cluster.get("pod", name, namespace)
    return found["status"]["phase"] if found else None


def events(cluster: Reach, namespace: str, name: str, reason: str) -> list[str]:
    chosen = f"involvedObject.name={name},reason={reason}"
    text = cluster.kubectl("get", "events", "-n", namespace, "--field-selector", chosen, "-o", "json")
    return [item["message"] for item in json.loads(text)["items"]]


def node_under(cluster: Reach, namespace: str, name: str) -> dict[str, Any]:
    found = cluster.get("pod", name, namespace)
    assert found is not None
    node = cluster.get("node", found["spec"]["nodeName"])
    assert node is not None
    return node


def test_a_waiting_pod_gets_a_machine_where_it_wants_one(full_cluster: Reach, namespace: str) -> None:
    with Cloud(full_cluster, OFFERINGS, PLENTY) as cloud:
        full_cluster.apply(pod(namespace, "here", "cloud-b"))
        wait_for("Running", lambda: phase(full_cluster, namespace, "here") == "Running")
        labels = node_under(full_cluster, namespace, "here")["metadata"]["labels"]
        assert (labels[names.LABEL_NODE_ZONE], labels[names.LABEL_MARKET]) == ("cloud-b", "Spot")
        assert len(cloud.machines()) == 1
        assert cloud.cost() > 0
        assert events(full_cluster, namespace, "here", "TriggeredScaleUp")


def test_a_stock_out_brings_none_until_it_is_over(full_cluster: Reach, namespace: str) -> None:
    with Cloud(full_cluster, OFFERINGS, PLENTY) as cloud:
        cloud.set_capacity("cloud-a", "Spot", 0)
        full_cluster.apply(pod(namespace, "waits", "cloud-a"))
        (message,) = wait_for("refusal", lambda: events(full_cluster, namespace, "waits", "FailedScaleUp"))
        assert message == "out of capacity: cloud-a nvidia-l4 Spot"
        assert phase(full_cluster, namespace, "waits") == "Pending"
        assert cloud.machines() == []
        cloud.set_capacity("cloud-a", "Spot", 1)
        wait_for("Running", lambda: phase(full_cluster, namespace, "waits") == "Running")


def test_a_spot_machine_is_reclaimed_with_notice_and_replaced(full_cluster: Reach, namespace: str) -> None:
    labels = {"app": "spot"}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": template("cloud-a", "Spot")},
    }
    metadata = {"name": "d", "namespace": namespace}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    seconds = [0.0]
    rules = Rules(boot_s=0, notice_s=30, idle_s=600)
    with Cloud(full_cluster, OFFERINGS, PLENTY, rules, clock=lambda: seconds[0]) as cloud:
        full_cluster.apply(deployment)
        first = wait_for("a Running pod", lambda: running(full_cluster, namespace))[0]
        name = first["spec"]["nodeName"]
        cloud.reclaim(name)
        node = full_cluster.get("node", name)
        assert node is not None
        assert NOTICE_TAINT in [taint["key"] for taint in node["spec"]["taints"]]
        assert RECLAIM_AT in node["metadata"]["annotations"]
        assert phase(full_cluster, namespace, first["metadata"]["name"]) == "Running"
        seconds[0] = 30.0
        wait_for("the node's end", lambda: full_cluster.get("node", name) is None)
        ended = full_cluster.get("pod", first["metadata"]["name"], namespace)
        if ended is not None:  # the pod collector may have been here
            reasons = {item["type"]: item.get("reason") for item in ended["status"]["conditions"]}
            assert reasons["DisruptionTarget"] == "TerminationByKubelet"
        again = wait_for("another Running pod", lambda: running(full_cluster, namespace))[0]
        assert again["spec"]["nodeName"] != name
        assert cloud.counts()["Remove"] == 1


def running(cluster: Reach, namespace: str) -> list[dict[str, Any]]:
    text = cluster.kubectl(
        "get", "pods", "-n", namespace, "--field-selector", "status.phase=Running", "-o", "json"
    )
    found: list[dict[str, Any]] = json.loads(text)["items"]
    return found


def test_an_idle_machine_goes(full_cluster: Reach, namespace: str) -> None:
    with Cloud(full_cluster, OFFERINGS, PLENTY, Rules(idle_s=1)) as cloud:
        full_cluster.apply(pod(namespace, "short", "cloud-a", "OnDemand"))
        wait_for("Running", lambda: phase(full_cluster, namespace, "short") == "Running")
        name = node_under(full_cluster, namespace, "short")["metadata"]["name"]
        full_cluster.kubectl("delete", "pod", "short", "-n", namespace)
        wait_for("the node's end", lambda: full_cluster.get("node", name) is None)
        assert cloud.machines() == []


def test_a_trace_takes_spot_machines_back(full_cluster: Reach, namespace: str) -> None:
    """A zone has one machine for 20 minutes and then none; the test says how late it is."""
    trace = [Change(0, "cloud-a", "Spot", 1), Change(1200, "cloud-a", "Spot", 0)]
    minutes = [0]
    rules = Rules(boot_s=0, notice_s=120, idle_s=600)
    with Cloud(full_cluster, OFFERINGS, trace, rules, clock=lambda: minutes[0] * 60.0) as cloud:
        full_cluster.apply(pod(namespace, "brief", "cloud-a"))
        wait_for("Running", lambda: phase(full_cluster, namespace, "brief") == "Running")
        minutes[0] = 21
        wait_for("notice", lambda: cloud.counts().get("Notice"))
        assert phase(full_cluster, namespace, "brief") == "Running"
        minutes[0] = 24
        wait_for("the end of the pod", lambda: phase(full_cluster, namespace, "brief") in ("Failed", None))
        wait_for("the removal", lambda: cloud.counts().get("Remove"))
        # Pods that others left waiting are refused, and no business of this test.
        assert cloud.counts(namespace) == {"Launch": 1, "Notice": 1, "Remove": 1}
        assert cloud.cost() == pytest.approx(0.35 * 24 / 60)


def test_a_restart_of_the_api_server_does_not_end_the_cloud(full_cluster: Reach, namespace: str) -> None:
    with Cloud(full_cluster, OFFERINGS, PLENTY):
        full_cluster.restart_apiserver()
        full_cluster.apply(pod(namespace, "after", "cloud-b", "OnDemand"))
        wait_for("Running", lambda: phase(full_cluster, namespace, "after") == "Running")
