"""A run's ``podTemplate`` in the words of Kubeflow Pipelines, which knows no pod template.

Owns what can be said there and what cannot; nothing of a template is left out unsaid. Whether a run may then begin is
decided elsewhere. Source: kubernetes_executor_config.proto and pipeline_spec.proto of kubeflow/pipelines 2.17, and
its driver (backend/src/v2/driver), which reads them; kfp-kubernetes writes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from daybreak_contracts import names

CONTAINER = "pipeline"
"""What a template calls the container of a pipeline's pods."""
WORK_VOLUME = "scratch"
"""What a template calls the volume at ``names.WORK_DIR``."""
OWN_VOLUMES = ("settings",)
QUANTITIES = {"cpu": "Cpu", "memory": "Memory"}


@dataclass
class Translation:
    """What a template comes to; filled while it is read."""

    platform: dict[str, Any] = field(default_factory=dict)
    """Fields of ``KubernetesExecutorConfig``."""
    container: dict[str, Any] = field(default_factory=dict)
    """Fields of ``PipelineContainerSpec``."""
    refused: list[str] = field(default_factory=list)
    """Paths of what Kubeflow cannot be told."""
    neighbours: list[str] = field(default_factory=list)
    """Paths of what names an object in the pods' own namespace."""


def translated(template: Mapping[str, object]) -> Translation:
    """Return all that a ``podTemplate`` says of the pods of pipelines."""
    found = Translation()
    for name, part in _fields(found, template, "", ("metadata", "spec")):
        if name == "metadata":
            _metadata(found, part)
        else:
            _spec(found, part)
    return found


def _fields(found: Translation, part: object, path: str, known: tuple[str, ...]) -> list[tuple[str, object]]:
    """Return the known fields of a mapping; the others, and those that delete something, cannot be told."""
    if not isinstance(part, Mapping):
        found.refused.append(path.removesuffix("."))
        return []
    usable = {name for name, value in part.items() if name in known and value is not None}
    found.refused += [f"{path}{name}" for name in part if name not in usable]
    return [(name, part[name]) for name in part if name in usable]


def _items(found: Translation, part: object, path: str) -> list[Mapping[str, object]]:
    """Return a list's mappings; a directive of a patch cannot be told."""
    if not isinstance(part, list):
        found.refused.append(path)
        return []
    good = [item for item in part if isinstance(item, Mapping) and "$patch" not in item]
    if len(good) < len(part):
        found.refused.append(path)
    return good


def _metadata(found: Translation, part: object) -> None:
    for name, value in _fields(found, part, "metadata.", ("labels", "annotations")):
        if _is_texts(value):
            found.platform.setdefault("podMetadata", {})[name] = dict(value)
        else:
            found.refused.append(f"metadata.{name}")


def _spec(found: Translation, part: object) -> None:
    readers = {
        "nodeSelector": _node_selector,
        "tolerations": _tolerations,
        "affinity": _affinity,
        "imagePullSecrets": _pull_secrets,
        "activeDeadlineSeconds": _deadline,
        "containers": _containers,
    }
    volumes: list[Mapping[str, object]] = []
    for name, value in _fields(found, part, "spec.", (*readers, "serviceAccountName", "volumes")):
        if name == "serviceAccountName":  # of the run as a whole: the API has a field of its own for it
            found.neighbours.append("spec.serviceAccountName")
        elif name == "volumes":
            volumes = _items(found, value, "spec.volumes")
        else:
            readers[name](found, value)
    if isinstance(part, Mapping):
        _volumes(found, part, volumes)


def _node_selector(found: Translation, value: object) -> None:
    if _is_texts(value):
        found.platform["nodeSelector"] = {"labels": dict(value)}
    else:
        found.refused.append("spec.nodeSelector")


