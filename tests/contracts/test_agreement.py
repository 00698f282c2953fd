"""``daybreak validate`` and an API server with our CRDs must give the same verdict, rule by rule and for anything."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daybreak_contracts.definitions import crd
from daybreak_contracts.manifests.validate import validate_text
from daybreak_contracts.resources import ModelDeployment, TrainingRun
from daybreak_contracts.resources.run import FROZEN_ONCE_STARTED
from tests.plugins.profiles import examples

Manifest = dict[str, Any]


def minimal_run() -> Manifest:
    return {
        "apiVersion": "daybreak.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "a"},
        "spec": {
            "output": {"uri": "runs/a"},
            "data": {"sources": [{"name": "a", "directory": {"path": "/src"}}]},
            "model": {"size": "1m"},
        },
    }


def minimal_data() -> Manifest:
    run = minimal_run()
    del run["spec"]["model"]
    return run


def minimal_deployment() -> Manifest:
    return {
        "apiVersion": "daybreak.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a"},
        "spec": {
            "model": {"trainingRunRef": {"name": "a"}},
            "pools": [{"name": "a", "accelerator": "cpu", "gpus": 0, "zones": ["a"]}],
        },
    }


def put(manifest: Manifest, path: str, value: Any) -> Manifest:
    """Set ``spec.<path>``; numbers are list positions."""
    changed = copy.deepcopy(manifest)
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    here: Any = changed["spec"]
    for part in above:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
    here[last] = value
    return changed


def said(manifest: Manifest) -> list[str]:
    return [str(problem) for problem in validate_text(json.dumps(manifest).encode(), "m.yaml")]


TABLE = yaml.safe_load((Path(__file__).parent / "rules.yaml").read_text())
BASES = {"run": minimal_run, "data-alone": minimal_data, "deployment": minimal_deployment}


def manifest_of(row: dict[str, Any]) -> Manifest:
    changed = put(BASES[row["of"]](), row["field"], row["value"])
    for field, value in row.get("besides", {}).items():
        changed = put(changed, field, value)
    return changed


@pytest.mark.parametrize("row", TABLE["good"], ids=lambda row: row["id"])
def test_both_take(api_server: Any, row: dict[str, Any]) -> None:
    manifest = manifest_of(row)
    assert said(manifest) == []
    assert api_server.complaints(manifest) == []


@pytest.mark.parametrize("row", TABLE["bad"], ids=lambda row: row["id"])
def test_both_refuse(api_server: Any, row: dict[str, Any]) -> None:
    manifest = manifest_of(row)
    problems = said(manifest)
    assert any(row["sentence"] in problem for problem in problems), problems
    assert api_server.complaints(manifest) != []


@pytest.mark.slow
def test_every_rule_is_broken_by_some_row() -> None:
    """A rule nobody can break, or nobody tried, is no rule."""
    sentences = {problem for row in TABLE["bad"] for problem in said(manifest_of(row))}
    declared = {rule.message for kind in crd.KINDS for model in _models(kind.model) for rule in model.rules}
    unbroken = {message for message in declared if not any(message in sentence for sentence in sentences)}
    assert unbroken == set()


def _models(model: Any) -> set[Any]:
    from daybreak_contracts.manifests.model_tree import part_of

    found = {model}
    for field in model.model_fields.values():
        part, _ = part_of(field.annotation)
        if part is not None and hasattr(part, "rules"):
            found |= _models(part)
    return found


@pytest.mark.parametrize(
    "name", ["first-light.yaml", "own-code.yaml", "team-cluster.yaml", "completions.yaml"]
)
def test_both_take_the_examples(api_server: Any, examples: dict[str, Manifest], name: str) -> None:
    assert said(examples[name]) == []
    assert api_server.complaints(examples[name]) == []


STARTED = {"status": {"startTime": "2026-01-01T00:00:00Z"}}
CHANGES = [
    pytest.param("output.uri", "runs/b", False, id="another output"),
    pytest.param("data.languages", ["go"], False, id="other languages"),
    pytest.param("tokenizer.train.vocabularySize", 1024, False, id="another vocabulary"),
    pytest.param("model.size", "10m", False, id="another size"),
    pytest.param("training.nodes", 2, False, id="more machines"),
    pytest.param("training.image", "x/train:2", False, id="another image"),
    pytest.param("training.podTemplate", {"spec": {"priorityClassName": "x"}}, True, id="other pods"),
    pytest.param("seed", 7, False, id="another seed"),
    pytest.param("suspend", True, True, id="suspended"),
    pytest.param("runPolicy.backoffLimit", 9, True, id="more restarts"),
    pytest.param("evaluation.gates", [{"metric": "a/b", "min": "0.1"}], True, id="a gate"),
    pytest.param("training.nodes", 1, True, id="a default written out"),
]


@pytest.mark.parametrize(("path", "value", "allowed"), CHANGES)
def test_inputs_are_frozen_once_started(api_server: Any, path: str, value: Any, allowed: bool) -> None:
    before = minimal_run() | STARTED
    before["spec"]["tokenizer"] = {"train": {}}
    after = put(before, path, value)
    old, new = TrainingRun.model_validate(before), TrainingRun.model_validate(after)
    assert all(rule.keeps(new, old) for rule in TrainingRun.transitions) == allowed
    assert (api_server.complaints(after, before) == []) == allowed


@pytest.mark.parametrize(("path", "value"), [row.values[:2] for row in CHANGES])
def test_everything_may_change_before_the_start(api_server: Any, path: str, value: Any) -> None:
    before = minimal_run()
    before["spec"]["tokenizer"] = {"train": {}}
    after = put(before, path, value)
    old, new = TrainingRun.model_validate(before), TrainingRun.model_validate(after)
    assert all(rule.keeps(new, old) for rule in TrainingRun.transitions)
    assert api_server.complaints(after, before) == []


def test_every_frozen_field_is_a_field_of_the_spec() -> None:
    assert set(FROZEN_ONCE_STARTED) <= set(TrainingRun.model_fields["spec"].annotation.model_fields)


VALUES = st.sampled_from(
    [None, 0, 1, -1, 2, 64, 100, 2**31, 2**62, 1.5, True, False, "", "a", "A b", "-x", "0.5", "1.5", "-0.5",
     "10", "s3://b/k", "http://h/p", "1m", "HumanEval", "a/b", "None", [], {}, [1], ["a"], [1, 100], [100, 1],
     {"name": "a"}, {"uri": "x"}, [{"name": "a"}], "a" * 64, "x" * 300]
)  # fmt: skip


def locations(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in locations(item, (*path, key)))]


def known_places(schema: dict[str, Any], value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of known fields that the value leaves out, where what is above them is there."""
    found = []
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            found += known_places(below, value[key], (*path, key)) if key in value else [(*path, key)]
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += known_places(schema.get("items", {}), item, (*path, at))
    return found


