"""Other TrainingRuns whose ``output.uri`` is this run's: who they are, how far they are, and what they train.

Owns when two outputs are one place, and when two trainings are one (``daybreak_train.run_key`` has the last word: what
is equal here is equal there). Read from the runs as stored, once for each version of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.resources.run import TrainingRunSpec
from daybreak_operator.core import conditions, status_codec
from daybreak_operator.core.parts import items, part
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training.observed import live_spec, objects

NAMES_A_TRAINING = {
    "objective",
    "schedule",
    "guard",
    "context_length",
    "tokens",
    "tokens_per_parameter",
    "deadline_seconds",
}
"""Of ``spec.training``: what the weights depend on. Machines, launcher, image and checkpoints are not among it."""

DATA_STEPS = (names.STEP_SHARDS, names.STEP_TOKENIZER)
"""What a training is named by besides its spec."""


@dataclass(frozen=True, order=True)
class Neighbour:
    """A run that is not over, as others see it. In their order the older one comes first."""

    created: str
    uid: str
    called: str
    """Its namespace and name."""
    training: str
    """What it trains; empty while that is not known."""
    trains: bool
    """Its training goes on."""
    is_held: bool
    """It is suspended."""


def place_of(run: Object) -> str:
    """Return which place the output of a run that is not over is; empty for one that is, or that says none.

    A path is a place inside a pod: in another namespace, or with other volumes, it is another place.
    """
    spec = part(run, "spec")
    uri = part(spec, "output").get("uri")
    over = conditions.is_true(status_codec.conditions(run.get("status")), "Finished")
    if over or not isinstance(uri, str) or not uri:
        return ""
    path = uri.removeprefix("file://").rstrip("/")
    if "://" in path:
        return path
    shape = part(part(part(spec, "training"), "podTemplate"), "spec")
    where = [objects.metadata(run).get("namespace"), path, shape.get("volumes")]
    return json.dumps(where, sort_keys=True, default=str)


def neighbour_of(run: Object) -> Neighbour:
    """Return a run as others see it."""
    metadata, status = objects.metadata(run), part(run, "status")
    steps = items(status, "steps")
    made = {str(step.get("name")): str(step.get("digest") or "") for step in steps}
    return Neighbour(
        created=str(metadata.get("creationTimestamp") or ""),
        uid=objects.uid(run),
        called=f"{metadata.get('namespace')}/{metadata.get('name')}",
        training=_training_of(run, made),
        trains=any((step.get("name"), step.get("state")) == (names.STEP_TRAIN, "Running") for step in steps),
        is_held=conditions.is_true(status_codec.conditions(status), "Suspended"),
    )


def _training_of(run: Object, made: Mapping[str, str]) -> str:
    """Return what a stored run trains: its spec is read once its data is made, not in each pass of a burst."""
    if not all(made.get(name) for name in DATA_STEPS):
        return ""
    live = live_spec.validated(run)
    return "" if isinstance(live, Finding) else training_of(live[0].spec, made)


def training_of(spec: TrainingRunSpec, digests: Mapping[str, str]) -> str:
    """Return what names a training below its output; empty without a model, or while its data is not made.

    ``digests`` are those of the steps that ended.
    """
    shards, tokenizer = map(digests.get, DATA_STEPS)
    if spec.model is None or not shards or not tokenizer:
        return ""
    training = spec.training.model_dump(mode="json", include=NAMES_A_TRAINING)
    model = spec.wanted_model().model_dump(mode="json")
    return json.dumps([shards, tokenizer, spec.seed, model, training], sort_keys=True)
