"""Which training is which: a name is kept, whatever else is trained into the same output."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import artifacts, names, storage
from daybreak_train import places
from daybreak_train.checkpoints import trunk
from daybreak_train.checkpoints.trunk import Trunk
from daybreak_train.replay import record
from daybreak_train.run_key import RunKey, find_trained, read_manifests
from daybreak_train.run_key import key_of as key_with_inputs

LONG, SHORT = 1 << 22, 1 << 18
BY_LENGTH = {"schedule": {}}
"""No numbers of its own: batch and warm-up follow from the length."""


def key_of(args: Any) -> RunKey:
    return key_with_inputs(args, read_manifests(args))


def leaves_a_trunk(args: Any) -> str:
    """Leave what a training of these arguments leaves before its decay; return its digest."""
    key = key_of(args)
    step = int(key.budget.steps * 0.7)  # type: ignore[operator]
    folder = places.of_run(args.output, key.digest)
    found = Trunk(
        key=key.trunk_key,
        run=key.digest,
        folder=places.run_folder(key.digest),
        step=step,
        elapsed_seconds=1.0,
        hyperparameters=key.hyperparameters,
    )
    trunk.record(folder, found)
    storage.write_json(f"{folder}/{places.step_folder(step)}/{places.MANIFEST}", {})
    return key.digest


def begins(args: Any, parent: str = places.CHECKPOINTS) -> RunKey:
    """Leave what a training of these arguments leaves as it begins, or below ``parent`` when it has ended."""
    key = key_of(args)
    segment = record.MachineSegment(after_step=0, machine=record.this_machine("", 1, 1))
    begun = record.TrainingRecord(
        digest=key.digest,
        args=args,
        hyperparameters=key.hyperparameters,
        computes_in="float32",
        segments=(segment,),
    )
    record.note_start(storage.join(args.output, parent, places.run_folder(key.digest)), begun)
    return key


def test_a_longer_run_goes_on_from_a_shorter_one(made: Any, tmp_path: Path) -> None:
    short, long = (made.args(tmp_path, tokens=tokens, training=BY_LENGTH) for tokens in (SHORT, LONG))
    before = leaves_a_trunk(short)
    key = key_of(long)
    assert key.trunk is not None
    assert key.trunk.run == before
    assert key.hyperparameters.samples_per_step == key_of(short).hyperparameters.samples_per_step


def test_a_shorter_run_that_comes_later_changes_no_name(made: Any, tmp_path: Path) -> None:
    """The long run took the short one's batch, had another name, and began again from nothing."""
    short, long = (made.args(tmp_path, tokens=tokens, training=BY_LENGTH) for tokens in (SHORT, LONG))
    assert key_of(short).hyperparameters != key_of(long).hyperparameters
    before = leaves_a_trunk(long)
    leaves_a_trunk(short)
    assert key_of(long).digest == before


@pytest.mark.parametrize(
    "parent", [pytest.param(places.CHECKPOINTS, id="begun"), pytest.param(names.STEP_TRAIN, id="done")]
)
def test_a_lengthened_run_keeps_its_name_when_what_it_came_from_is_deleted(
    made: Any, tmp_path: Path, parent: str
) -> None:
    """Killed and started again it was another training, by the numbers of its own length, and began from nothing."""
    short, long = (made.args(tmp_path, tokens=tokens, training=BY_LENGTH) for tokens in (SHORT, LONG))
    own = key_of(long)
    before = leaves_a_trunk(short)
    begun = begins(long, parent)
    assert begun.digest != own.digest
    shutil.rmtree(places.of_run(short.output, before))
    key = key_of(long)
    assert (key.digest, key.hyperparameters, key.trunk) == (begun.digest, begun.hyperparameters, None)


def test_a_lengthened_run_keeps_its_name_when_a_longer_one_comes_by(made: Any, tmp_path: Path) -> None:
    """The one in between took the batch of its own length: it was begun before what is gone on from was there."""
    short, between, long = (
        made.args(tmp_path, tokens=tokens, training=BY_LENGTH) for tokens in (SHORT, LONG // 2, LONG)
    )
    later = key_of(between)
    leaves_a_trunk(short)
    begun = begins(long)
    trunk.record(
        places.of_run(between.output, later.digest),
        Trunk(
            key=later.trunk_key,
            run=later.digest,
            folder=places.run_folder(later.digest),
            step=200,
            elapsed_seconds=1.0,
            hyperparameters=later.hyperparameters,
        ),
    )
    storage.write_json(
        f"{places.of_run(between.output, later.digest)}/{places.step_folder(200)}/{places.MANIFEST}", {}
    )
    key = key_of(long)
    assert (key.digest, key.trunk) == (begun.digest, begun.trunk)


def test_a_run_whose_schedule_says_other_numbers_is_another(made: Any, tmp_path: Path) -> None:
    """Its name is made of the numbers alone: those of a begun one count only for who asked for the same."""
    args = made.args(tmp_path, tokens=LONG, training=BY_LENGTH)
    begins(args)
    other = made.args(tmp_path, tokens=LONG, training={"schedule": {"peak_rate": "0.0123"}})
    assert key_of(other).hyperparameters.peak_rate == 0.0123


@pytest.mark.parametrize("training", [{}, {"tokens": None, "deadline_seconds": 60}], ids=["tokens", "time"])
def test_a_torn_artifact_is_made_anew(made: Any, tmp_path: Path, training: dict[str, Any]) -> None:
    args = made.args(tmp_path, training=training)
    uri = artifacts.uri_of(args.output, names.STEP_TRAIN, key_of(args).digest)
    Path(uri).mkdir(parents=True)
    (Path(uri) / artifacts.MANIFEST).write_text('{"step": "tr')
    assert find_trained(args, key_of(args)) is None
