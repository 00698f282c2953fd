"""A run's spec as it is stored now: read once for each text, with the digest of what a started run is made from.

Owns which parts that digest is of, and the words about a spec that is wrong.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from daybreak_contracts.manifests.problems import path_text
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.fields import RULE_ERROR
from daybreak_contracts.resources.run import FROZEN_ONCE_STARTED, LIVE_IN_TRAINING, TrainingRunSpec
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training.observed import objects

Part = TypeVar("Part", bound=BaseModel)
MAX_MESSAGE = 8000
REMEMBERED = 2048
"""Specs whose reading is remembered; what is remembered depends on the text alone."""


def validated(run: Object) -> tuple[TrainingRun, str] | Finding:
    """Return a stored run and the digest of its frozen parts; a Finding when its spec is wrong."""
    metadata = {key: objects.metadata(run).get(key) for key in ("name", "namespace")}
    return _validated_text(
        json.dumps(
            {
                "apiVersion": run.get("apiVersion"),
                "kind": run.get("kind"),
                "metadata": {key: value for key, value in metadata.items() if value is not None},
                "spec": run.get("spec"),
            }
        )
    )


@functools.lru_cache(maxsize=REMEMBERED)
def _validated_text(text: str) -> tuple[TrainingRun, str] | Finding:
    """Return the run that a text holds, and its digest. Remembered: it is read at every pass and hardly changes."""
    try:
        run = TrainingRun.model_validate(json.loads(text))
        return run, digest_of(run.spec)
    except ValidationError as error:
        return Finding("InvalidSpec", f"{problems(error)}: change the spec, or make a new TrainingRun")


def held(kind: type[Part], stored: object) -> Part | None:
    """Return a part of a spec by itself; None where it does not hold, or is absent."""
    try:
        return kind.model_validate(stored, by_alias=True, by_name=False)
    except ValidationError:
        return None


def digest_of(spec: TrainingRunSpec) -> str:
    """Return the digest of the parts of a spec that a started run is made from.

    Fields that say what they say by default do not count: a release that adds a field keeps the digests of old runs.
    """
    frozen = spec.model_dump(
        mode="json",
        include=set(FROZEN_ONCE_STARTED),
        exclude={"training": set(LIVE_IN_TRAINING)},
        exclude_defaults=True,
    )
    if not frozen.get("training"):
        frozen.pop("training", None)
    return f"sha256:{hashlib.sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()}"


def problems(error: ValidationError) -> str:
    """Return everything that a validation found, on one line."""
    found = []
    for detail in error.errors(include_url=False):
        place = path_text(tuple(detail["loc"]))
        said = detail["ctx"]["sentences"] if detail["type"] == RULE_ERROR else detail["msg"]
        found.append(f"{place}: {said}" if place else str(said))
    return "; ".join(dict.fromkeys(found))[:MAX_MESSAGE]
