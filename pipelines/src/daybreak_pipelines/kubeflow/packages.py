"""The compiled pipelines as they are shipped: which inputs each takes. Reads package data, loads no kfp."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from daybreak_contracts.errors import UserError


def check_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that a pipeline doesn't know or that it misses, before anything is started."""
    inputs = _inputs(name)
    unknown = sorted(set(parameters) - set(inputs))
    missing = sorted(
        name for name, field in inputs.items() if not field.get("isOptional") and name not in parameters
    )
    if unknown or missing:
        said = [f"unknown: {', '.join(unknown)}"] if unknown else []
        said += [f"missing: {', '.join(missing)}"] if missing else []
        raise UserError(f"{name}: parameters {'; '.join(said)}; it takes {', '.join(sorted(inputs))}")


def _inputs(name: str) -> Mapping[str, Mapping[str, Any]]:
    text = resources.files("daybreak_pipelines").joinpath(f"compiled/{name}.yaml").read_text()
    pipeline = next(iter(yaml.safe_load_all(text)))
    inputs: Mapping[str, Mapping[str, Any]] = pipeline["root"]["inputDefinitions"]["parameters"]
    return inputs
