"""Which training is which: the numbers it trains by, the digest that names it, and whether it was done already.

Owns no tensor: it answers before torch and Composer are loaded, so that nothing to do costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.planning import recipe, schedule, sizes
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_contracts.steps import TrainArgs, TrainResult
from daybreak_train import places
from daybreak_train.checkpoints import trunk
from daybreak_train.checkpoints.trunk import Trunk
from daybreak_train.replay import record

CODE_VERSION = 4


@dataclass(frozen=True)
class RunKey:
    """What is known of a training before anything is loaded."""

    digest: str
    """Names the training: all that its weights depend on, nothing about where it runs."""
    trunk_key: str
    """The same without length and decay: two runs that share it are one run until the decay of the shorter."""
    hyperparameters: Hyperparameters
    budget: recipe.Budget
    trunk: Trunk | None
    """A shorter run's checkpoint to go on from."""


@dataclass(frozen=True)
class InputManifests:
    """The manifests of what a training reads."""

    shards: Manifest
    tokenizer: Manifest

    @property
    def vocabulary_size(self) -> int:
        """Tokens of the vocabulary."""
        return int(self.tokenizer.result["vocabulary_size"])

    @property
    def num_train_samples(self) -> int:
        """Samples to train on."""
        return int(self.shards.result["num_train_samples"])


def read_manifests(args: TrainArgs) -> InputManifests:
    """Read both manifests; an artifact that is not there, or another step's, is a UserError."""
    return InputManifests(
        made_by(names.STEP_SHARDS, args.shards), made_by(names.STEP_TOKENIZER, args.tokenizer)
    )


def key_of(args: TrainArgs, inputs: InputManifests) -> RunKey:
    """Return the key of a training as the output is now: a shorter run that lies there may be gone on from.

    A training that began keeps the numbers it began by, whatever other one came or went since.
    """
    checkpoints = storage.join(args.output, places.CHECKPOINTS)
    present = storage.list_files(checkpoints)
    dims, samples = sizes.dimensions_of(args.model), inputs.num_train_samples
    own = schedule.resolve(args.training, dims, inputs.vocabulary_size, samples)
    trunks = trunk.find(checkpoints, present, _trunk_key(args, inputs))
    if _has_begun(args, key_with(args, inputs, own), present):
        numbers = own
    elif (begun := _begun_by_others_numbers(args, inputs, present)) is not None:
        numbers = begun
    else:
        found = trunk.longest(trunks, lambda one: _is_before_decay(one, args, inputs))
        numbers = own if found is None else inherited(found.hyperparameters, args)
    shorter = trunk.longest(
        (one for one in trunks if inherited(one.hyperparameters, args) == numbers),
        lambda one: _is_before_decay(one, args, inputs),
    )
    return key_with(args, inputs, numbers, shorter)


def key_with(
    args: TrainArgs, inputs: InputManifests, numbers: Hyperparameters, shorter: Trunk | None = None
) -> RunKey:
    """Return the key of a training by these numbers, whatever lies in its output."""
    common = _common(args, inputs)
    budget = _budget(args, inputs, numbers)
    digest = artifacts.digest_of(
        {
            **{name: value for name, value in common.items() if name != "schedule"},
            "hyperparameters": numbers.to_json(),
            "length": [budget.steps, budget.seconds],
        }
    )
    return RunKey(digest, artifacts.digest_of(common), numbers, budget, shorter)


def _has_begun(args: TrainArgs, key: RunKey, present: Sequence[str]) -> bool:
    if any(name.startswith(f"{places.run_folder(key.digest)}/") for name in present):
        return True
    trained = artifacts.uri_of(args.output, names.STEP_TRAIN, key.digest)
    return storage.exists(storage.join(trained, artifacts.MANIFEST))


def _begun_by_others_numbers(
    args: TrainArgs, inputs: InputManifests, present: Sequence[str]
) -> Hyperparameters | None:
    """Return the numbers of a shorter run by which this one began: that run may be gone, their record is not."""
    folders = [f"{places.CHECKPOINTS}/{name}" for name in present]
    folders += [
        f"{names.STEP_TRAIN}/{name}"
        for name in storage.list_files(storage.join(args.output, names.STEP_TRAIN))
    ]
    for name in folders:
        folder, _, file = name.rpartition("/")
        if file != places.RECORD or (known := record.find(storage.join(args.output, folder))) is None:
            continue
        if _trunk_key(known.args, inputs) == _trunk_key(args, inputs):
            numbers = inherited(known.hyperparameters, args)
            if key_with(args, inputs, numbers).digest == known.digest:
                return numbers
    return None


def made_by(step: str, uri: str) -> Manifest:
    """Return the manifest of an artifact; UserError for one that another step made."""
    manifest = artifacts.load(uri)
    if manifest.step != step:
        raise UserError(f"{uri}: is an artifact of the step {manifest.step!r}, {step!r} is needed here")
    return manifest


def _trunk_key(args: TrainArgs, inputs: InputManifests) -> str:
    return artifacts.digest_of(_common(args, inputs))


def _common(args: TrainArgs, inputs: InputManifests) -> dict[str, Any]:
    training = args.training
    return {
        "step": names.STEP_TRAIN,
        "codeVersion": CODE_VERSION,
        "model": args.model.model_dump(mode="json"),
        "objective": training.objective.model_dump(mode="json"),
        "schedule": training.schedule.model_dump(mode="json", exclude={"decay_share"}),
        "guard": training.guard.model_dump(mode="json"),
        "contextLength": training.context_length,
        "seed": args.seed,
        "inputs": {"shards": inputs.shards.digest, "tokenizer": inputs.tokenizer.digest},
    }


def inherited(numbers: Hyperparameters, args: TrainArgs) -> Hyperparameters:
    """Return a trunk's numbers for a longer run: all but the share of its decay, which is to come."""
    return schedule.with_decay_of(numbers, args.training)


def _budget(args: TrainArgs, inputs: InputManifests, numbers: Hyperparameters) -> recipe.Budget:
    parameters = sizes.num_parameters(sizes.dimensions_of(args.model), inputs.vocabulary_size)
    step = numbers.samples_per_step * args.training.context_length
    return recipe.budget_of(args.training, args.max_seconds, parameters, step)


def _is_before_decay(one: Trunk, args: TrainArgs, inputs: InputManifests) -> bool:
    numbers = inherited(one.hyperparameters, args)
    done = _budget(args, inputs, numbers).progress(one.step, one.elapsed_seconds)
    return done <= 1.0 - numbers.decay_share


def artifact_digest(key: RunKey, ledger_sha256: str) -> str:
    """Return the digest of what was trained.

    A run that time ends is another one on another machine: its ledger is part of its name. Of a run by tokens the
    key says all.
    """
    if key.budget.seconds is None:
        return key.digest
    return artifacts.digest_of({"run": key.digest, "ledger": ledger_sha256})


def find_trained(args: TrainArgs, key: RunKey) -> TrainResult | None:
    """Return the result of the same training when it was committed and its bytes are whole."""
    uri = artifacts.uri_of(args.output, names.STEP_TRAIN, key.digest)
    digest = key.digest
    if key.budget.seconds is not None:
        try:
            digest = artifact_digest(key, _ledger_digest(artifacts.load(uri)))
        except ArtifactError:  # none, or one that cannot be read: it is made anew
            return None
    present = artifacts.find(uri, digest)
    return None if present is None else TrainResult.model_validate({**present.result, "cached": True})


def _ledger_digest(manifest: Manifest) -> str:
    return next((entry.sha256 for entry in manifest.files if entry.path == places.LEDGER), "")
