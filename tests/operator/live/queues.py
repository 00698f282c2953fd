"""What a cluster's administrator makes of Kueue's kinds for one namespace: a flavor, a queue with quotas, priorities.

Owns the objects as `kueue.x-k8s.io/v1beta2` has them; Kueue itself is `tests/cluster/managers.py`'s.
"""

from __future__ import annotations

from typing import Any

from daybreak_contracts import names
from tests.cluster.reach import Reach

API_VERSION = "kueue.x-k8s.io/v1beta2"
QUEUE, PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
PLENTY = {"cpu": "1k", "memory": "1Pi"}
"""Of what pods ask for besides GPUs."""


class Queues:
    """A flavor, a ClusterQueue and LocalQueues of one namespace."""

    def __init__(self, cluster: Reach, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self._spec: dict[str, Any] = {}

    def flavor(self) -> None:
        """Say which nodes the quota is of."""
        self._make("ResourceFlavor", self.namespace, {"nodeLabels": {names.LABEL_NODE_ZONE: "live-a"}})

    def give(self, gpus: int, **more: str) -> None:
        """Make the queue, or say anew how much of what it has."""
        resources = {**PLENTY, **more, names.RESOURCE_GPU: str(gpus)}
        quotas = [{"name": name, "nominalQuota": amount} for name, amount in resources.items()]
        flavors = [{"name": self.namespace, "resources": quotas}]
        self._spec = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "resourceGroups": [{"coveredResources": list(resources), "flavors": flavors}],
            "preemption": {"withinClusterQueue": "LowerPriority"},
        }
        self._make("ClusterQueue", self.namespace, self._spec)

    def stop(self, policy: str) -> None:
        """Hold the queue (`Hold`, `HoldAndDrain`), or let it go on (`None`)."""
        self._make("ClusterQueue", self.namespace, {**self._spec, "stopPolicy": policy})

    def open(self, name: str = "gpus") -> None:
        """Let the namespace use it."""
        self._make("LocalQueue", name, {"clusterQueue": self.namespace}, self.namespace)

    def priority(self, name: str, value: int) -> None:
        """Make a priority class of Kueue's."""
        thing = {"apiVersion": API_VERSION, "kind": "WorkloadPriorityClass", "metadata": {"name": name}}
        self.cluster.apply({**thing, "value": value})

    def close(self) -> None:
        """Take away what lies in no namespace."""
        self.cluster.kubectl(
            "delete", "clusterqueue,resourceflavor", self.namespace, "--ignore-not-found", "--wait=false"
        )

    def _make(self, kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> None:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        self.cluster.apply({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
