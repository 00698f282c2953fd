"""The user's own files of problems on the real Spark: what holds one is dropped by name, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("spark")

PROSE = "Weigh every pebble of the basket against its neighbour and report the heaviest pair by colour."
SOLUTION = (
    "def heaviest(basket):\n    return max(pairs_of(basket), key=lambda pair: weigh(pair.left, pair.right))\n"
)
CONTEST = (
    "Polly has n parrots in a row and may swap two parrots whose feathers differ in at most three colours."
)
MBPP = {"task_id": 900, "text": PROSE, "code": SOLUTION, "test_list": ["assert heaviest([]) is None"]}
APPS = {"problem_id": 9, "question": CONTEST, "input_output": "{}", "solutions": "[]"}


def problem_file(folder: Path, name: str, row: dict[str, Any], problem_format: str) -> dict[str, str]:
    """Write a file of one problem; returns what a manifest says of it."""
    path = folder / name
    path.write_text(json.dumps(row) + "\n")
    return {
        "uri": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": problem_format,
    }


def test_problems_of_the_users_files_are_not_trained_on(play: Any, spark: SparkSession) -> None:
    code = play.write_world(play.root / "code", repositories=2)
    play.put(code / "repo0" / "prose.py", play.module(700) + f'\n"""{PROSE}"""\n')
    play.put(code / "repo0" / "solution.py", play.module(701) + f"\n{SOLUTION}")
    play.put(code / "repo1" / "contest.py", f"# {CONTEST}\n{play.module(702)}")
    files = [
        problem_file(play.root, "mbpp.jsonl", MBPP, "Mbpp"),
        problem_file(play.root, "apps.jsonl", APPS, "Apps"),
    ]
    result = play.run(play.directory("code"), data={"decontaminateFiles": files})
    drops = play.table(result.uri, "drops").to_pylist()
    assert {Path(row["path"]).name: (row["stage"], row["reason"], row["detail"]) for row in drops} == {
        "prose.py": ("contamination", "evaluation-problem", "MBPP/900"),
        "solution.py": ("contamination", "evaluation-problem", "MBPP/900"),
        "contest.py": ("contamination", "evaluation-problem", "APPS/9"),
    }
    assert result.dropped == {"evaluation-problem": 3} and result.num_documents == 10
    assert result.num_files == result.num_documents + 3
    assert spark.sparkContext.getConf().get("spark.master", "").startswith("local")
