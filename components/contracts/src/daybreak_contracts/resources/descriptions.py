"""What a field is for, from the text that stands below it in the source; the schema and the reference page show it.

Reads source files, so only the generators pay for it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from typing import Any

from pydantic import BaseModel


def field_descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Return the Python name of each described field of a model with its text, inherited ones too."""
    found: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if issubclass(base, BaseModel)]):
        found.update(_of_module(base.__module__).get(base.__qualname__, {}))
    return found


def describe(kind: type[BaseModel], schema: dict[str, Any]) -> None:
    """Put the descriptions of the model's own fields into its JSON schema."""
    described = field_descriptions(kind)
    for name, field in kind.model_fields.items():
        prop = schema.get("properties", {}).get(field.alias or name)
        if prop is not None and name in described:
            prop["description"] = described[name]
    if kind.__doc__:
        schema["description"] = plain(kind.__doc__)


def plain(docstring: str) -> str:
    """Return a docstring as one paragraph of Markdown."""
    return " ".join(inspect.cleandoc(docstring).replace("``", "`").split())


@functools.cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: _of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    field = ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            field = statement.target.id
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and field:
            found[field] = plain(str(statement.value.value))
            field = ""
        else:
            field = ""
    return found