def _tolerations(found: Translation, value: object) -> None:
    known = ("key", "operator", "value", "effect", "tolerationSeconds")
    found.platform["tolerations"] = [
        {name: str(said) for name, said in _fields(found, item, f"spec.tolerations[{number}].", known)}
        for number, item in enumerate(_items(found, value, "spec.tolerations"))
    ]


def _affinity(found: Translation, value: object) -> None:
    for _, node in _fields(found, value, "spec.affinity.", ("nodeAffinity",)):
        found.platform["nodeAffinity"] = [{"nodeAffinityJson": {"runtimeValue": {"constant": node}}}]


def _pull_secrets(found: Translation, value: object) -> None:
    found.neighbours.append("spec.imagePullSecrets")
    secrets = [
        str(name)
        for number, item in enumerate(_items(found, value, "spec.imagePullSecrets"))
        for _, name in _fields(found, item, f"spec.imagePullSecrets[{number}].", ("name",))
    ]
    found.platform["imagePullSecret"] = [pull_secret(name) for name in secrets]


def _deadline(found: Translation, value: object) -> None:
    found.platform["activeDeadlineSeconds"] = str(value)


def _containers(found: Translation, value: object) -> None:
    for item in _items(found, value, "spec.containers"):
        name = item.get("name")
        if name == CONTAINER:
            _container(found, item)
        elif item.get("image"):  # one without an image is meant for other pods of the run
            found.refused.append(f"spec.containers[{name}]")


def _container(found: Translation, item: Mapping[str, object]) -> None:
    path = f"spec.containers[{CONTAINER}]."
    known = ("name", "env", "resources", "imagePullPolicy", "volumeMounts")
    for name, value in _fields(found, item, path, known):
        if name == "env":
            _environment(found, value, f"{path}env")
        elif name == "resources":
            _resources(found, value, f"{path}resources.")
        elif name == "imagePullPolicy":
            found.platform["imagePullPolicy"] = value


def _environment(found: Translation, value: object, path: str) -> None:
    for item in _items(found, value, path):
        here = f"{path}[{item.get('name')}]"
        said = dict(_fields(found, item, f"{here}.", ("name", "value", "valueFrom")))
        if "valueFrom" in said:
            _value_from(found, str(said.get("name")), said["valueFrom"], f"{here}.valueFrom.")
        else:
            found.container.setdefault("env", []).append(
                {"name": str(said.get("name")), "value": str(said.get("value", ""))}
            )


def _value_from(found: Translation, variable: str, source: object, path: str) -> None:
    kinds = {"secretKeyRef": "secret", "configMapKeyRef": "configMap"}
    for kind, value in _fields(found, source, path, (*kinds, "fieldRef")):
        if kind == "fieldRef":
            field_path = dict(_fields(found, value, f"{path}fieldRef.", ("fieldPath",))).get("fieldPath")
            entry = {"name": variable, "fieldPath": field_path}
            found.platform.setdefault("fieldPathAsEnv", []).append(entry)
            continue
        found.neighbours.append(f"{path}{kind}")
        said = dict(_fields(found, value, f"{path}{kind}.", ("name", "key", "optional")))
        what = kinds[kind]
        entry = {
            f"{what}Name": said.get("name"),
            **_named(what, said.get("name")),
            "keyToEnv": [{f"{what}Key": said.get("key"), "envVar": variable}],
            "optional": bool(said.get("optional", False)),
        }
        found.platform.setdefault(f"{what}AsEnv", []).append(entry)


def _resources(found: Translation, value: object, path: str) -> None:
    made: dict[str, Any] = {}
    for kind, amounts in _fields(found, value, path, ("limits", "requests")):
        if not isinstance(amounts, Mapping):
            found.refused.append(f"{path}{kind}")
            continue
        for name, amount in amounts.items():
            if name in QUANTITIES:
                made[f"resource{QUANTITIES[name]}{kind.capitalize()[:-1]}"] = str(amount)
            elif kind == "limits" and "/" in name and "accelerator" not in made:
                made["accelerator"] = {"resourceType": name, "resourceCount": str(amount)}
            elif made.get("accelerator", {}).get("resourceType") != name:
                found.refused.append(f"{path}{kind}.{name}")
    if made:
        found.container["resources"] = made


