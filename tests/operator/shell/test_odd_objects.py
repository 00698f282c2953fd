"""Odd objects on a real API server: pods without their labels, objects too large for etcd, zones that are no names."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.shell.kube import client as kube
from daybreak_operator.shell.kube.answers import RefusedError
from daybreak_operator.shell.watches import marks
from tests.cluster.reach import Reach, wait_for
from tests.operator.deployment.world import World as Serving
from tests.operator.deployment.world import a_spec
from tests.operator.shell.replica import Replica
from tests.operator.shell.test_plays import grown, make, replica
from tests.operator.shell.test_senses import put_pod

pytestmark = [pytest.mark.slow, pytest.mark.needs("programs")]


@pytest.fixture
def namespace(cluster: Reach) -> str:
    return cluster.namespace()


def label(cluster: Reach, namespace: str, *changes: str) -> None:
    cluster.kubectl("label", "pod", "first-pod", "-n", namespace, "--overwrite", *changes)


def labels(cluster: Reach, namespace: str) -> dict[str, str]:
    return dict(
        (cluster.get("pod", "first-pod", namespace) or {"metadata": {}})["metadata"].get("labels") or {}
    )


def pods_of(running: Replica, run: dict[str, Any]) -> list[dict[str, Any]]:
    children = running.operator.store.children_of(run["metadata"]["uid"])
    return [child for child in children.values() if child["kind"] == "Pod"]


def test_a_pods_labels_come_back_and_it_was_never_lost(
    cluster: Reach, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training would begin anew for a label that somebody took off in passing."""
    monkeypatch.setattr(marks, "AGAIN_S", 0.5)
    run = make(cluster, namespace)
    with replica(cluster, namespace) as running:
        grown(cluster, namespace)
        put_pod(cluster, run, "first-pod", "training", status={"phase": "Running"})
        wait_for("the pod", lambda: pods_of(running, run))
        wait_for("it runs", lambda: '"phase": "Running"' in json.dumps(pods_of(running, run)))
        for change in (
            f"{names.LABEL_OWNER_KIND}-",
            f"{names.LABEL_OWNER_UID}=another",
            f"{names.LABEL_OWNER_UID}-",
        ):
            label(cluster, namespace, change)
            wait_for(
                f"back after {change}",
                lambda: (
                    labels(cluster, namespace).get(names.LABEL_OWNER_UID) == run["metadata"]["uid"]
                    and names.LABEL_OWNER_KIND in labels(cluster, namespace)
                ),
                30,
            )
            assert pods_of(running, run)
            time.sleep(0.6)
        cluster.kubectl("delete", "pod", "first-pod", "-n", namespace, "--force", "--grace-period=0")
        wait_for("it is gone", lambda: not pods_of(running, run), 30)


@pytest.mark.parametrize(
    ("megabytes", "said"),
    [pytest.param(1.2, "Too long", id="a ConfigMap"), pytest.param(3.5, "too large", id="a request")],
)
def test_what_is_too_large_is_refused_and_no_outage(
    cluster: Reach, namespace: str, megabytes: float, said: str
) -> None:
    """argo-workflows#2936, #3738: with etcd's own limit (a 500) between the two; our specs do not come near it."""
    client = kube.connect({}, str(cluster.kubeconfig))
    text = "x" * int(megabytes * 1_000_000)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"parameters.json": text}}
    with pytest.raises(RefusedError, match=said):
        client.apply({**config, "metadata": {"name": "large", "namespace": namespace}}, force=True)


@pytest.mark.parametrize("zone", ["PowerKVM", "AZ_1", "eu-1.a", "z" * 63, "dc1-.rack--2"])
def test_engines_of_any_zone_are_taken(cluster: Reach, namespace: str, zone: str) -> None:
    """openshift/installer#4069, cloud-provider-openstack#1379: zones that are labels and no names."""
    client = kube.connect({}, str(cluster.kubeconfig))
    pools = [{"name": "p" * 40, "accelerator": "NVIDIA-A100-SXM4-80GB", "zones": [zone], "max": 2}]
    world = Serving(spec=a_spec(pools=pools))
    world.namespace = namespace
    world.machines = {zone: 2}
    world.look()
    for child in world.plan().apply:
        if child["kind"] == "Deployment":
            made = client.apply(
                {**child, "metadata": {**child["metadata"], "namespace": namespace}}, force=True
            )
            assert made["metadata"]["name"] == child["metadata"]["name"]
