"""An API server's object checks in small: nulls, defaults, unknown fields, schema, list maps, CEL by a real engine.

An oracle beside the models: it reads nothing but the generated CRDs. Its verdicts were compared with those of a real
API server's own code.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cel
import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


class ApiServer:
    """Says what an API server would say of an object of either kind."""

    def __init__(self, crds: dict[str, dict[str, Any]]) -> None:
        self._schemas = {
            kind: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind, crd in crds.items()
        }

    def schema(self, kind: str) -> dict[str, Any]:
        """Return the structural schema of a kind."""
        return self._schemas[kind]

    @staticmethod
    def defaulted(value: Any, schema: dict[str, Any]) -> Any:
        """Return the value with the defaults of its schema."""
        return defaulted(value, schema)

    def complaints(self, value: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
        """Return what is wrong with an object, or with the update from an old one to it."""
        schema = self._schemas[value["kind"]]
        after = defaulted(without_nulls(copy.deepcopy(value), schema), schema)
        before = None if old is None else defaulted(without_nulls(copy.deepcopy(old), schema), schema)
        validator = jsonschema.Draft7Validator(schema)
        return [
            *(f"unknown field {path}" for path in unknown(after, schema, "")),
            *(f"{error.json_path}: {error.message}" for error in validator.iter_errors(after)),
            *duplicate_keys(after, schema, ""),
            *broken_rules(after, before, schema, ""),
        ]


def without_nulls(value: Any, schema: dict[str, Any]) -> Any:
    """A null counts as absent: dropped where the field has a default, and for CEL where it is nullable."""
    if isinstance(value, list):
        return [without_nulls(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    return {
        key: without_nulls(item, known.get(key, {}))
        for key, item in value.items()
        if item is not None or key not in known
    }


def defaulted(value: Any, schema: dict[str, Any]) -> Any:
    """Fill in defaults, top down, as an API server does."""
    if isinstance(value, list):
        return [defaulted(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    filled = dict(value)
    for key, below in known.items():
        if key not in filled and "default" in below:
            filled[key] = copy.deepcopy(below["default"])
    return {key: defaulted(item, known.get(key, {})) for key, item in filled.items()}


def unknown(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Fields that strict field validation refuses."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from unknown(item, schema.get("items", {}), f"{path}[{at}]")
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if path == ".metadata":  # its own rules, not the CRD's
        return
    known = schema.get("properties", {})
    for key, item in value.items():
        if key not in known:
            yield f"{path}.{key}"
        else:
            yield from unknown(item, known[key], f"{path}.{key}")


def duplicate_keys(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Items of a list map with the same keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from duplicate_keys(item, schema.get("properties", {}).get(key, {}), f"{path}.{key}")
    if isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys")
        named = (
            [tuple(str(item.get(key)) for key in keys) for item in value if isinstance(item, dict)]
            if keys
            else []
        )
        if len(named) != len(set(named)):
            yield f"{path}: duplicate value"
        for at, item in enumerate(value):
            yield from duplicate_keys(item, schema.get("items", {}), f"{path}[{at}]")


def broken_rules(value: Any, old: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Messages of CEL rules that are false or cannot be evaluated; rules about the old object only on updates."""
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in rule["rule"] and old is None:
            continue
        if not _holds(rule["rule"], value, old):
            yield f"{path}: {rule['message']}"
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if key in value:
                before = old.get(key) if isinstance(old, dict) else None
                yield from broken_rules(value[key], before, below, f"{path}.{key}")
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from broken_rules(item, None, schema.get("items", {}), f"{path}[{at}]")


@functools.cache
def _program(expression: str) -> Any:
    return cel.compile(expression)


def _holds(expression: str, value: Any, old: Any) -> bool:
    try:
        return _program(expression).execute({"self": value, "oldSelf": old}) is True
    except (ValueError, TypeError, RuntimeError, IndexError, KeyError):  # the expression has no value
        return False


@pytest.fixture(scope="session")
def crds() -> dict[str, dict[str, Any]]:
    """The committed CRDs by kind."""
    found = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "manifests/crds").glob("*.yaml"))]
    return {crd["spec"]["names"]["kind"]: crd for crd in found}


@pytest.fixture(scope="session")
def api_server(crds: dict[str, dict[str, Any]]) -> ApiServer:
    """What an API server with our CRDs would say."""
    return ApiServer(crds)


@pytest.fixture(scope="session")
def examples() -> dict[str, dict[str, Any]]:
    """The committed example manifests by file name."""
    return {
        path.name: yaml.safe_load(path.read_text())
        for path in sorted((ROOT / "manifests/examples").glob("*.yaml"))
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=1m none '{disk}' 2>/dev/null") != 0:
        pytest.skip("mounting a small disk needs the right to mount")
    yield disk
    assert os.system(f"umount -l '{disk}'") == 0
