"""No field of a spec is silently ignored: each is read by some code, or the code that would read it is gone.

A name that nobody reads is found; a common one (``name``) that others read too is not: for those the tests of its
room must do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from daybreak_contracts.resources import ModelDeployment, TrainingRun
from tests.architecture.trees import all_nodes

DECLARED = "daybreak_contracts.resources"
FOR_OTHERS = {"Experiment.primaryMetric"}
"""Said for those who analyse an experiment afterwards: the field's own text says that we do not read it."""


def models_of(kind: Any, seen: dict[type[BaseModel], None]) -> Iterator[type[BaseModel]]:
    """Yield every model below a type, each once."""
    for part in get_args(kind):
        yield from models_of(part, seen)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen[kind] = None
        yield kind
        for field in kind.model_fields.values():
            yield from models_of(field.annotation, seen)


def fields_of(resource: type[BaseModel]) -> list[tuple[str, str, str]]:
    """Return each field below a resource's spec: its model, its name in Python, its name in a manifest."""
    spec = resource.model_fields["spec"].annotation
    return [
        (model.__name__, name, field.alias or name)
        for model in models_of(spec, {})
        for name, field in model.model_fields.items()
    ]


@dataclass(frozen=True)
class Said:
    """What code reads: names and texts, and ends of names that are put together (``getattr(x, f"{y}_column")``)."""

    names: frozenset[str]
    ends: tuple[str, ...]

    def holds(self, *names: str) -> bool:
        """Return whether one of the names is read."""
        return bool(self.names & set(names)) or any(name.endswith(self.ends) for name in names)


@cache
def said() -> Said:
    """Every attribute that some code reads, and every text that it looks something up by."""
    found: set[str] = set()
    ends: set[str] = set()
    for name, nodes in all_nodes().items():
        if name.startswith(DECLARED):
            continue
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                ends |= set(end_of(node.args[1]))
    return Said(frozenset(found), tuple(ends))


def end_of(node: ast.AST) -> Iterator[str]:
    last = node.values[-1] if isinstance(node, ast.JoinedStr) else None
    if isinstance(last, ast.Constant):
        yield str(last.value)


FIELDS = sorted({*fields_of(TrainingRun), *fields_of(ModelDeployment)})


def test_the_list_of_fields_is_the_whole_one() -> None:
    assert len(FIELDS) > 100
    assert ("Training", "pod_template", "podTemplate") in FIELDS
    assert ("Executors", "count", "count") in FIELDS


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        pytest.param(name, alias, id=f"{model}.{alias}")
        for model, name, alias in FIELDS
        if f"{model}.{alias}" not in FOR_OTHERS
    ],
)
def test_a_field_of_a_spec_is_read(name: str, manifest: str) -> None:
    assert said().holds(name, manifest), "nobody reads it: say what it does, or take it out"


def test_what_is_said_for_others_is_still_so() -> None:
    found = {f"{model}.{alias}": (name, alias) for model, name, alias in FIELDS}
    assert not [field for field in FOR_OTHERS if said().holds(*found[field])]


def test_a_field_that_nobody_reads_is_found() -> None:
    assert not said().holds("a_field_that_is_not_there", "aFieldThatIsNotThere")
