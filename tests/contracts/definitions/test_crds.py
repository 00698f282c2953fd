"""The CRDs against the published rules for structural schemas, and against what was generated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from daybreak_contracts.definitions import crd, json_schema
from daybreak_contracts.definitions.generate import generated_files

ROOT = Path(__file__).resolve().parents[3]
KINDS = pytest.mark.parametrize("kind", ["TrainingRun", "ModelDeployment"])
# https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
ALLOWED = {
    "type", "description", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "maxProperties", "required", "properties", "items",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields", "nullable",
}  # fmt: skip


def root(crds: dict[str, Any], kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = crds[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


@pytest.mark.slow
def test_committed_files_are_what_the_models_generate() -> None:
    differing = [
        str(path) for path, text in generated_files(ROOT).items() if (ROOT / path).read_text() != text
    ]
    assert differing == [], "run `make generate`"


@pytest.mark.slow
def test_nothing_generated_is_left_over() -> None:
    made = {ROOT / path for path in generated_files(ROOT)}
    folders = ["manifests/crds", "manifests/schemas", "charts/daybreak/crds"]
    found = {path for folder in folders for path in (ROOT / folder).iterdir()}
    assert {path for path in found if path.name != "Kustomization"} <= made


@pytest.mark.slow
@KINDS
def test_only_keywords_of_structural_schemas_are_used(crds: dict[str, Any], kind: str) -> None:
    strange = {path: set(node) - ALLOWED for path, node in nodes(root(crds, kind)) if set(node) - ALLOWED}
    assert strange == {}


@pytest.mark.slow
@KINDS
def test_every_node_has_one_type(crds: dict[str, Any], kind: str) -> None:
    types = {"object", "array", "string", "integer", "boolean"}
    assert [path for path, node in nodes(root(crds, kind)) if node.get("type") not in types] == []


@KINDS
def test_keywords_fit_the_type_they_stand_at(crds: dict[str, Any], kind: str) -> None:
    fitting = {
        "object": {"properties", "required", "maxProperties", "x-kubernetes-preserve-unknown-fields"},
        "array": {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
        "string": {"pattern", "minLength", "maxLength", "enum"},
        "integer": {"minimum", "maximum"},
        "boolean": set[str](),
    }
    anywhere = {"type", "description", "default", "nullable", "x-kubernetes-validations"}
    wrong = {
        path: set(node) - fitting[node["type"]] - anywhere
        for path, node in nodes(root(crds, kind))
        if set(node) - fitting[node["type"]] - anywhere
    }
    assert wrong == {}


@KINDS
def test_every_list_and_string_is_bounded(crds: dict[str, Any], kind: str) -> None:
    def bounded(node: dict[str, Any]) -> bool:
        if node["type"] == "array":
            return "maxItems" in node
        if node["type"] == "string":
            return "maxLength" in node or "enum" in node
        return not node.get("x-kubernetes-preserve-unknown-fields") or "maxProperties" in node

    outside_metadata = [
        (path, node) for path, node in nodes(root(crds, kind)) if path not in (".apiVersion", ".kind")
    ]
    assert [path for path, node in outside_metadata if not bounded(node)] == []


@KINDS
def test_keys_of_list_maps_are_required_plain_fields(crds: dict[str, Any], kind: str) -> None:
    maps = [(path, node) for path, node in nodes(root(crds, kind)) if "x-kubernetes-list-map-keys" in node]
    assert maps
    for path, node in maps:
        item = node["items"]
        for key in node["x-kubernetes-list-map-keys"]:
            assert key in item["required"], path
            assert item["properties"][key]["type"] == "string", path


@KINDS
def test_named_lists_are_maps_and_others_are_atomic(crds: dict[str, Any], kind: str) -> None:
    lists = {
        path: node.get("x-kubernetes-list-map-keys")
        for path, node in nodes(root(crds, kind))
        if node["type"] == "array"
    }
    named = {path: keys for path, keys in lists.items() if keys}
    expected = {
        "TrainingRun": {
            ".spec.data.sources": ["name"],
            ".spec.data.decontaminateFiles": ["uri"],
            ".spec.data.filters.languages": ["language"],
            ".spec.evaluation.suites": ["name"],
            ".status.steps": ["name"],
            ".status.metrics": ["name"],
            ".status.conditions": ["type"],
        },
        "ModelDeployment": {
            ".spec.pools": ["name"],
            ".spec.gateway.limits.groups": ["name"],
            ".status.zones": ["pool", "zone"],
            ".status.retired": ["digest"],
            ".status.conditions": ["type"],
        },
    }
    assert named == expected[kind]
    types = {
        node.get("x-kubernetes-list-type")
        for path, node in nodes(root(crds, kind))
        if path in set(lists) - set(named)
    }
    assert types == {"atomic"}


@KINDS
def test_defaults_satisfy_the_schema_they_stand_in(crds: dict[str, Any], kind: str) -> None:
    for path, node in nodes(root(crds, kind)):
        if "default" in node:
            jsonschema.Draft7Validator(node).validate(node["default"])
            assert not path.startswith(".status"), "what the operator left out must not come back"


@KINDS
def test_what_may_be_absent_may_be_null_but_for_what_scale_reads(crds: dict[str, Any], kind: str) -> None:
    """Server-side apply keeps nulls; the scale subresource cannot read one."""
    scale = crds[kind]["spec"]["versions"][0]["subresources"].get("scale", {})
    for path, node in nodes(root(crds, kind)):
        for name, below in node.get("properties", {}).items():
            here = f"{path}.{name}"
            plain = here in {".apiVersion", ".kind", ".metadata", ".metadata.name", *scale.values()}
            settled = name in node.get("required", []) or "default" in below or here.startswith(".status")
            if plain or settled:
                assert not below.get("nullable") or here.startswith(".status"), here
            else:
                assert below.get("nullable"), here


@KINDS
def test_defaults_are_whole(crds: dict[str, Any], kind: str, api_server: Any) -> None:
    """An absent part and the same part with one default written out must end equal, or they count as a change."""
    for path, node in nodes(root(crds, kind)):
        if node["type"] == "object" and "default" in node and not path.endswith(("tokenizer", "objective")):
            assert api_server.defaulted({}, node) == node["default"], path


@KINDS
def test_patterns_mean_the_same_in_re2(crds: dict[str, Any], kind: str) -> None:
    """Go's engine has neither look-around nor back-references, and its classes are ASCII."""
    for path, node in nodes(root(crds, kind)):
        assert not re.search(r"\(\?[=!<]|\\[1-9sSdDwWbB]", node.get("pattern", "")), path


