"""What pods demand of nodes, against the labels that clouds, Karpenter and GPU operators set; which is unmet."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from daybreak_operator.core.pod_shape.demands import NodeDemand, terms, unmet
from daybreak_operator.node_labels import NodeLabels
from daybreak_operator.shell.watches.nodes import NodeInventory
from tests.cluster.pods import _holds
from tests.operator.deployment.world import World as Serving
from tests.operator.training.world import World as Training
from tests.packaging.render import CHART

LABELS = NodeLabels()
ZONE = "topology.kubernetes.io/zone"
GKE_GPU, KARPENTER_GPU = "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"
CAPACITY_TYPE = "karpenter.sh/capacity-type"
NVIDIA = LABELS.accelerators_of("nvidia.com/gpu")
NODES: dict[str, dict[str, str]] = {
    "GKE on-demand": {
        ZONE: "a",
        GKE_GPU: "nvidia-l4",
        "cloud.google.com/gke-provisioning": "standard",
    },
    "GKE spot": {
        ZONE: "a",
        GKE_GPU: "nvidia-l4",
        "cloud.google.com/gke-spot": "true",
        "cloud.google.com/gke-provisioning": "spot",
    },
    "Karpenter on-demand": {
        ZONE: "a",
        KARPENTER_GPU: "l4",
        CAPACITY_TYPE: "on-demand",
    },
    "Karpenter spot": {
        ZONE: "a",
        KARPENTER_GPU: "l4",
        CAPACITY_TYPE: "spot",
    },
    "Karpenter reserved": {
        ZONE: "a",
        KARPENTER_GPU: "l4",
        CAPACITY_TYPE: "reserved",
    },
    "AKS spot": {
        ZONE: "a",
        "nvidia.com/gpu.product": "Tesla-T4",
        "kubernetes.azure.com/scalesetpriority": "spot",
    },
    "AKS regular": {ZONE: "a", "nvidia.com/gpu.product": "Tesla-T4"},
    "EKS on-demand": {
        ZONE: "a",
        "nvidia.com/gpu.product": "NVIDIA-L4",
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
    },
    "EKS spot": {ZONE: "a", "nvidia.com/gpu.product": "NVIDIA-L4", "eks.amazonaws.com/capacityType": "SPOT"},
    "EKS block": {
        ZONE: "a",
        "nvidia.com/gpu.product": "NVIDIA-L4",
        "eks.amazonaws.com/capacityType": "CAPACITY_BLOCK",
    },
    "bare metal": {ZONE: "a", "nvidia.com/gpu.product": "NVIDIA-L4"},
    "labelled by hand": {ZONE: "a", "nvidia.com/gpu.product": "NVIDIA-L4", "daybreak.dev/market": "Spot"},
    "AMD": {ZONE: "a", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"},
}


def taken(demand: NodeDemand) -> set[str]:
    """The nodes that a scheduler would take."""
    return {
        name
        for name, labels in NODES.items()
        for term in terms(LABELS, demand)
        if all(_holds(one, labels) for one in term["matchExpressions"])  # type: ignore[union-attr]
    }


@pytest.mark.parametrize(
    ("market", "nodes"),
    [
        ("Spot", {"GKE spot", "Karpenter spot", "AKS spot", "EKS spot", "labelled by hand"}),
        ("Reserved", {"Karpenter reserved", "EKS block"}),
        (
            "OnDemand",
            {"GKE on-demand", "Karpenter on-demand", "AKS regular", "EKS on-demand", "bare metal", "AMD"},
        ),
    ],
)
def test_markets_are_read_as_each_cloud_says_them(market: str, nodes: set[str]) -> None:
    assert taken(NodeDemand(("a",), market=market)) == nodes


@pytest.mark.parametrize(
    ("accelerator", "resource", "nodes"),
    [
        ("nvidia-l4", "nvidia.com/gpu", {"GKE on-demand", "GKE spot"}),
        ("l4", "nvidia.com/mig-1g.5gb", {"Karpenter on-demand", "Karpenter spot", "Karpenter reserved"}),
        ("Tesla-T4", "nvidia.com/gpu.shared", {"AKS spot", "AKS regular"}),
        ("AMD_Instinct_MI300X_OAM", "amd.com/gpu", {"AMD"}),
        ("", "nvidia.com/gpu", set(NODES)),
    ],
)
def test_accelerators_are_read_as_each_cloud_says_them(
    accelerator: str, resource: str, nodes: set[str]
) -> None:
    assert taken(NodeDemand(("a",), accelerator, LABELS.accelerators_of(resource))) == nodes


def test_nothing_demanded_is_no_term() -> None:
    assert terms(LABELS, NodeDemand()) == []


def test_the_charts_values_are_the_defaults() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["nodeLabels"]
    assert NodeLabels.model_validate(values) == LABELS


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        pytest.param(NodeDemand(("b",)), f"no node has the label {ZONE}=b; they have {ZONE}=a", id="a zone"),
        pytest.param(
            NodeDemand(("a",), "nvidia-l4", NVIDIA),
            "no node in zone a has the label nvidia.com/gpu.product=nvidia-l4 or "
            "cloud.google.com/gke-accelerator=nvidia-l4 or karpenter.k8s.aws/instance-gpu-name=nvidia-l4; "
            "they have nvidia.com/gpu.product=NVIDIA-L4",
            id="an accelerator spelt otherwise",
        ),
        pytest.param(
            NodeDemand(("a",), "NVIDIA-L4", NVIDIA, "Reserved"),
            "no node in zone a with NVIDIA-L4 has the label daybreak.dev/market=Reserved or "
            "karpenter.sh/capacity-type=reserved or eks.amazonaws.com/capacityType=CAPACITY_BLOCK; "
            "none of them carries any such label",
            id="a market",
        ),
        pytest.param(NodeDemand(("a",), "NVIDIA-L4", NVIDIA, "OnDemand"), None, id="met"),
    ],
)
def test_a_demand_that_no_node_meets_is_named_with_what_there_is(
    demand: NodeDemand, said: str | None
) -> None:
    assert unmet(LABELS, demand, [frozenset(NODES["bare metal"].items())]) == said


def test_where_no_node_is_known_nothing_is_said() -> None:
    assert unmet(LABELS, NodeDemand(("b",)), []) is None


def test_an_inventory_keeps_kinds_and_not_nodes() -> None:
    def node(name: str, **more: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, ZONE: "a", **more}}}

    inventory = NodeInventory(LABELS.keys)
    inventory.replace([node("one"), node("two"), {"metadata": {"name": "bare"}}])
    assert inventory.kinds == {frozenset({(ZONE, "a")}), frozenset()}
    inventory.put(node("three", **{"karpenter.sh/capacity-type": "spot"}))
    assert len(inventory.kinds) == 3
    inventory.drop(node("three"))
    inventory.drop({"metadata": {"name": "bare"}})
    assert inventory.kinds == {frozenset({(ZONE, "a")})}


class TestADeployment:
    @pytest.mark.slow
    def test_says_which_label_no_node_has_and_then_asks_for_a_person(self) -> None:
        world = Serving(node_kinds=frozenset([frozenset(NODES["bare metal"].items())]), machines={})
        world.run(60)
        status, reason = world.condition("CapacityAvailable")
        assert (status, reason) == ("False", "NoNodeHasLabel")
        said = world.message("CapacityAvailable")
        assert "pool l4: no node in zone a has the label nvidia.com/gpu.product=nvidia-l4" in said
        assert "NVIDIA-L4" in said
        assert "nodeLabels" in said
        assert world.condition("Stalled")[0] == "False"
        world.run(1200)
        assert world.condition("Stalled") == ("True", "NoNodeHasLabel")

    @pytest.mark.slow
    def test_says_nothing_while_one_place_can_have_nodes(self) -> None:
        there = {**NODES["bare metal"], "nvidia.com/gpu.product": "nvidia-l4"}
        world = Serving(node_kinds=frozenset([frozenset(there.items())]), machines={})
        world.run(1200)
        assert "NoNodeHasLabel" not in str(world.status["conditions"])

    def test_says_nothing_once_enough_answer(self) -> None:
        world = Serving(node_kinds=frozenset([frozenset(NODES["bare metal"].items())]))
        world.run(120)
        assert world.condition("CapacityAvailable")[0] == "True"


def test_a_run_says_which_label_no_node_has() -> None:
    placement = {"zones": ["a"], "markets": ["Spot"]}
    world = Training({"training": {"placement": placement}})
    world.node_kinds = frozenset([frozenset(NODES["bare metal"].items())])
    world.make_data()
    world.make_pods()
    for pod in world.of_kind("Pod"):
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]
    world.look()
    assert world.condition("CapacityAvailable") == ("False", "NoNodeHasLabel")
    assert "daybreak.dev/market=Spot or karpenter.sh/capacity-type=spot" in world.message("CapacityAvailable")
