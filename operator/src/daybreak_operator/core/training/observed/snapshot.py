"""The spec that a run was started with: kept in a ConfigMap, its digest in the status.

Owns which parts are frozen and which are read live: ``suspend``, ``runPolicy``, ``evaluation.gates`` and
``training.podTemplate`` as they are now, everything else as it was. Images are kept too: an upgrade of the operator
changes no run halfway.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.planning.plan import cannot_work
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.run import RunPolicy, TrainingRunSpec
from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core.observed.objects import ObservedConfigMap
from daybreak_operator.core.parts import part
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training.observed import live_spec, objects
from daybreak_operator.core.training.observed.launcher import Launcher, launcher_of
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.settings import Backend, Images, Settings

SNAPSHOT_FILE = "run.json"


@dataclass(frozen=True)
class Basis:
    """What a run is decided by."""

    run: TrainingRun
    images: Images
    backend: Backend
    launcher: Launcher
    digest: str
    """Of the frozen parts of the spec."""
    outdated: Finding | None = None
    """What is wrong with the stored spec, where the run goes on by the one that it began with."""

    def document(self) -> str:
        """Return what is kept in the snapshot."""
        spec = self.run.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        kept = {"spec": spec, "digest": self.digest, "images": self.images.model_dump()}
        return json.dumps(kept, sort_keys=True)


def basis(observed: RunObservation, status: TrainingRunStatus) -> Basis | Finding:
    """Return what the run is decided by; a Finding when its spec is wrong or is not the one that it began with."""
    started_with = status.snapshot
    live = live_spec.validated(observed.run)
    if isinstance(live, Finding):
        return _as_it_began(observed, started_with, live)
    run, digest = live
    backend = backend_of(observed.run, observed.settings)
    launcher = launcher_of(observed, run.spec.training.launcher)
    fresh = Basis(run, observed.settings.images, backend, launcher, digest)
    if started_with is None:
        impossible = cannot_work(run.spec)  # before any data work; a run that has begun is not held up by it
        return fresh if impossible is None else Finding("TooManyProcesses", f"spec.training: {impossible}")
    kept = _kept(observed, fresh)
    if kept is not None and kept.digest == started_with:
        return kept
    if fresh.digest == started_with:
        return fresh
    return Finding(
        "SnapshotLost",
        f"the spec is not the one that the run began with, and ConfigMap {names.snapshot_name(run.metadata.name)} "
        "does not hold that one any more: put the spec back, or make a new TrainingRun",
    )


def _as_it_began(observed: RunObservation, started_with: str | None, wrong: Finding) -> Basis | Finding:
    """Return what a run began with, where its stored spec does not hold any more: a newer release refuses it.

    What may be changed in a started run is read from the spec all the same, each part that holds.
    """
    name = objects.name(observed.run)
    text = _kept_text(observed, name)
    kept = _read_text(text) if text is not None and started_with is not None else None
    if kept is None or kept[2] != started_with:
        return wrong
    spec, images, digest = kept
    metadata = {"name": name, "namespace": objects.metadata(observed.run).get("namespace")}
    try:
        run = TrainingRun.model_validate(
            {
                "apiVersion": observed.run.get("apiVersion"),
                "kind": names.KIND_RUN,
                "metadata": metadata,
                "spec": spec,
            }
        )
    except ValidationError:
        return wrong
    policy = live_spec.held(RunPolicy, part(observed.run, "spec").get("runPolicy"))
    changed: Mapping[str, object] = {
        "suspend": objects.asks_to_rest(observed.run),
        "run_policy": policy or spec.run_policy,
    }
    run = run.model_copy(update={"spec": spec.model_copy(update=changed)})
    said = f"the run goes on by the spec that it began with; for the next one: {wrong.message}"
    return Basis(
        run,
        images,
        backend_of(observed.run, observed.settings),
        launcher_of(observed, spec.training.launcher),
        digest,
        Finding("SpecOutdated", said),
    )


def backend_of(run: Object, settings: Settings) -> Backend:
    """Return what runs a run's pipelines: what it began with, else what it asks for, else the installation's."""
    began = (run.get("status") or {}).get("backend")
    asked = objects.mapping(run, "annotations").get(names.ANNOTATION_BACKEND)
    for said in (began, asked):
        for known in get_args(Backend):
            if said == known:
                found: Backend = known
                return found
    return settings.backend


def _kept(observed: RunObservation, fresh: Basis) -> Basis | None:
    """Return what the snapshot holds, with the live parts of today's spec; None when it cannot be read."""
    text = _kept_text(observed, fresh.run.metadata.name)
    kept = _read_text(text) if text is not None else None
    if kept is None:
        return None
    spec, images, digest = kept
    now = fresh.run.spec
    changed: Mapping[str, object] = {
        "suspend": now.suspend,
        "run_policy": now.run_policy,
        "training": spec.training.model_copy(update={"pod_template": now.training.pod_template}),
        "evaluation": spec.evaluation.model_copy(update={"gates": now.evaluation.gates}),
    }
    run = fresh.run.model_copy(update={"spec": spec.model_copy(update=changed)})
    return Basis(run, images, fresh.backend, fresh.launcher, digest)


def _kept_text(observed: RunObservation, name: str) -> str | None:
    """Return the text of the snapshot; None where there is none."""
    wanted = names.snapshot_name(name)
    found = (
        item for item in observed.children if isinstance(item, ObservedConfigMap) and item.name == wanted
    )
    return next((item.data.get(SNAPSHOT_FILE) for item in found), None)


@functools.lru_cache(maxsize=live_spec.REMEMBERED)
def _read_text(text: str) -> tuple[TrainingRunSpec, Images, str] | None:
    try:
        document = json.loads(text)
        spec = TrainingRunSpec.model_validate(document["spec"])
        images, digest = Images(**document["images"]), str(document["digest"])
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return spec, images, digest
