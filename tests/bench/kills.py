"""Trainings that are killed at random moments, and whether each ends with the trace of the one that nobody disturbed.

A series is one training that is killed again and again, each time after a random time and then started once more, until
it ends. Two series: the whole of a lone training, and one rank of two whose state lies in parts. Data (digest of every
batch), losses, gradient norms and the final weights must be those of the undisturbed training, bit for bit.
``DAYBREAK_BENCH_KILLS`` is the number of kills in all (200).
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.row import Row
from tests.train.conftest import (
    Made,
    Started,
    Zygote,
    ledger_of,
    make_inputs,
)

STEPS = 40
STEP_S = 0.08
"""The least time of a step, so that there is a middle to be killed in."""
KILLS_A_TRAINING = 5
AIMED = 0.5
"""Share of the kills that wait for a save to begin: of those by the clock hardly one falls into the few ms of one."""
SAVE_S = 0.01
LONGEST_S = 2.5
EVERY = {"every_seconds": 1}


@dataclass
class Tally:
    """What came of some trainings."""

    kills: int = 0
    trainings: int = 0
    identical: int = 0
    in_a_save: int = 0
    """Kills while a checkpoint was being written: its staging folder was there."""
    resumed: int = 0
    """Starts that went on from a checkpoint."""


def measure() -> list[Row]:
    """Kill both kinds of trainings, half of the kills each."""
    wanted = int(os.environ.get("DAYBREAK_BENCH_KILLS", "200"))
    zygote, rows = Zygote(), []
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = make_inputs(Path(scratch) / "inputs")
            for what, world in (("a lone training", 1), ("one rank of two, state in parts", 2)):
                tally = _series(zygote, made, Path(scratch) / str(world), world, wanted // 2)
                rows += _rows(what, tally)
    finally:
        zygote.close()
    return rows


def _rows(what: str, tally: Tally) -> Iterator[Row]:
    note = f"{tally.kills} kills, {tally.in_a_save} of them while a checkpoint was written; {tally.resumed} resumes"
    yield Row(
        f"killed at random moments, {what}: ends identical",
        tally.identical,
        "trainings",
        f"{tally.trainings}",
        note=note,
    )


def _series(zygote: Zygote, made: Made, folder: Path, world: int, kills: int) -> Tally:
    draw, tally = random.Random(world), Tally()
    whole = _trace(_run(zygote, made, folder / "whole", world))
    while tally.kills < kills:
        place = folder / str(tally.trainings)
        for _ in range(min(KILLS_A_TRAINING, kills - tally.kills)):
            tally.kills += _killed(zygote, made, place, world, draw, tally)
        tally.trainings += 1
        tally.identical += _trace(_run(zygote, made, place, world)) == whole
        tally.resumed += (place / "log-0.txt").read_text().count("resuming after step")
        print(f"{world}: {tally}", flush=True)
    return tally


def _killed(zygote: Zygote, made: Made, place: Path, world: int, draw: random.Random, tally: Tally) -> int:
    """Start a training and kill it, or one rank of it, once it has begun; return how many kills that was."""
    group = zygote.start_group(_args(made, place), place, world, STEP_S, 0 if world > 1 else None)
    began = time.monotonic()
    after = draw.uniform(0.0, LONGEST_S)
    victim = draw.randrange(world)
    before = _lines(place)
    while time.monotonic() < began + 120 and _lines(place) in (
        0,
        before,
    ):  # a start writes the past steps anew
        time.sleep(0.005)
    if draw.random() < AIMED:
        _await_a_save(place, group)
        time.sleep(draw.uniform(0.0, SAVE_S))
    else:
        time.sleep(after)
    tally.in_a_save += _is_saving(place, group)
    group[victim].kill()
    codes = [member.wait() for member in group]
    return int(codes[victim] == -9)


def _await_a_save(place: Path, group: Sequence[Started]) -> None:
    """Return as soon as a checkpoint is being written, or after the longest wait of any kill."""
    until = time.monotonic() + LONGEST_S
    while not _is_saving(place, group) and time.monotonic() < until:
        time.sleep(0.0005)


def _is_saving(place: Path, group: Sequence[Started]) -> bool:
    """Tell whether one of the processes has a staging folder; those of killed ones stay until the next start."""
    return any(any(place.glob(f"out/checkpoints/*/.staging-*+{member.pid}+*")) for member in group)


def _lines(place: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in place.glob("out/checkpoints/*/ledger.jsonl"))


def _args(made: Made, place: Path) -> Any:
    return made.args(place, tokens=STEPS * 4096, training={"checkpoint": EVERY})


def _run(zygote: Zygote, made: Made, place: Path, world: int) -> dict[str, Any]:
    group = zygote.start_group(_args(made, place), place, world, 0.0, 0 if world > 1 else None)
    codes = [member.wait() for member in group]
    if codes != [0] * world:
        raise RuntimeError(group[0].log.read_text()[-4000:])
    return dict(group[0].outcome()["result"])


def _trace(result: dict[str, Any]) -> tuple[Any, bytes]:
    return ledger_of(result), (Path(result["uri"]) / "model.safetensors").read_bytes()