def mutated(manifest: Manifest, schema: dict[str, Any], index: int, action: str, value: Any) -> Manifest:
    """Change one thing below the spec: the place is the index-th of those there are or could be."""
    changed = copy.deepcopy(manifest)
    absent = [("spec", *place) for place in known_places(schema["properties"]["spec"], changed["spec"])]
    present = [("spec", *place) for place in locations(changed["spec"]) if place]
    places = present + absent
    if not places:
        return changed
    place = places[index % len(places)]
    here: Any = changed
    for part in place[:-1]:
        here = here[part]
    if action == "delete" and place in present:
        del here[place[-1]]
    elif action == "unknown" and isinstance(here, dict) and "podTemplate" not in place:
        here["nobodyKnows"] = value
    elif action == "double" and isinstance(here, list):
        here.append(copy.deepcopy(here[place[-1]]))
    else:
        here[place[-1]] = copy.deepcopy(value)
    return changed


ACTIONS = st.sampled_from(["set", "set", "delete", "unknown", "double"])
CHANGE = st.tuples(st.integers(0, 10_000), ACTIONS, VALUES)
FOLDER = Path(__file__).resolve().parents[2] / "manifests/examples"
EXAMPLES = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}


@pytest.mark.slow
@settings(max_examples=examples(500), deadline=None)
@example(name="data-alone.yaml", changes=[(62, "set", "-x")])
@given(name=st.sampled_from(sorted(EXAMPLES)), changes=st.lists(CHANGE, min_size=1, max_size=3))
def test_both_agree_on_whatever_is_changed(api_server: Any, name: str, changes: list[Any]) -> None:
    manifest = EXAMPLES[name]
    schema = api_server.schema(manifest["kind"])
    for index, action, value in changes:
        manifest = mutated(manifest, schema, index, action, value)
    complaints, problems = api_server.complaints(manifest), said(manifest)
    # That a plan cannot work (more processes than a batch has samples) is arithmetic that CEL does not know, and the
    # two thousand spellings of languages are no list for a CRD: the operator says both of a run that names one. Pod
    # templates are free in a CRD; a runtime that nothing speaks to yet is stalled by the operator.
    beyond = (
        "processes for a global batch",
        "must be a language by linguist's name",
        "podTemplate.",
        "does not speak to",
    )
    of_rules = [problem for problem in problems if not any(words in problem for words in beyond)]
    # A list that says so may break a rule of the CRD's as well: "-x" is no language and no word that may stand there.
    agree = bool(problems) if complaints else not of_rules
    assert agree, (complaints, problems)


@pytest.mark.parametrize("kind", [TrainingRun, ModelDeployment])
def test_models_survive_their_own_json(examples: dict[str, Manifest], kind: Any) -> None:
    for value in examples.values():
        if value["kind"] == kind.__name__:
            model = kind.model_validate(value)
            assert kind.model_validate_json(model.model_dump_json(by_alias=True)) == model
            assert kind.model_validate(model.model_dump(mode="json")) == model
