"""The objects that serve one model: a Deployment per pool and zone, a headless Service, a disruption budget.

Owns the pod's shape; its commands are ``daybreak_serve.pod``'s (docs/decisions/0007). Decides neither how many nor
which models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import ModelDeploymentSpec, Pool
from daybreak_operator.core.deployment.children import affinity
from daybreak_operator.core.deployment.children.identity import OwnerIdentity
from daybreak_operator.core.deployment.observed.fleet import ENGINE, FETCH
from daybreak_operator.core.deployment.state import EngineRuntime
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.pod_shape.defaults import shaped
from daybreak_operator.settings import Settings, image_pull_secrets

MODELS = "/models"
CURRENT = "/models/current"
KEY_FOLDER = "/etc/daybreak/signature"
KEY_FILE = "public-key.pem"
PORT_ENGINE = names.PORT_ENGINE
PORT_HTTP = names.PORT_ENGINE_HTTP
"""Probes, the model's card and its tokenizer."""
SHARED_MEMORY = "1Gi"
"""Triton's Python backend passes tensors through /dev/shm, where containers have 64 MiB by default."""
GRACE_S = 30
"""Both commands answer on after SIGTERM until gateways and proxies know, and end within 25 s (their own defaults)."""
LOADING_S = 1200
"""From an engine's start to its golden completion; it gives up by itself a little before (``daybreak_serve.pod``)."""
BRINGING_S = 420
"""For the image and the model. With the time until a pod has a node these two are placement's patience with a pod."""
PROBE_S = 2
HARDENED: dict[str, Json] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
RESTRICTED: dict[str, Json] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""What the pod security standard ``restricted`` asks for."""


@dataclass(frozen=True)
class EngineRevision:
    """One model to serve, and what its pods need to know."""

    owner: OwnerIdentity
    spec: ModelDeploymentSpec
    settings: Settings
    digest: str
    """Of the revision: that of its model, with a tag behind it where the model was there on another runtime."""
    uri: str
    runtime: EngineRuntime

    @property
    def short(self) -> str:
        """Return the value of the revision label."""
        return names.short(self.digest)


def engine_deployment(revision: EngineRevision, pool: Pool, zone: str, replicas: int) -> Object:
    """Return the Deployment of one model in one pool and zone."""
    where = {"revision": revision.short, "pool": pool.name, "zone": zone}
    labels = revision.owner.labels(names.ROLE_ENGINE, **where, market=pool.market)
    selector = revision.owner.selector(names.ROLE_ENGINE, **where)
    annotations = {names.ANNOTATION_DIGEST: names.model_of(revision.digest)}
    pod: dict[str, Json] = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": pod_spec(revision, pool, zone, selector),
    }
    template = shaped(pod, revision.settings.pod_defaults, revision.spec.pod_template)
    name = names.engine_name(revision.owner.name, revision.digest, pool.name, zone)
    queued = {**labels, **revision.owner.queue}
    spec: dict[str, Json] = {
        "replicas": replicas,
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": BRINGING_S + LOADING_S,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": selector},
        "template": template,
    }
    return revision.owner.child("apps/v1", "Deployment", name, queued, annotations=annotations, spec=spec)


def pod_spec(revision: EngineRevision, pool: Pool, zone: str, selector: Mapping[str, str]) -> dict[str, Json]:
    """Return the pod: the model is fetched and checked by the first container, nothing opens it before.

    Replicas of one place prefer nodes of their own: one that goes takes one of them.
    """
    return {
        "serviceAccountName": revision.settings.pipeline_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **image_pull_secrets(revision.settings),
        "securityContext": RESTRICTED,
        "terminationGracePeriodSeconds": GRACE_S,
        "affinity": affinity.affinity(revision.settings.node_labels, pool, zone),
        "tolerations": affinity.tolerations(pool),
        "topologySpreadConstraints": [affinity.spread(affinity.LABEL_NODE, selector)],
        "initContainers": [fetch_container(revision)],
        "containers": [engine_container(revision, pool)],
        "volumes": volumes(revision),
    }


def fetch_container(revision: EngineRevision) -> dict[str, Json]:
    """Return the container that brings the model, compares its digest, and its signature where that is required."""
    args = [
        "daybreak_serve.pod",
        "fetch",
        "--uri",
        revision.uri,
        "--digest",
        names.model_of(revision.digest),
        "--into",
        CURRENT,
    ]
    mounts: list[dict[str, Json]] = [
        {"name": "models", "mountPath": MODELS},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    if needs_key(revision):
        args += ["--public-key", f"{KEY_FOLDER}/{KEY_FILE}"]
        mounts.append({"name": "signature", "mountPath": KEY_FOLDER, "readOnly": True})
    return {
        "name": FETCH,
        "image": revision.runtime.image,
        "args": args,
        "volumeMounts": mounts,
        "securityContext": HARDENED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **credentials(revision.settings),
    }


def needs_key(revision: EngineRevision) -> bool:
    """Return whether models must be signed."""
    signature = revision.spec.signature
    return signature.required and signature.public_key_secret_ref is not None


def credentials(settings: Settings) -> dict[str, Json]:
    """Return the environment that reaches object storage; empty where the service account does."""
    if not settings.storage_secret:
        return {}
    return {"envFrom": [{"secretRef": {"name": settings.storage_secret}}]}


def engine_container(revision: EngineRevision, pool: Pool) -> dict[str, Json]:
    """Return the container that serves; it is ready once it answered the golden completion."""
    container: dict[str, Json] = {
        "name": ENGINE,
        "image": revision.runtime.image,
        "args": engine_args(revision),
        "ports": [
            {"name": "grpc", "containerPort": PORT_ENGINE},
            {"name": "http", "containerPort": PORT_HTTP},
        ],
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "startupProbe": probe("http", times=LOADING_S // PROBE_S),
        "readinessProbe": probe("http", times=2),
        "securityContext": HARDENED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if pool.gpus:
        container["resources"] = {"limits": {pool.gpu_resource: str(pool.gpus)}}
    return container


def engine_args(revision: EngineRevision) -> list[str]:
    """Return the engine's command; how many requests it answers at once is its own default unless the spec says."""
    args = ["daybreak_serve.pod", "engine", "--model", CURRENT]
    if revision.runtime.kind != names.RUNTIME_PYTHON:
        args += ["--runtime", revision.runtime.kind]
    slots = revision.runtime.slots
    return args if slots is None else [*args, "--max-concurrency", str(slots)]


