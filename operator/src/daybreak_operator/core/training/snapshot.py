"""The spec that a run was started with: kept in a ConfigMap, its digest in the status.

Owns which parts are frozen and which are read live: ``suspend``, ``runPolicy`` and ``evaluation.gates`` as they are
now, everything else as it was. Images and back end are kept too: an upgrade of the operator changes no run halfway.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.model_tree import without_absent
from daybreak_contracts.problems import path_text
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.fields import RULE_ERROR
from daybreak_contracts.resources.run import FROZEN_ONCE_STARTED, TrainingRunSpec
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training import objects
from daybreak_operator.core.training.observed import Observed
from daybreak_operator.settings import Backend, Images

SNAPSHOT_FILE = "run.json"
MAX_MESSAGE = 8000


@dataclass(frozen=True)
class Basis:
    """What a run is decided by."""

    run: TrainingRun
    images: Images
    backend: Backend
    digest: str
    """Of the frozen parts of the spec."""

    def document(self) -> str:
        """Return what is kept in the snapshot."""
        spec = self.run.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        kept = {"spec": spec, "images": asdict(self.images), "backend": self.backend}
        return json.dumps(kept, sort_keys=True)


def basis(observed: Observed, started_with: str | None) -> Basis | Finding:
    """Return what the run is decided by; a Finding when its spec is wrong or is not the one that it began with.

    ``started_with`` is the digest in the status; None before the start.
    """
    live = _validated(observed.run)
    if isinstance(live, Finding):
        return live
    settings = observed.settings
    fresh = Basis(live, settings.images, _backend(observed), digest_of(live.spec))
    if started_with is None:
        return fresh
    kept = _kept(observed, fresh)
    if kept is not None and kept.digest == started_with:
        return kept
    if fresh.digest == started_with:
        return fresh
    return Finding(
        "SnapshotLost",
        f"the spec is not the one that the run began with, and ConfigMap {names.snapshot_name(live.metadata.name)} "
        "does not hold that one any more: put the spec back, or make a new TrainingRun",
    )


def digest_of(spec: TrainingRunSpec) -> str:
    """Return the digest of the parts of a spec that a started run is made from."""
    dumped = spec.model_dump(mode="json", exclude_none=True)
    frozen = {name: dumped[name] for name in FROZEN_ONCE_STARTED}
    return f"sha256:{hashlib.sha256(json.dumps(frozen, sort_keys=True).encode()).hexdigest()}"


def problems(error: ValidationError) -> str:
    """Return everything that a validation found, on one line."""
    found = []
    for detail in error.errors(include_url=False):
        place = path_text(tuple(detail["loc"]))
        said = detail["ctx"]["sentences"] if detail["type"] == RULE_ERROR else detail["msg"]
        found.append(f"{place}: {said}" if place else str(said))
    return "; ".join(dict.fromkeys(found))[:MAX_MESSAGE]


def _validated(run: Object) -> TrainingRun | Finding:
    try:
        value = {key: run.get(key) for key in ("apiVersion", "kind", "metadata", "spec")}
        return TrainingRun.model_validate(without_absent(TrainingRun, value))
    except ValidationError as error:
        return Finding("InvalidSpec", f"{problems(error)}: change the spec, or make a new TrainingRun")


def _backend(observed: Observed) -> Backend:
    said = (objects.metadata(observed.run).get("annotations") or {}).get(names.ANNOTATION_BACKEND)
    for known in get_args(Backend):
        if said == known:
            found: Backend = known
            return found
    return observed.settings.backend


def _kept(observed: Observed, fresh: Basis) -> Basis | None:
    """Return what the snapshot holds, with the live parts of today's spec; None when it cannot be read."""
    wanted = names.snapshot_name(fresh.run.metadata.name)
    for item in observed.children:
        if item.get("kind") == "ConfigMap" and objects.name(item) == wanted:
            return _read(item, fresh)
    return None


def _read(item: Object, fresh: Basis) -> Basis | None:
    try:
        document = json.loads((item.get("data") or {})[SNAPSHOT_FILE])
        spec = TrainingRunSpec.model_validate(document["spec"])
        images = Images(**document["images"])
        backend = document["backend"]
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if backend not in get_args(Backend) or not isinstance(spec, TrainingRunSpec):
        return None
    now = fresh.run.spec
    evaluation = spec.evaluation.model_copy(update={"gates": now.evaluation.gates})
    changed: Mapping[str, Any] = {
        "suspend": now.suspend,
        "run_policy": now.run_policy,
        "evaluation": evaluation,
    }
    run = fresh.run.model_copy(update={"spec": spec.model_copy(update=changed)})
    return Basis(run, images, backend, digest_of(spec))
