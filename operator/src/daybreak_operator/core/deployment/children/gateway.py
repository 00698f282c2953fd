"""The gateway's objects: Deployment, Service, disruption budget, what it may read, and a route from outside.

Owns their shape. The gateway itself is ``daybreak_serve``'s.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_contracts.resources.access import AccessLimits
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

KEYS_FOLDER, KEYS_FILE = "/etc/daybreak/auth", "keys"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that every namespace has."""
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
        "enableServiceLinks": False,
        **image_pull_secrets(settings),
        "securityContext": RESTRICTED,
        "terminationGracePeriodSeconds": GRACE_S,
        "topologySpreadConstraints": [
            affinity.spread(key, selector) for key in (settings.node_labels.zone, affinity.LABEL_NODE)
        ],
        "containers": [gateway_container(owner, gateway, settings)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *keys_volume(gateway)],
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


def keys_volume(gateway: Gateway) -> list[dict[str, Json]]:
    """Return the API keys, if there are any: a whole folder is mounted, so that the kubelet follows the Secret."""
    if gateway.auth is None or gateway.auth.api_keys_secret_ref is None:
        return []
    ref = gateway.auth.api_keys_secret_ref
    items = [{"key": ref.key, "path": KEYS_FILE}]
    return [{"name": "auth", "secret": {"secretName": ref.name, "items": items}}]


def gateway_args(owner: OwnerIdentity, gateway: Gateway) -> list[str]:
    """Return the gateway's command."""
    args = ["daybreak_serve.pod", "gateway", "--deployment", f"{owner.namespace}/{owner.name}"]
    if keys_volume(gateway):
        args += ["--api-keys", f"{KEYS_FOLDER}/{KEYS_FILE}"]
    if gateway.auth is not None and gateway.auth.jwt is not None:
        args += ["--jwt", gateway.auth.jwt.model_dump_json(by_alias=True)]
    if gateway.limits != AccessLimits():
        args += ["--limits", gateway.limits.model_dump_json(by_alias=True, exclude_none=True)]
    for origin in gateway.allowed_origins:
        args += ["--allow-origin", origin]
    return args


def gateway_container(owner: OwnerIdentity, gateway: Gateway, settings: Settings) -> dict[str, Json]:
    """Return the gateway's container."""
    mounts: list[dict[str, Json]] = [{"name": "tmp", "mountPath": "/tmp"}]
    mounts += [{"name": "auth", "mountPath": KEYS_FOLDER, "readOnly": True} for _ in keys_volume(gateway)]
    return {
        "name": GATEWAY,
        "image": settings.images.serve,
        "args": gateway_args(owner, gateway),
        "ports": [
            {"name": "http", "containerPort": PORT_HTTP},
            {"name": "metrics", "containerPort": PORT_METRICS},
        ],
        "volumeMounts": mounts,
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


def gateway_policy(owner: OwnerIdentity, settings: Settings) -> Object | None:
    """Return the policy by which only pods of the named namespaces, and its other gateways, ask it; None without any.

    Metrics stay open inside the cluster: nobody here knows where Prometheus is.
    """
    if not settings.gateway_clients:
        return None
    names_of = {"key": NAMESPACE_NAME, "operator": "In", "values": list(settings.gateway_clients)}
    selector = {"matchLabels": owner.selector(names.ROLE_GATEWAY)}
    clients: list[Json] = [{"namespaceSelector": {"matchExpressions": [names_of]}}, {"podSelector": selector}]
    spec: dict[str, Json] = {
        "podSelector": selector,
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": clients, "ports": [{"protocol": "TCP", "port": PORT_HTTP}]},
            {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": PORT_METRICS}]},
        ],
    }
    name, labels = names.gateway_name(owner.name), owner.labels(names.ROLE_GATEWAY)
    return owner.child("networking.k8s.io/v1", "NetworkPolicy", name, labels, spec=spec)


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
