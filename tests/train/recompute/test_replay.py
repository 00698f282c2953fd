"""A recorded step is taken apart: its samples, documents and losses, and the step itself once more."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import storage
from daybreak_contracts.resources.run import Objective
from daybreak_pipelines.cli import main

STEPS = 24


@dataclass(frozen=True)
class Recorded:
    """A finished training whose checkpoints were kept, and what the command said of it."""

    out: Path
    ledger: dict[int, dict[str, Any]]
    kept: list[int]


@pytest.fixture(scope="module")
def recorded(zygote: Any, made: Any, middle: Objective, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    checkpoint = {"every_seconds": 1, "keep": 2}
    args = made.args(folder, tokens=STEPS * 4096, training={"objective": middle, "checkpoint": checkpoint})
    started = zygote.start(args, folder, 0.1)
    assert started.wait() == 0, started.log.read_text()
    result = started.outcome()["result"]
    lines = (Path(result["uri"]) / "ledger.jsonl").read_text().splitlines()
    kept = [int(path.name[5:]) for path in folder.glob("out/checkpoints/*/step-*")]
    return Recorded(folder / "out", {entry["step"]: entry for entry in map(json.loads, lines)}, sorted(kept))


def replay(*argv: str) -> tuple[int, str, str]:
    """Run the command here; its modules are loaded once for all tests."""
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        code = main(["replay", *argv])
    return code, out.getvalue(), said.getvalue()


def made_again(out: Path, step: int) -> dict[str, Any]:
    """Train to a step again, in a process of its own: it sets threads and loads what warns."""
    command = [sys.executable, "-m", "daybreak_pipelines", "replay", str(out), "--step", str(step)]
    made = subprocess.run([*command, "--recompute", "--json"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_batch_is_the_recorded_one_and_its_losses_make_the_ledgers(recorded: Recorded) -> None:
    step = recorded.kept[0] + 1
    began = time.process_time()  # what else the machine does is not ours
    code, out, _ = replay(str(recorded.out), "--step", str(step), "--json")
    assert time.process_time() - began < 10
    found, entry = json.loads(out), recorded.ledger[step]
    assert code == 0
    assert found["digest_matches"], "the same samples, token for token"
    assert found["weights"] == f"the weights of the checkpoint after step {step - 1}"
    assert found["exact_weights"]
    samples = found["samples"]
    mean = sum(one["loss"] * one["tokens"] for one in samples) / sum(one["tokens"] for one in samples)
    assert mean == pytest.approx(entry["loss"], rel=1e-5)
    assert len({one["sample"] for one in samples}) == 64
    assert [one["loss"] for one in samples] == sorted((one["loss"] for one in samples), reverse=True)


def test_documents_are_named_with_text_and_place(recorded: Recorded) -> None:
    from tests.train.conftest import some_code

    files = {f"src/file_{number}.py": text for number, text in enumerate(some_code())}
    _, out, _ = replay(str(recorded.out), "--step", "3", "--json")
    parts = [part for one in json.loads(out)["samples"] for part in one["documents"]]
    checked = 0
    for part in parts:
        text = files[part["path"]].encode()
        if "\ufffd" in part["text"] or not text[part["offset"] :].startswith(part["text"].encode()):
            continue  # a sample's edge in a character; the file that the two sides share begins late
        assert part["line"] == text[: part["offset"]].count(b"\n") + 1
        checked += 1
    assert checked > 0.9 * len(parts)
    assert {part["source"] for part in parts} == {"made"}


def test_a_page_shows_hostile_text_as_text(recorded: Recorded, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, out, _ = replay(str(recorded.out), "--step", "9", "--page", str(page))
    assert code == 0
    assert f"page: {page}" in out
    text = page.read_text()
    assert text.count("<h3>Sample ") == 10
    assert "&lt;|endoftext|&gt;" in text
    assert "<|endoftext|>" not in text


@pytest.mark.slow
def test_the_step_made_again_is_the_same_to_the_last_bit_and_the_run_is_untouched(recorded: Recorded) -> None:
    before = tree(recorded.out)
    step = recorded.kept[0] + 2
    found = made_again(recorded.out, step)["recomputed"]
    assert found["identical"], found
    assert (found["from_step"], found["steps"], found["identical_steps"]) == (recorded.kept[0], 2, 2)
    assert found["loss"] == recorded.ledger[step]["loss"]
    assert found["grad_norm"] == recorded.ledger[step]["grad_norm"]
    assert tree(recorded.out) == before


@pytest.mark.parametrize(
    ("change", "argv", "message"),
    [
        pytest.param("", ["--step", "25"], "its ledger has steps 1 to 24", id="a step after the last"),
        pytest.param(
            "", ["--step", "3", "--rank", "1"], "made by 1 processes", id="a rank that was not there"
        ),
        pytest.param("ledger", ["--step", "3"], "older version and keeps no sample ids", id="an old ledger"),
        pytest.param(
            "record", ["--step", "3"], "no training here that can be replayed", id="an old training"
        ),
        pytest.param("shards", ["--step", "3"], "the shards that this run was trained with", id="no shards"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    change: str, argv: list[str], message: str, recorded: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    storage.copy_tree(str(recorded.out), str(out))
    for folder in [*out.glob("train/*"), *out.glob("checkpoints/*")]:
        if change == "ledger":
            lines = map(json.loads, (folder / "ledger.jsonl").read_text().splitlines())
            kept = [{name: value for name, value in line.items() if name != "samples"} for line in lines]
            (folder / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
        elif change == "record":
            (folder / "training.json").unlink()
        elif change == "shards":
            record = json.loads((folder / "training.json").read_text())
            record["args"]["shards"] = str(tmp_path / "shards/gone")
            (folder / "training.json").write_text(json.dumps(record))
    code, _, said = replay(str(out), *argv)
    assert code == 2
    assert message in said


def test_another_machine_is_said() -> None:
    from daybreak_train.replay.record import this_machine

    here = this_machine("", 2, 4)
    assert here.differences(here) == ()
    there = here.model_copy(update={"device": "NVIDIA H200", "threads": 1})
    assert here.differences(there) == (
        f"device: {here.device} then, NVIDIA H200 now",
        "threads: 4 then, 1 now",
    )


def test_a_training_that_is_at_work_can_be_replayed(recorded: Recorded, tmp_path: Path) -> None:
    [checkpoints] = recorded.out.glob("checkpoints/*")
    storage.copy_tree(str(checkpoints), str(tmp_path / "checkpoints" / checkpoints.name))
    code, out, _ = replay(str(tmp_path), "--step", str(recorded.kept[0] + 1))
    assert code == 0
    assert "is the recorded one, token for token" in out


@pytest.mark.slow
def test_a_lengthened_run_is_made_again_by_its_own_numbers_when_the_shorter_one_is_gone(
    zygote: Any, made: Any, tmp_path: Path
) -> None:
    """Its batch follows from the shorter run's length; of its own length alone it would be twice as large."""
    results = []
    for times in (1, 4):
        training = {"schedule": {}, "checkpoint": {"every_seconds": 3600}}
        args = made.args(tmp_path, tokens=times * STEPS * 4096, training=training)
        results.append(zygote.run(args, tmp_path))
    short, long = results
    assert long["continued_from"].startswith(short["digest"][:16])
    for gone in (
        tmp_path / "out/checkpoints" / short["digest"][:16],
        tmp_path / "out/train" / short["digest"][:16],
        *tmp_path.glob(f"out/checkpoints/{long['digest'][:16]}/step-*"),
    ):
        shutil.rmtree(gone)
    found = made_again(tmp_path / "out", 6)
    assert found["digest_matches"]
    assert found["recomputed"]["identical_steps"] == 6, found["recomputed"]
