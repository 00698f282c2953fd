"""The pydantic models as CustomResourceDefinitions: structural schemas, columns, subresources.

Owns the translation from JSON schema to what an API server takes; bounds, rules and texts stand in the models.
Structural: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from daybreak_contracts import names
from daybreak_contracts.resources import ModelDeployment, TrainingRun
from daybreak_contracts.resources.fields import OBJECT_NAME_PATTERN, Resource
from daybreak_contracts.resources.metadata import MAX_OBJECT_NAME

LIST_KEYS = "x-daybreak-list-keys"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
VALIDATIONS = "x-kubernetes-validations"
KEPT = (
    "type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "maxProperties", "required", VALIDATIONS,
)  # fmt: skip
"""Keywords that mean the same in both worlds; ``title`` and ``additionalProperties: false`` do not go over."""


@dataclass(frozen=True)
class Column:
    """One column of ``kubectl get``."""

    name: str
    path: str
    """Simple JSONPath."""
    type: str = "string"
    description: str = ""
    wide: bool = False
    """Shown by ``-o wide`` only."""

    def manifest(self) -> dict[str, Any]:
        """Return the column as the CRD writes it."""
        column: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            column["description"] = self.description
        return {**column, "priority": 1} if self.wide else column


@dataclass(frozen=True)
class ResourceKind:
    """What a CRD says beyond its schema."""

    model: type[Resource]
    plural: str
    short: str
    columns: tuple[Column, ...]
    subresources: dict[str, Any] = field(default_factory=lambda: {"status": {}})

    @property
    def name(self) -> str:
        """Name of the kind, as ``TrainingRun``."""
        return self.model.__name__

    @property
    def file_name(self) -> str:
        """Name of the CRD's file, in the form that controller-gen made customary."""
        return f"{names.GROUP}_{self.plural}.yaml"


AGE = Column("Age", ".metadata.creationTimestamp", "date")
RUN = ResourceKind(
    model=TrainingRun,
    plural="trainingruns",
    short="trun",
    columns=(
        Column("Step", ".status.step"),
        Column("Progress", ".status.progressPercent", "integer", "Percent of the whole run."),
        Column("ETA", ".status.estimatedSecondsLeft", "integer", "Seconds left."),
        Column("Loss", '.status.metrics[?(@.name=="loss")].value'),
        Column("Restarts", ".status.restarts", "integer"),
        Column("Succeeded", '.status.conditions[?(@.type=="Succeeded")].status'),
        Column("Reason", '.status.conditions[?(@.type=="Succeeded")].reason', wide=True),
        AGE,
    ),
)
DEPLOYMENT = ResourceKind(
    model=ModelDeployment,
    plural="modeldeployments",
    short="mdeploy",
    columns=(
        Column("Model", ".spec.model.trainingRunRef.name", description="The run that is followed."),
        Column("Stage", ".status.candidate.stage", description="How far the rollout is."),
        Column("Weight", ".status.candidate.weight", "integer", "Percent of users on the candidate."),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Zones", ".status.zonesReady", description="Zones that answer, of all."),
        Column("Cost/h", ".status.costPerHour", description="Price of what runs now."),
        Column("Stable", ".status.stable.digest", wide=True),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
        AGE,
    ),
    subresources={
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
)
KINDS = (RUN, DEPLOYMENT)


NEVER_PRUNED = {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}
"""With a definition go all its objects: nobody's tidying may take it."""


def crd(kind: ResourceKind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}", "annotations": dict(NEVER_PRUNED)},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [names.CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema_of(kind)},
                    "subresources": kind.subresources,
                    "additionalPrinterColumns": [column.manifest() for column in kind.columns],
                }
            ],
        },
    }


def crd_yaml(kind: ResourceKind) -> str:
    """Return the CRD as YAML text, the same for the same models."""
    header = "# Generated from daybreak_contracts.resources by `make generate`; change the models, not this file.\n"
    return header + yaml.dump(crd(kind), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes shared values out instead of anchors, which API servers' clients need not know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _schema_of(kind: ResourceKind) -> dict[str, Any]:
    """Return the schema of a kind. What the scale subresource reads must be a number or absent, never null."""
    schema = root_schema(kind.model)
    for path in kind.subresources.get("scale", {}).values():
        part, name = path.removeprefix(".").split(".")
        schema["properties"][part]["properties"][name].pop("nullable", None)
    return schema


def root_schema(model: type[Resource]) -> dict[str, Any]:
    """Return the structural schema of a whole object."""
    source = model.model_json_schema(by_alias=True)
    schema = structural(source, source.get("$defs", {}))
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        # An API server lets a CRD restrict nothing else of the metadata.
        "metadata": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": MAX_OBJECT_NAME, "pattern": OBJECT_NAME_PATTERN}
            },
        },
    }
    schema["required"] = ["spec"]
    _drop_defaults(schema["properties"]["status"])
    return schema


def _drop_defaults(schema: dict[str, Any]) -> None:
    """The operator writes the whole status: what it left out must not come back from the server."""
    schema.pop("default", None)
    for below in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        _drop_defaults(below)


def structural(source: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema node as a structural one: inlined, one type, no ``anyOf``, ``const`` or ``null``.

    A field that may be absent may be ``null`` too, because server-side apply does not drop nulls; for ``has()`` in a
    rule both are the same.
    """
    node = _resolved(source, definitions)
    schema = {key: node[key] for key in KEPT if key in node}
    if {"type": "null"} in source.get("anyOf", []):
        schema["nullable"] = True
    if "const" in node:
        schema["enum"] = [node["const"]]
    if "properties" in node:
        schema["properties"] = {
            name: structural(value, definitions) for name, value in node["properties"].items()
        }
    if node.get("additionalProperties") is True:
        schema[PRESERVE] = True
    if "items" in node:
        schema |= _list(node["items"], definitions)
    if node.get("default") is not None:
        schema["default"] = _given(node["default"])
    return schema


def _resolved(source: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and take the one alternative of an optional field that is not null."""
    node = dict(source)
    if "anyOf" in node:
        (chosen,) = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        node = {**_resolved(chosen, definitions), **node}
    if "$ref" in node:
        target = definitions[node.pop("$ref").removeprefix("#/$defs/")]
        node = {**_resolved(target, definitions), **node}
    return node


def _list(items: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    keys = _resolved(items, definitions).get(LIST_KEYS)
    kept = {"items": structural(items, definitions)}
    if keys:
        return {**kept, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
    return {**kept, "x-kubernetes-list-type": "atomic"}


def _given(value: Any) -> Any:
    """Leave absent values out of a default. Defaults are written in full: rules see them before those below."""
    if isinstance(value, list):
        return [_given(item) for item in value]
    if isinstance(value, dict):
        return {name: _given(item) for name, item in value.items() if item is not None}
    return value
