"""Quotas, LimitRanges and shaped pods on a real control plane: what is admitted, and what is said of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.deployment.status.refusals import refusal_of_pods
from daybreak_operator.core.observed.objects import ObservedDeployment
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.pod_defaults import PodDefaults
from daybreak_operator.settings import Settings
from tests.cluster.reach import Reach, wait_for
from tests.operator.deployment.world import World, a_spec

pytestmark = pytest.mark.slow

SHAPED: dict[str, Any] = {
    "metadata": {"annotations": {"team": "search"}},
    "spec": {
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "topologySpreadConstraints": None,
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
                }
            }
        },
        "volumes": [{"name": "ca", "configMap": {"name": "ca", "optional": True}}],
        "containers": [{"name": "engine", "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}],
    },
}
POOL = {
    "name": "mig",
    "accelerator": "NVIDIA-H100",
    "gpuResource": "nvidia.com/mig-1g.10gb",
    "zones": ["a", "b"],
    "market": "Spot",
    "max": 4,
}


def deployments(namespace: str, **spec: Any) -> list[dict[str, Any]]:
    """The Deployments of engines and gateway that a pass wants, with the installation's defaults all said."""
    defaults = PodDefaults(
        labels={"cost": "ml"},
        env=({"name": "HTTPS_PROXY", "value": "http://proxy:3128"},),
        node_selector={"kubernetes.io/arch": "amd64"},
    )
    world = World(spec=a_spec(pools=[POOL], **spec), settings=Settings(pod_defaults=defaults))
    return [
        {**child, "metadata": {**child["metadata"], "namespace": namespace}}
        for child in world.plan().apply
        if child["kind"] == "Deployment"
    ]


def with_limits(cluster: Reach, *limits: dict[str, Any]) -> str:
    """A namespace with the accounts of the pods and what limits them."""
    namespace = cluster.namespace()
    for account in ("daybreak-pipeline", names.gateway_name("completions")):
        metadata = {"name": account, "namespace": namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    for limit in limits:
        cluster.apply({"apiVersion": "v1", "metadata": {"name": "limit", "namespace": namespace}, **limit})
    return namespace


def stored(cluster: Reach, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Deployments as they stand."""
    found = [cluster.get("deployment", one["metadata"]["name"], one["metadata"]["namespace"]) for one in made]
    return [one for one in found if one is not None]


def refusal(cluster: Reach, made: list[dict[str, Any]]) -> str:
    """What is said of the first one whose pods are refused; empty where none is."""
    parsed = [parse_object(one) for one in stored(cluster, made)]
    finding = refusal_of_pods([one for one in parsed if isinstance(one, ObservedDeployment)], "pods")
    return finding.message if finding is not None else ""


def test_a_quota_on_requests_takes_every_pod_that_we_make(full_cluster: Reach) -> None:
    quota = {"kind": "ResourceQuota", "spec": {"hard": {"requests.cpu": "100", "requests.memory": "500Gi"}}}
    namespace = with_limits(full_cluster, quota)
    made = deployments(namespace, podTemplate=SHAPED, gateway={"podTemplate": {"spec": {"hostname": "gw"}}})
    for child in made:
        full_cluster.apply(child)
    wanted = sum(child["spec"]["replicas"] for child in made)

    def are_made() -> bool:
        return (
            sum((one.get("status") or {}).get("replicas", 0) for one in stored(full_cluster, made)) == wanted
        )

    wait_for("every pod is made", are_made)
    assert refusal(full_cluster, made) == ""


@pytest.mark.parametrize(
    ("limit", "said", "remedy"),
    [
        pytest.param(
            {"kind": "ResourceQuota", "spec": {"hard": {"requests.cpu": "10m"}}},
            "exceeded quota",
            "raise the quota",
            id="a quota that is too small",
        ),
        pytest.param(
            {"kind": "ResourceQuota", "spec": {"hard": {"limits.cpu": "10"}}},
            "must specify",
            "pods.resources",
            id="a quota that wants limits",
        ),
        pytest.param(
            {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}},
            "memory",
            "LimitRange",
            id="a LimitRange",
        ),
    ],
)
def test_what_is_refused_is_told_with_a_remedy(
    full_cluster: Reach, limit: dict[str, Any], said: str, remedy: str
) -> None:
    made = deployments(with_limits(full_cluster, limit))
    for child in made:
        full_cluster.apply(child)
    told = wait_for("the refusal", lambda: refusal(full_cluster, made))
    assert said in told, told
    assert remedy in told.rpartition("; ")[2], told