@KINDS
def test_every_field_says_what_it_is_for(crds: dict[str, Any], kind: str) -> None:
    plain = {".apiVersion", ".kind", ".metadata", ".metadata.name", ""}
    silent = [
        path
        for path, node in nodes(root(crds, kind))
        if not node.get("description") and not path.endswith("[]") and path not in plain
    ]
    assert silent == []


@KINDS
def test_root_restricts_nothing_of_metadata_but_the_name(crds: dict[str, Any], kind: str) -> None:
    metadata = root(crds, kind)["properties"]["metadata"]
    assert metadata["type"] == "object"
    assert set(metadata["properties"]) <= {"name", "generateName"}


@KINDS
def test_messages_are_sentences_on_one_line(crds: dict[str, Any], kind: str) -> None:
    rules = [rule for _, node in nodes(root(crds, kind)) for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    for rule in rules:
        assert 10 < len(rule["message"]) < 2048
        assert "\n" not in rule["message"] + rule["rule"]


@KINDS
def test_columns_show_fields_that_exist(crds: dict[str, Any], kind: str) -> None:
    schema = root(crds, kind)
    known = {path for path, _ in nodes(schema)} | {".metadata.creationTimestamp"}
    for column in crds[kind]["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(.*?\)\]", "[]", column["jsonPath"])
        assert path in known, column


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("TrainingRun", ["Step", "Progress", "ETA", "Loss", "Restarts", "Succeeded", "Age"]),
        ("ModelDeployment", ["Model", "Stage", "Weight", "Ready", "Zones", "Cost/h", "Age"]),
    ],
)
def test_columns_of_the_plain_table(crds: dict[str, Any], kind: str, columns: list[str]) -> None:
    found = crds[kind]["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in found if "priority" not in column] == columns


def test_names_and_subresources(crds: dict[str, Any]) -> None:
    run, deployment = crds["TrainingRun"]["spec"], crds["ModelDeployment"]["spec"]
    assert run["names"]["shortNames"] == ["trun"]
    assert deployment["names"]["shortNames"] == ["mdeploy"]
    assert run["names"]["categories"] == deployment["names"]["categories"] == ["daybreak"]
    assert run["versions"][0]["subresources"] == {"status": {}}
    scale = deployment["versions"][0]["subresources"]["scale"]
    known = {path for path, _ in nodes(root(crds, "ModelDeployment"))}
    assert set(scale.values()) <= known
    for kind in ("TrainingRun", "ModelDeployment"):
        kept = crds[kind]["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]
        assert kept == "Prune=false,Delete=false"
    assert crds["TrainingRun"]["metadata"]["name"] == "trainingruns.daybreak.dev"


@pytest.mark.slow
@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_each_stays_under_200_kb_and_has_no_anchors(kind: crd.ResourceKind) -> None:
    text = crd.crd_yaml(kind)
    assert len(text) < 200_000
    assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))


@pytest.mark.slow
@pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.name)
def test_editor_schema_takes_the_examples_and_refuses_a_typing_error(
    kind: crd.ResourceKind, examples: dict[str, Any]
) -> None:
    schema = json_schema.editor_schema(kind.model)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    mine = [value for value in examples.values() if value["kind"] == kind.name]
    assert mine
    for value in mine:
        validator.validate(value)
        assert not validator.is_valid({**value, "spec": {**value["spec"], "tokenzier": {}}})


@pytest.mark.slow
def test_chart_carries_the_crds(crds: dict[str, Any]) -> None:
    chart = yaml.safe_load((ROOT / "charts/daybreak/Chart.yaml").read_text())
    assert chart["apiVersion"] == "v2"
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    copies = [yaml.safe_load(path.read_text()) for path in (ROOT / "charts/daybreak/crds").glob("*.yaml")]
    assert sorted(copy["metadata"]["name"] for copy in copies) == sorted(
        crd["metadata"]["name"] for crd in crds.values()
    )
