"""The spec of a stored ModelDeployment as values, or every problem of it as sentences.

An object may have been stored before a rule was there: it is checked again, and never an exception. Owns no rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from daybreak_contracts import artifacts, names
from daybreak_contracts.manifests import wording
from daybreak_contracts.manifests.model_tree import broken_rules_below, without_absent
from daybreak_contracts.manifests.problems import path_text, value_text
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_contracts.resources.fields import RULE_ERROR


def parse(spec: Any) -> ModelDeploymentSpec | tuple[str, ...]:
    """Return the spec, or one sentence per problem when it does not hold."""
    if not isinstance(spec, dict):
        return (f"spec: must be a mapping, got {value_text(spec)}",)
    value = without_absent(ModelDeploymentSpec, spec)
    try:
        parsed = ModelDeploymentSpec.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        return tuple(dict.fromkeys([*_broken_rules(value), *_wrong_fields(error)]))
    if parsed.runtime.kind not in names.RUNTIMES:
        return (f"spec.runtime.kind: {wording.not_served(parsed.runtime.kind)}",)
    return parsed


def _broken_rules(value: dict[str, Any]) -> Iterator[str]:
    for location, sentence in broken_rules_below(ModelDeploymentSpec, value):
        yield f"{path_text(('spec', *location))}: {sentence}"


def _wrong_fields(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        if detail["type"] == RULE_ERROR:
            continue
        location = tuple(detail["loc"])
        said = wording.sentence(ModelDeploymentSpec, location, detail)
        found = f", got {said.got}" if said.got else ""
        remedy = f" ({said.remedy})" if said.remedy else ""
        yield f"{path_text(('spec', *location))}: {said.message}{found}{remedy}"


def rollout_digest(spec: ModelDeploymentSpec) -> str:
    """Return the digest of what decides whether a model may serve: with another one, a refused model is tried again.

    Replicas, pools and scaling are left out: ``kubectl scale`` must not bring back a model that was rolled back.
    """
    parts = spec.model_dump(mode="json", include={"model", "runtime", "rollout", "signature"})
    return artifacts.digest_of(parts)