def _volumes(found: Translation, spec: Mapping[str, object], volumes: list[Mapping[str, object]]) -> None:
    """Mount what the container of pipelines mounts; volumes that only other containers mount are not its."""
    path = f"spec.containers[{CONTAINER}].volumeMounts"
    mounts = [
        mount
        for item in _items(found, spec.get("containers") or [], "spec.containers")
        if item.get("name") == CONTAINER
        for mount in _items(found, item.get("volumeMounts") or [], path)
    ]
    known = {str(volume.get("name")): volume for volume in volumes}
    found.refused += [f"spec.volumes[{name}]" for name in OWN_VOLUMES if name in known]
    if WORK_VOLUME in known and all(mount.get("name") != WORK_VOLUME for mount in mounts):
        mounts.append({"name": WORK_VOLUME, "mountPath": names.WORK_DIR})
    for mount in mounts:
        volume = known.get(str(mount.get("name")))
        if volume is None:
            found.refused.append(f"{path}[{mount.get('name')}]")
        else:
            _volume(found, volume, mount, f"{path}[{mount.get('name')}].")


def _volume(found: Translation, volume: Mapping[str, object], mount: Mapping[str, object], path: str) -> None:
    readers = {"persistentVolumeClaim": _claim, "secret": _keys, "configMap": _keys, "emptyDir": _folder}
    here = f"spec.volumes[{volume.get('name')}]."
    for kind, source in _fields(found, volume, here, ("name", *readers)):
        if kind == "name":
            continue
        if kind != "emptyDir":
            found.neighbours.append(f"{here}{kind}")
        known = ("name", "mountPath", "subPath") if kind == "persistentVolumeClaim" else ("name", "mountPath")
        at = dict(_fields(found, mount, path, known))
        readers[kind](found, _Source(kind, source, f"{here}{kind}.", str(volume.get("name"))), at)


@dataclass(frozen=True)
class _Source:
    kind: str
    fields: object
    path: str
    volume: str


def _claim(found: Translation, source: _Source, at: Mapping[str, object]) -> None:
    name = dict(_fields(found, source.fields, source.path, ("claimName",))).get("claimName")
    sub_path = {"subPath": at["subPath"]} if "subPath" in at else {}
    mount = {"constant": name, **_named("pvc", name), "mountPath": at.get("mountPath"), **sub_path}
    found.platform.setdefault("pvcMount", []).append(mount)


def _keys(found: Translation, source: _Source, at: Mapping[str, object]) -> None:
    own = "secretName" if source.kind == "secret" else "name"
    said = dict(_fields(found, source.fields, source.path, (own, "optional")))
    mount = {
        f"{source.kind}Name": said.get(own),
        **_named(source.kind, said.get(own)),
        "mountPath": at.get("mountPath"),
        "optional": bool(said.get("optional", False)),
    }
    found.platform.setdefault(f"{source.kind}AsVolume", []).append(mount)


def _folder(found: Translation, source: _Source, at: Mapping[str, object]) -> None:
    said = dict(_fields(found, source.fields, source.path, ("medium", "sizeLimit")))
    mount = {"volumeName": source.volume, "mountPath": at.get("mountPath"), **said}
    found.platform.setdefault("emptyDirMounts", []).append(mount)


def pull_secret(name: str) -> dict[str, object]:
    """Return an entry of ``imagePullSecret``."""
    return {"secretName": name, **_named("secret", name)}


def _named(what: str, name: object) -> dict[str, object]:
    return {f"{what}NameParameter": {"runtimeValue": {"constant": name}}}


def _is_texts(value: object) -> TypeGuard[Mapping[str, str]]:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())
