"""An installation's defaults in a pod, below what its object's ``podTemplate`` says.

Owns the order: what the operator needs, the installation's defaults, the object's own patch. A resource that the patch
names in any way is the patch's: a default request above its limit would be refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_operator.core.parts import items, part
from daybreak_operator.core.plan import Json
from daybreak_operator.core.pod_shape.patch import (
    CONTAINERS,
    DIRECTIVE,
    Part,
    merge,
    patched_pod,
)
from daybreak_operator.pod_defaults import ContainerResources, PodDefaults

CERTIFICATES = "trusted-certificates"
CERTIFICATES_FOLDER = "/etc/daybreak-certificates"
CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
"""Where OpenSSL (Python, pyarrow), requests, curl, botocore and git look for the certificates that they trust."""
FIXED_IDS = ("runAsUser", "runAsGroup", "fsGroup")


def shaped(pod: Part, defaults: PodDefaults, template: Part) -> dict[str, Json]:
    """Return a pod template (``metadata``, ``spec``) with the installation's defaults and an object's patch."""
    spec = part(pod, "spec")
    names = {field: [str(item.get("name")) for item in items(spec, field)] for field in CONTAINERS}
    own = pod if defaults.fixed_user_ids else {**pod, "spec": _without_ids(spec)}
    return _with_resources(patched_pod(own, _patch(defaults, names), template), defaults)


def for_others(defaults: PodDefaults, template: Part, container: str) -> dict[str, Json]:
    """Return an object's patch with the defaults below it, for pods that another program makes.

    Without what Kubeflow Pipelines cannot be told: classes of priority and of runtimes.
    """
    told = defaults.model_copy(update={"priority_class_name": "", "runtime_class_name": ""})
    below = _patch(told, {"containers": [container]})
    merged = merge(below, template)
    taints = part(template, "spec").get("tolerations")
    if isinstance(taints, list):
        merged["spec"]["tolerations"] = [*map(dict, defaults.tolerations), *taints]
    return _with_resources(merged, defaults)


def _without_ids(spec: Part) -> dict[str, object]:
    """Return the pod's spec without fixed ids: an admission plug-in gives those of the namespace."""
    context = part(spec, "securityContext")
    return {**spec, "securityContext": {name: context[name] for name in context if name not in FIXED_IDS}}


def _patch(defaults: PodDefaults, names: Mapping[str, list[str]]) -> dict[str, object]:
    """Return the defaults as a patch for a pod with these containers, but for their resources."""
    certificates = defaults.certificates
    env = [dict(item) for item in defaults.env]
    mounts: list[dict[str, object]] = []
    volumes: list[dict[str, object]] = []
    if certificates.config_map:
        file = f"{CERTIFICATES_FOLDER}/{certificates.key}"
        env += [{"name": name, "value": file} for name in CERTIFICATE_VARIABLES]
        mounts = [{"name": CERTIFICATES, "mountPath": CERTIFICATES_FOLDER, "readOnly": True}]
        volumes = [{"name": CERTIFICATES, "configMap": {"name": certificates.config_map}}]
    more = _said({"env": env, "volumeMounts": mounts})
    spec = {
        **{field: [{"name": name, **more} for name in found] for field, found in names.items()},
        "volumes": volumes,
        "nodeSelector": dict(defaults.node_selector),
        "tolerations": [dict(item) for item in defaults.tolerations],
        "priorityClassName": defaults.priority_class_name,
        "runtimeClassName": defaults.runtime_class_name,
    }
    metadata = {"labels": dict(defaults.labels), "annotations": dict(defaults.annotations)}
    return {"metadata": _said(metadata), "spec": _said(spec)}


def _said(fields: Part) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}


def _with_resources(pod: dict[str, Json], defaults: PodDefaults) -> dict[str, Json]:
    """Return the pod with what its containers ask for where nobody said it."""
    spec = part(pod, "spec")
    made = {
        field: [_asking(item, defaults.resources) for item in found]
        for field in CONTAINERS
        if isinstance(found := spec.get(field), list)
    }
    return merge(pod, {"spec": {DIRECTIVE: "replace", **spec, **made}}) if made else pod


def _asking(container: object, known: Mapping[str, ContainerResources]) -> object:
    if not isinstance(container, Mapping):
        return container
    defaults, resources = known.get(str(container.get("name"))), part(container, "resources")
    if defaults is None:
        return container
    said = {name for kind in ("requests", "limits") for name in part(resources, kind)}
    filled = dict(resources)
    for kind, amounts in (("requests", defaults.requests), ("limits", defaults.limits)):
        more = {name: str(amount) for name, amount in amounts.items() if name not in said}
        if more:
            filled[kind] = {**more, **part(resources, kind)}
    return {**container, "resources": filled} if filled else dict(container)
