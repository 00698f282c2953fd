"""The gateway's objects: Deployment, Service, disruption budget, what it may read, and a route from outside.

Owns their shape. The gateway itself is ``daybreak_serve``'s.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import Gateway
from daybreak_operator.core.deployment.children import affinity
from daybreak_operator.core.deployment.children.engine import (
    GRACE_S,
    HARDENED,
    RESTRICTED,
    budget_spec,
    probe,
)
from daybreak_operator.core.deployment.children.identity import OwnerIdentity
from daybreak_operator.core.deployment.observed.fleet import GATEWAY
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.pod_shape.defaults import shaped
from daybreak_operator.settings import Settings, image_pull_secrets

PORT = 80
PORT_HTTP = names.PORT_GATEWAY
PORT_METRICS = names.PORT_GATEWAY_METRICS
MAY_MOVE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
"""A gateway keeps nothing in its folder of temporary files: the cluster autoscaler may empty its node all the same."""
STARTUP_PROBES = 60
"""Two minutes for an interpreter on a busy node."""


def gateway_children(owner: OwnerIdentity, gateway: Gateway, settings: Settings) -> list[Object]:
    """Return everything the gateway needs inside the cluster."""
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    budget = budget_spec(owner.selector(names.ROLE_GATEWAY))
    return [
        owner.child("v1", "ServiceAccount", name, labels),
        gateway_role(owner),
        gateway_role_binding(owner),
        gateway_service(owner),
        owner.child("policy/v1", "PodDisruptionBudget", name, labels, spec=budget),
        gateway_deployment(owner, gateway, settings),
    ]


def gateway_deployment(owner: OwnerIdentity, gateway: Gateway, settings: Settings) -> Object:
    """Return the gateway's Deployment, spread over zones and nodes where there are several."""
    labels, selector = owner.labels(names.ROLE_GATEWAY), owner.selector(names.ROLE_GATEWAY)
    pod: dict[str, Json] = {
        "serviceAccountName": names.gateway_name(owner.name),
        **image_pull_secrets(settings),
        "securityContext": RESTRICTED,
        "terminationGracePeriodSeconds": GRACE_S,
        "topologySpreadConstraints": [
            affinity.spread(key, selector) for key in (settings.node_labels.zone, affinity.LABEL_NODE)
        ],
        "containers": [gateway_container(owner, settings)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    metadata = {"labels": labels, "annotations": dict(MAY_MOVE)}
    template = shaped({"metadata": metadata, "spec": pod}, settings.pod_defaults, gateway.pod_template)
    spec: dict[str, Json] = {
        "replicas": gateway.replicas,
        "revisionHistoryLimit": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": selector},
        "template": template,
    }
    return owner.child("apps/v1", "Deployment", names.gateway_name(owner.name), labels, spec=spec)


def gateway_container(owner: OwnerIdentity, settings: Settings) -> dict[str, Json]:
    """Return the gateway's container."""
    return {
        "name": GATEWAY,
        "image": settings.images.serve,
        "args": ["daybreak_serve.pod", "gateway", "--deployment", f"{owner.namespace}/{owner.name}"],
        "ports": [
            {"name": "http", "containerPort": PORT_HTTP},
            {"name": "metrics", "containerPort": PORT_METRICS},
        ],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "startupProbe": probe("http", times=STARTUP_PROBES, path="/livez"),
        "readinessProbe": probe("http", times=2),
        "livenessProbe": probe("http", times=5, path="/livez"),
        "securityContext": HARDENED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def gateway_service(owner: OwnerIdentity) -> Object:
    """Return the Service that editors reach."""
    spec: dict[str, Json] = {
        "selector": owner.selector(names.ROLE_GATEWAY),
        "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
    }
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    return owner.child("v1", "Service", name, labels, spec=spec)


def gateway_role(owner: OwnerIdentity) -> Object:
    """Return what the gateway may read: this one ModelDeployment, and where pods answer."""
    rules = [
        {
            "apiGroups": [names.GROUP],
            "resources": [names.PLURAL_DEPLOYMENT],
            "resourceNames": [owner.name],
            "verbs": ["get", "list", "watch"],
        },
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    return owner.child("rbac.authorization.k8s.io/v1", "Role", name, labels, rules=rules)


def gateway_role_binding(owner: OwnerIdentity) -> Object:
    """Return the binding of that role to the gateway's service account."""
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    return owner.child(
        "rbac.authorization.k8s.io/v1", "RoleBinding", name, labels, roleRef=role, subjects=subjects
    )


def gateway_route(owner: OwnerIdentity, annotations: dict[str, str]) -> Object | None:
    """Return the HTTPRoute from the Gateway that the deployment's annotation names; None without one."""
    named = annotations.get(names.ANNOTATION_GATEWAY, "").strip()
    if not named:
        return None
    namespace, _, gateway = named.rpartition("/")
    parent = {"name": gateway, "namespace": namespace or owner.namespace}
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    spec: dict[str, Json] = {
        "parentRefs": [parent],
        "rules": [{"backendRefs": [{"name": name, "port": PORT}]}],
    }
    hosts = [
        host.strip() for host in annotations.get(names.ANNOTATION_HOSTNAMES, "").split(",") if host.strip()
    ]
    if hosts:
        spec["hostnames"] = hosts
    return owner.child("gateway.networking.k8s.io/v1", "HTTPRoute", name, labels, spec=spec)


def url_of(owner: OwnerIdentity, settings: Settings) -> str:
    """Return the gateway's address inside the cluster."""
    return f"http://{names.gateway_name(owner.name)}.{owner.namespace}.svc.{settings.cluster_domain}"
