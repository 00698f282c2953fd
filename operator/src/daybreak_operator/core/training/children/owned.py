"""The objects that a run owns besides its jobs: snapshot, results, arguments, and the right to write results.

Owns their shape. Nothing here decides whether they are wanted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import ObservedObject
from daybreak_operator.core.plan import Json, Object
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.observed import objects

RBAC = "rbac.authorization.k8s.io/v1"
ARGUMENTS_FILE = "args.json"
PARAMETERS_FILE = "parameters.json"
QUEUE_LABEL = names.LABEL_QUEUE
PRIORITY_LABEL = names.LABEL_QUEUE_PRIORITY
QUEUE_LABELS = names.QUEUE_LABELS


def labels(context: RunContext, role: str, stage: str = "", attempt: int = 0) -> dict[str, str]:
    """Return the labels of a child; a pod's are the same."""
    made = {
        names.LABEL_OWNER_KIND: names.KIND_RUN,
        names.LABEL_OWNER: context.name,
        names.LABEL_OWNER_UID: context.uid,
        names.LABEL_ROLE: role,
    }
    if stage:
        made |= {names.LABEL_STAGE: stage, names.LABEL_ATTEMPT: str(attempt)}
    return made


def template_label(context: RunContext) -> dict[str, str]:
    """Return what tells with which ``podTemplate`` a job was made."""
    text = json.dumps(context.run.spec.training.pod_template, sort_keys=True, default=str)
    return {names.LABEL_POD_TEMPLATE: hashlib.sha256(text.encode()).hexdigest()[:16]}


def labels_of_job(context: RunContext) -> dict[str, str]:
    """Return what a run's jobs carry besides the labels of their pods."""
    return queue_labels(context) | template_label(context)


def was_made_by_another_template(context: RunContext, items: Iterable[ObservedObject]) -> bool:
    """Return whether jobs or pods were made with another ``podTemplate`` than today's; older ones do not say."""
    (wanted,) = template_label(context).values()
    return any(item.label(names.LABEL_POD_TEMPLATE) not in ("", wanted) for item in items)


def queue_labels(context: RunContext) -> dict[str, str]:
    """Return Kueue's labels of the run, to be copied to its jobs: a queue admits jobs, not runs."""
    own = objects.mapping(context.observed.run, "labels")
    return {label: str(own[label]) for label in QUEUE_LABELS if own.get(label)}


def queue_marks_of_an_executor(context: RunContext) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels and annotations by which Kueue counts a pod that another pod made; none where no queue is named.

    As Kueue's own page on Spark has it (0.19, Spark by plain pods).
    """
    queue = queue_labels(context)
    if QUEUE_LABEL not in queue:
        return {}, {}
    labels_of = {**queue, "kueue.x-k8s.io/managed": "true"}
    return labels_of, {"kueue.x-k8s.io/pod-suspending-parent": "spark-driver"}


def metadata(context: RunContext, name: str, own_labels: Mapping[str, str]) -> dict[str, Json]:
    """Return a child's metadata; it goes when the run goes."""
    return {
        "name": name,
        "namespace": context.namespace,
        "labels": dict(own_labels),
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND_RUN,
                "name": context.name,
                "uid": context.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def config_map(
    context: RunContext, name: str, own_labels: Mapping[str, str], data: Mapping[str, str]
) -> Object:
    """Return a ConfigMap with data that is the operator's."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(context, name, own_labels),
        "data": dict(data),
    }


def results(context: RunContext, stage: str, attempt: int) -> Object:
    """Return the ConfigMap that a stage's pods patch; it says nothing of ``data``, which is theirs."""
    own = labels(context, names.ROLE_RESULTS, stage, attempt)
    name = names.stage_child(context.name, stage, attempt)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(context, name, own)}


def results_configmap(context: RunContext, stage: str, attempt: int) -> str:
    """Return what a pod's DAYBREAK_RESULTS_CONFIGMAP says."""
    return f"{context.namespace}/{names.stage_child(context.name, stage, attempt)}"


def account(context: RunContext) -> str:
    """Return the service account of the run's pods: the installation's, unless ``podTemplate`` names another."""
    spec = context.run.spec.training.pod_template.get("spec")
    chosen = spec.get("serviceAccountName") if isinstance(spec, Mapping) else None
    if isinstance(chosen, str) and chosen:
        return chosen
    return context.observed.settings.pipeline_service_account


def access(context: RunContext, results_names: Iterable[str], pods_namespace: str) -> tuple[Object, Object]:
    """Return the Role and RoleBinding that let the run's pods write into these ConfigMaps, and nothing else.

    ``pods_namespace`` is where those pods lie: Kubeflow without profiles runs them in its own namespace.
    """
    name = names.access_name(context.name)
    own = labels(context, names.ROLE_ACCESS)
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": sorted(results_names),
        "verbs": ["get", "patch"],
    }
    role = {
        "apiVersion": RBAC,
        "kind": "Role",
        "metadata": metadata(context, name, own),
        "rules": [rule],
    }
    binding = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": metadata(context, name, own),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account(context), "namespace": pods_namespace}],
    }
    return role, binding


def pipelines_policy(context: RunContext) -> Object:
    """Return the policy by which pods of the run's pipelines hear each other alone.

    Spark's driver and executors choose their ports themselves; nobody else has anything to ask of either.
    """
    own = labels(context, names.ROLE_ACCESS)
    roles = {"key": names.LABEL_ROLE, "operator": "In", "values": [names.ROLE_PIPELINE, names.ROLE_EXECUTOR]}
    members = {"matchLabels": {names.LABEL_OWNER: context.name}, "matchExpressions": [roles]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(context, names.pipelines_policy(context.name), own),
        "spec": {
            "podSelector": members,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": members}]}],
        },
    }


def trainers_policy(context: RunContext) -> Object:
    """Return the policy by which trainers hear each other alone, and all of the cluster their progress.

    Whoever reaches the port at which they gather (PyTorch's store and RPC) can run code in them: it asks for no secret.
    """
    own = labels(context, names.ROLE_ACCESS)
    trainers = {"matchLabels": {names.LABEL_OWNER: context.name, names.LABEL_ROLE: names.ROLE_TRAINING}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(context, names.trainers_policy(context.name), own),
        "spec": {
            "podSelector": trainers,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": trainers}]},
                {
                    "from": [{"namespaceSelector": {}}],
                    "ports": [{"protocol": "TCP", "port": names.PORT_TRAINER}],
                },
            ],
        },
    }