def probe(port: str, times: int, path: str = "/readyz") -> dict[str, Json]:
    """Return a probe that fails after so many times."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": PROBE_S,
        "timeoutSeconds": 2,
        "failureThreshold": times,
    }


def volumes(revision: EngineRevision) -> list[dict[str, Json]]:
    """Return the pod's volumes."""
    found: list[dict[str, Json]] = [
        {"name": "models", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
    ]
    key = revision.spec.signature.public_key_secret_ref
    if needs_key(revision) and key is not None:
        items = [{"key": key.key, "path": KEY_FILE}]
        found.append({"name": "signature", "secret": {"secretName": key.name, "items": items}})
    return found


def engine_service(revision: EngineRevision) -> Object:
    """Return the headless Service over one model's pods: its EndpointSlices carry the model's label."""
    name = names.engine_service(revision.owner.name, revision.digest)
    labels = revision.owner.labels(names.ROLE_ENGINE, revision=revision.short)
    spec: dict[str, Json] = {
        "clusterIP": "None",
        "selector": revision.owner.selector(names.ROLE_ENGINE, revision=revision.short),
        "ports": [
            {"name": "grpc", "port": PORT_ENGINE, "targetPort": "grpc"},
            {"name": "http", "port": PORT_HTTP, "targetPort": "http"},
        ],
    }
    return revision.owner.child("v1", "Service", name, labels, spec=spec)


def engine_budget(revision: EngineRevision) -> Object:
    """Return the budget that lets a drained node take one replica of a model at a time."""
    name = names.engine_service(revision.owner.name, revision.digest)
    labels = revision.owner.labels(names.ROLE_ENGINE, revision=revision.short)
    selector = revision.owner.selector(names.ROLE_ENGINE, revision=revision.short)
    return revision.owner.child("policy/v1", "PodDisruptionBudget", name, labels, spec=budget_spec(selector))


def budget_spec(selector: dict[str, str]) -> dict[str, Json]:
    """Return a budget of one pod at a time; pods that do not answer anyway may always go."""
    return {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector},
    }


def engine_policy(owner: OwnerIdentity) -> Object:
    """Return the policy by which only the gateway's pods reach the engines (the kubelet's probes always may)."""
    gateway, ports = (
        {"podSelector": {"matchLabels": owner.selector(names.ROLE_GATEWAY)}},
        (PORT_ENGINE, PORT_HTTP),
    )
    spec: dict[str, Json] = {
        "podSelector": {"matchLabels": owner.selector(names.ROLE_ENGINE)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [gateway], "ports": [{"protocol": "TCP", "port": port} for port in ports]}],
    }
    name, labels = names.engine_policy(owner.name), owner.labels(names.ROLE_ENGINE)
    return owner.child("networking.k8s.io/v1", "NetworkPolicy", name, labels, spec=spec)
