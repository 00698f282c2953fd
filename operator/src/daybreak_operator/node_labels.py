"""What nodes are told apart by, as clouds, Karpenter and the GPU operators label them, or as an installation says.

Owns the well-known labels and their values. What placement demands by them is ``core.pod_shape.demands``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from daybreak_contracts import names


class MarketLabel(BaseModel):
    """A label that tells spot and reserved machines from others, with its values for both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    spot: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()


ACCELERATORS: Mapping[str, tuple[str, ...]] = {
    "nvidia.com": (
        names.LABEL_ACCELERATOR,  # GPU feature discovery, once a node is there
        "cloud.google.com/gke-accelerator",
        "karpenter.k8s.aws/instance-gpu-name",
    ),
    "amd.com": ("amd.com/gpu.product-name",),  # the AMD GPU operator's node labeller
    "gpu.intel.com": ("gpu.intel.com/product",),  # NFD's rules of Intel's device plugin
}
MARKETS = (
    MarketLabel(key=names.LABEL_MARKET, spot=("Spot",), reserved=("Reserved",)),
    MarketLabel(key="karpenter.sh/capacity-type", spot=("spot",), reserved=("reserved",)),
    MarketLabel(key="cloud.google.com/gke-spot", spot=("true",)),
    MarketLabel(key="cloud.google.com/gke-provisioning", spot=("spot", "preemptible")),
    MarketLabel(key="kubernetes.azure.com/scalesetpriority", spot=("spot",)),
    MarketLabel(key="eks.amazonaws.com/capacityType", spot=("SPOT",), reserved=("CAPACITY_BLOCK",)),
)


class NodeLabels(BaseModel):
    """The labels that count in an installation."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    zone: str = names.LABEL_NODE_ZONE
    accelerators: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: dict(ACCELERATORS))
    """By the domain of the resource that a pool asks for: a node may carry any of them."""
    markets: tuple[MarketLabel, ...] = MARKETS
    """A node that carries none of their values counts as on-demand."""

    def accelerators_of(self, resource: str) -> tuple[str, ...]:
        """Return the labels that say which accelerator of that resource's maker a node has."""
        return tuple(self.accelerators.get(resource.partition("/")[0], ()))

    @property
    def keys(self) -> frozenset[str]:
        """Return every label that counts."""
        accelerators = [key for keys in self.accelerators.values() for key in keys]
        return frozenset([self.zone, *accelerators, *(one.key for one in self.markets)])
