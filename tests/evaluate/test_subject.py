"""A model folder and a server scored into a folder; killed at any moment, nothing is asked or judged twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate import subject
from daybreak_evaluate.endpoint import ModelServer
from daybreak_evaluate.journal import ResultJournal, key_of
from daybreak_evaluate.subject import Options
from daybreak_evaluate.suites import humaneval
from tests.evaluate.loopback import Answer, Server, refused, said


def right(prompt: str) -> str:
    """Return a right answer to a problem of HumanEval."""
    [found] = [one["canonical_solution"] for one in humaneval.problems().values() if one["prompt"] == prompt]
    return found


@pytest.fixture
def servers() -> Iterator[Callable[[Callable[[int, dict[str, Any]], Answer]], Server]]:
    started: list[Server] = []

    def start(answer: Callable[[int, dict[str, Any]], Answer]) -> Server:
        started.append(Server(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


def suite(tasks: int | None = None, samples: int = 1) -> list[Suite]:
    return [Suite(name="HumanEval", samples_per_task=samples, max_tasks=tasks)]


def score(found: subject.Subject, folder: Path, suites: list[Suite]) -> dict[str, float]:
    scores = subject.score(found, suites, Options(folder, workers=2), Progress("evaluate"))
    return {one.metric: one.value for one in scores}


@pytest.mark.slow
def test_a_server_is_asked_and_its_answers_are_judged(tmp_path: Path, servers: Any) -> None:
    server = servers(lambda number, body: said(right(body["prompt"]) if number % 2 else "    pass\n"))
    found = subject.of_server(ModelServer(server.url, key="secret-key"))
    assert score(found, tmp_path / "out", suite(4)) == {"humaneval/pass@1": 0.5}
    assert len(server.asked) == 4 and server.asked[0]["model"] == "first"
    rows = [
        json.loads(line)
        for line in (tmp_path / "out" / "samples" / "humaneval.jsonl").read_text().splitlines()
    ]
    assert sorted(row["passed"] for row in rows) == [False, False, True, True]
    protocol = json.loads((tmp_path / "out" / "protocol.json").read_text())
    assert protocol["model"] == {"model": "first", "server": server.url.removesuffix("/v1")}
    assert "Passed</h3>" in (tmp_path / "out" / "scores.html").read_text()
    everything = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert b"secret-key" not in everything and not (tmp_path / "out" / subject.JOURNAL).exists()


@pytest.mark.slow
def test_a_server_that_fails_in_the_middle_is_not_asked_again_for_what_it_said(
    tmp_path: Path, servers: Any
) -> None:
    server = servers(
        lambda number, body: said(right(body["prompt"])) if number <= 6 else refused(400, "full")
    )
    found = subject.of_server(ModelServer(server.url, "m"))
    with pytest.raises(UserError, match="full"):
        score(found, tmp_path, suite(20))
    again = servers(lambda number, body: said(right(body["prompt"])))
    moved = subject.Subject(
        **{**vars(subject.of_server(ModelServer(again.url, "m"))), "identity": found.identity}
    )
    assert score(moved, tmp_path, suite(20)) == {"humaneval/pass@1": 1.0}
    assert len(again.asked) == 14


ASKED = """
import sys
from pathlib import Path
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate import subject
from daybreak_evaluate.endpoint import ModelServer

found = subject.of_server(ModelServer(sys.argv[1], "m"))
suites = [Suite(name="HumanEval", max_tasks=40)]
subject.score(found, suites, subject.Options(Path(sys.argv[2]), workers=1), Progress("evaluate"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while it asks", "while it judges"])
def test_a_killed_evaluation_asks_and_judges_nothing_twice(tmp_path: Path, servers: Any, moment: str) -> None:
    """Judged twice would show: each answer raises the time at which it is run."""

    def answer(number: int, body: dict[str, Any]) -> Answer:
        time.sleep(0.1 if moment == "while it asks" else 0)
        return said("    import time\n    raise ValueError(str(time.time()))\n")

    server = servers(answer)
    journal = tmp_path / subject.JOURNAL
    command = [sys.executable, "-c", ASKED, server.url, str(tmp_path)]
    process = subprocess.Popen(command)
    verdicts: list[Any] = []
    while (len(server.asked) < 12) if moment == "while it asks" else len(verdicts) < 5:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.02)
        verdicts = _verdicts(journal)
    process.kill()
    process.wait()
    before, verdicts = len(server.asked), _verdicts(journal)
    subprocess.run(command, check=True)
    times = Counter(one["prompt"] for one in server.asked)
    in_flight = 8 if moment == "while it asks" else 0
    assert len(times) == 40 and sum(times.values()) <= 40 + in_flight and len(server.asked) > before - 1
    rows = [json.loads(line) for line in (tmp_path / "samples" / "humaneval.jsonl").read_text().splitlines()]
    assert {value[1] for value in verdicts} <= {row["result"] for row in rows}
    assert not journal.exists()


def _verdicts(journal: Path) -> list[Any]:
    """Return the verdicts on answers that a journal holds; those of the self-test raise nothing."""
    if not journal.exists():
        return []
    lines = [line for line in journal.read_text().split("\n")[:-1] if line]
    values = [json.loads(line)[1] for line in lines]
    return [value for value in values if isinstance(value, list) and value[1].startswith("failed: 1")]


@pytest.mark.slow
def test_a_model_folder_is_scored_and_a_second_time_from_what_is_kept(
    tmp_path: Path, model_uri: str, shards_uri: str
) -> None:
    suites = [*suite(2), Suite(name="HeldOutCompletion", max_tasks=4)]
    found = subject.of_folder(model_uri, tmp_path, shards_uri)
    first = score(found, tmp_path / "a", suites)
    assert set(first) > {"humaneval/pass@1", "held-out/next-line-exact"}
    assert score(found, tmp_path / "b", suites) == first


def test_held_out_code_needs_a_run(tmp_path: Path, model_uri: str, servers: Any) -> None:
    with pytest.raises(UserError, match="needs a run's held-out rows"):
        score(subject.of_folder(model_uri, tmp_path), tmp_path / "a", [Suite(name="HeldOutCompletion")])
    server = servers(lambda number, body: said("x"))
    with pytest.raises(UserError, match="needs a run's held-out rows"):
        score(subject.of_server(ModelServer(server.url)), tmp_path / "b", [Suite(name="HeldOutCompletion")])


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b'["a", 1]\n["b", 2]\n', 2, id="whole lines"),
        pytest.param(b'["a", 1]\n["b", 2', 1, id="a torn end"),
        pytest.param(b'["a", 1]\n["b", 2]', 1, id="an end of line that is missing"),
        pytest.param(b'["a", 1]\n\x00\x00\x00', 1, id="zeros of a crashed machine"),
        pytest.param(b'["a", 1]\n{"b": 2}\n["c", 3]\n', 1, id="something else in the middle"),
        pytest.param(b'["a", 1]\n"xy"\n', 1, id="a text of two letters"),
    ],
)
def test_a_journal_keeps_whole_lines_and_goes_on_behind_them(
    tmp_path: Path, content: bytes, kept: int
) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    with ResultJournal(path) as journal:
        assert len(journal) == kept
        journal.add(key_of("new"), {"deep": [1]})
    with ResultJournal(path) as journal:
        assert len(journal) == kept + 1 and journal[key_of("new")] == {"deep": [1]}


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="cannot be written"), ResultJournal(tmp_path):
        pass
