"""The Kubernetes kinds that the operator touches: where their collections lie in the API.

Owns paths and nothing else; does no I/O. A kind that is not in the table is a bug of a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_operator.core.plan import Object


@dataclass(frozen=True)
class ApiResource:
    """One kind as its API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """Return the path of a collection (all namespaces: None), an object or one of its subresources."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


RUNS = ApiResource(names.API_VERSION, names.KIND_RUN, names.PLURAL_RUN)
DEPLOYMENTS = ApiResource(names.API_VERSION, names.KIND_DEPLOYMENT, names.PLURAL_DEPLOYMENT)
PRIMARIES = (RUNS, DEPLOYMENTS)

PODS = ApiResource("v1", "Pod", "pods")
NODES = ApiResource("v1", "Node", "nodes", namespaced=False)
SECRETS = ApiResource("v1", "Secret", "secrets")
EVENTS = ApiResource("v1", "Event", "events")
LEASES = ApiResource("coordination.k8s.io/v1", "Lease", "leases")
ROUTES = ApiResource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
PYTORCH_JOBS = ApiResource("kubeflow.org/v1", "PyTorchJob", "pytorchjobs")
TRAIN_JOBS = ApiResource("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
TRAINING_RUNTIMES = ApiResource("trainer.kubeflow.org/v1alpha1", "TrainingRuntime", "trainingruntimes")
WORKLOADS = tuple(
    ApiResource(f"kueue.x-k8s.io/{version}", "Workload", "workloads") for version in ("v1beta2", "v1beta1")
)
"""Kueue's, in the versions that a cluster may serve, the newest first."""

CHILDREN = (
    PODS,
    ApiResource("v1", "ConfigMap", "configmaps"),
    ApiResource("v1", "Service", "services"),
    ApiResource("v1", "ServiceAccount", "serviceaccounts"),
    ApiResource("batch/v1", "Job", "jobs"),
    ApiResource("apps/v1", "Deployment", "deployments"),
    ApiResource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ApiResource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ApiResource("rbac.authorization.k8s.io/v1", "Role", "roles"),
    ApiResource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    PYTORCH_JOBS,
    TRAIN_JOBS,
    TRAINING_RUNTIMES,
    ROUTES,
)
"""Kinds whose objects carry ``names.LABEL_OWNER_KIND``: what the operator watches for repair."""
OPTIONAL = (PYTORCH_JOBS, TRAIN_JOBS, TRAINING_RUNTIMES, ROUTES)
"""Those among them that a cluster need not know."""

_BY_KIND = {
    (resource.api_version, resource.kind): resource
    for resource in (*PRIMARIES, *CHILDREN, NODES, SECRETS, EVENTS, LEASES)
}


def plural_in(path: str) -> str:
    """Return the plural of the kind that a path of the API is about."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return rest[0] if rest else ""


def resource_of(api_version: str, kind: str) -> ApiResource:
    """Return the resource of a kind; KeyError for one that the operator doesn't know."""
    return _BY_KIND[api_version, kind]


def resource_for(body: Object) -> ApiResource:
    """Return the resource that an object belongs to."""
    return resource_of(body["apiVersion"], body["kind"])
