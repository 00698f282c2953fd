"""A default stands in one place: with the resource's field, or (ports) in ``names``; who needs it asks there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from daybreak_contracts import names
from daybreak_contracts.manifests.model_tree import part_of
from daybreak_contracts.resources import ModelDeployment, TrainingRun

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("components/*/src", "operator/src", "pipelines/src")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if "daybreak_contracts/resources" not in str(path)
)
TELL_NOTHING = (None, True, False, "", 0, 1, "0", "1")
"""Too common to be somebody's choice."""
OTHERS = {
    "daybreak_evaluate/suites/held_out_completion.py max_new_tokens",  # a score's bound stays when the gateway's moves
    "daybreak_serve/engine/repository.py kind",  # what it can build, not what a deployment asks for
}
"""The same name and value, but another thing."""
PORTS = {value for name, value in vars(names).items() if name.startswith("PORT_")}
Found = tuple[str, Any]


def defaults_of(kind: type[BaseModel]) -> Iterator[Found]:
    """Yield name and default of every field below a resource that has one of its own."""
    for name, field in kind.model_fields.items():
        part, _ = part_of(field.annotation)
        if part is not None:
            yield from defaults_of(part)
        elif isinstance(field.default, int | float | str) and field.default not in TELL_NOTHING:
            yield name, field.default


DEFAULTS = {*defaults_of(TrainingRun), *defaults_of(ModelDeployment)}


def said(tree: ast.AST) -> Iterator[Found]:
    """Yield every literal that is given to a name: assignments, parameters' defaults, keywords, options' defaults."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            names_of = [name for target in targets for name in _names(target)]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(names_of)
            yield from (found for pair in zip(names_of, values, strict=False) for found in _literal(*pair))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            positional = [*node.args.posonlyargs, *node.args.args]
            ends = zip(positional[::-1], node.args.defaults[::-1], strict=False)
            for arg, value in [*ends, *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]:
                yield from _literal(arg.arg, value)
        elif isinstance(node, ast.Call):
            option = node.args[0] if node.args else None
            for keyword in node.keywords:
                name = keyword.arg or ""
                if name == "default" and isinstance(option, ast.Constant):
                    name = str(option.value).lstrip("-").replace("-", "_")
                yield from _literal(name, keyword.value)


def _names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple):
        yield from (part.id for part in target.elts if isinstance(part, ast.Name))


def _literal(name: str, value: ast.expr | None) -> Iterator[Found]:
    """Yield a literal, also that of ``Field(default=...)``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Field":
        value = next((word.value for word in value.keywords if word.arg == "default"), None)
    if isinstance(value, ast.Constant):
        yield name.lower().removeprefix("default_").lstrip("_"), value.value


def repeated(tree: ast.AST) -> set[str]:
    """Return the names whose literal is a resource's default already."""
    return {name for name, value in said(tree) if (name, value) in DEFAULTS and type(value) is not bool}


def ports(tree: ast.AST) -> set[str]:
    """Return the names that are given the number of one of our ports."""
    return {
        name
        for name, value in said(tree)
        if re.search(r"(^|_)port(_|$)", name)
        and type(value) in (int, str)
        and value in PORTS | set(map(str, PORTS))
    }


def short(path: Path) -> str:
    return str(path.relative_to(ROOT)).partition("/src/")[2]


@pytest.mark.slow
def test_no_default_of_a_resource_is_said_again() -> None:
    found = {f"{short(path)} {name}" for path in SOURCES for name in repeated(ast.parse(path.read_text()))}
    assert found - OTHERS == set(), "take it from the resource: Training().context_length"
    assert OTHERS - found == set(), "is said no more: take it out of the list"


@pytest.mark.slow
def test_a_port_is_said_in_names_only() -> None:
    found = {
        f"{short(path)} {name}"
        for path in SOURCES
        if short(path) != "daybreak_contracts/names.py"
        for name in ports(ast.parse(path.read_text()))
    }
    assert found == set(), "put it into daybreak_contracts.names"


def values(node: Any) -> Iterator[Found]:
    """Yield name and value of every plain value of the chart."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield from values(value)
        yield to_snake(str(key)), value


def test_the_chart_says_no_default_of_a_resource() -> None:
    chart = yaml.safe_load((ROOT / "charts/daybreak/values.yaml").read_text())
    plain = [(name, value) for name, value in values(chart) if isinstance(value, int | float | str)]
    assert [name for name, value in plain if (name, value) in DEFAULTS] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("def f(context_length: int = 2048): ...", {"context_length"}, id="a-parameter"),
        pytest.param("def f(*, context_length=2048): ...", {"context_length"}, id="a-keyword-parameter"),
        pytest.param("f(vocabulary_size=32768)", {"vocabulary_size"}, id="a-keyword"),
        pytest.param("class A:\n    context_length: int = 2048", {"context_length"}, id="a-field"),
        pytest.param(
            "class A:\n    context_length: int = Field(default=2048)", {"context_length"}, id="Field"
        ),
        pytest.param("DEFAULT_CONTEXT_LENGTH = 2048", {"context_length"}, id="a-constant"),
        pytest.param("p.add_argument('--context-length', default=2048)", {"context_length"}, id="an-option"),
        pytest.param("f(context_length=512)", set(), id="another-number"),
        pytest.param("f(context_length=Training().context_length)", set(), id="asked-for"),
    ],
)
def test_a_default_that_is_said_again_is_found(source: str, found: set[str]) -> None:
    assert repeated(ast.parse(source)) == found


def test_a_port_is_found() -> None:
    assert ports(ast.parse("GRPC_PORT, HTTP_PORT = 8001, 8080\nf(port=9090)")) == {
        "grpc_port",
        "http_port",
        "port",
    }
    assert ports(ast.parse("f(port=0)\nreport = 9090\nmaster_port = 23456")) == set()
    assert ports(ast.parse("DEFAULT_PORT = '8080'")) == {"port"}
