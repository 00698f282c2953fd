"""Held-out completion: reading shards, drawing lines, scoring what a completer says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate.held_out import documents_in
from daybreak_evaluate.suites.held_out_completion import HeldOutCompletion, HeldOutTask, HeldOutText
from daybreak_evaluate.suites.protocol import Prompt, Report, Sampling
from daybreak_model.repository_context import NO_SURROUNDINGS, ContextFile, FileMarks, Surroundings
from daybreak_model.token_rows import TokenRows

CODE = "".join(f"value_{number} = compute(value_{number - 1}, {number})\n" for number in range(1, 40))
END, PAD = 0, 1


class Letters:
    """Rows of one token a character."""

    def __init__(self, *texts: str) -> None:
        self.rows = [np.array([ord(letter) for letter in text] + [END, PAD, PAD]) for text in texts]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.rows[number]


def suite_of(
    rows: object, max_tasks: int | None = 5, seed: int = 0, marks: FileMarks | None = None
) -> HeldOutCompletion:
    text = HeldOutText(
        rows=rows,  # type: ignore[arg-type]
        decode=lambda ids: "".join(map(chr, ids)),
        end_of_text=END,
        pad=PAD,
        marks=marks,
    )
    return HeldOutCompletion(
        lambda: text,
        Suite(name="HeldOutCompletion", max_tasks=max_tasks),
        seed=seed,
        max_prompt_tokens=100,
        in_repository=marks is not None,
    )


class Oracle:
    """Knows the text by heart, and whether it likes to see what stands behind the cursor."""

    def __init__(self, likes_suffix: bool, wrong: str = "") -> None:
        self.likes_suffix = likes_suffix
        self.wrong = wrong
        self.asked: list[Prompt] = []

    def complete(self, prompts: Sequence[Prompt], sampling: Sampling, report: Report) -> list[list[str]]:
        self.asked = list(prompts)
        assert sampling.stop == ("\n",)
        return [[CODE[len(prompt.prefix) :].split("\n")[0] + self.wrong] for prompt in prompts]

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        return 1.0 if (prompts[0].suffix is not None) == self.likes_suffix else 2.0


def ignore(activity: str, done: float, total: float) -> None:
    """Take no notice of progress."""


def play(suite: HeldOutCompletion, oracle: Oracle) -> dict[str, float]:
    tasks = suite.tasks()
    prompts, sampling = suite.prompts(tasks, oracle, ignore)
    outcome = suite.judge(tasks, oracle.complete(prompts, sampling, ignore), ignore)
    return {score.metric: score.value for score in outcome.scores}


def test_who_knows_the_text_scores_one_everywhere() -> None:
    suite = suite_of(Letters(CODE))
    assert play(suite, Oracle(likes_suffix=True)) == dict.fromkeys(suite.metrics, 1.0)


def test_a_model_of_repositories_is_asked_without_and_with_the_files_before() -> None:
    text = f"\x02o/r\x03a.py\nfirst = 1\n\x03b.py\n{CODE}"
    marks = FileMarks(repository=2, separator=3, line_ends=frozenset({ord("\n")}))
    suite = suite_of(Letters(text), marks=marks)
    oracle = Oracle(likes_suffix=True)
    tasks = suite.tasks()
    assert tasks and all(task.text == CODE for task in tasks), "paths are no code"
    assert tasks[0].around == Surroundings((ContextFile("a.py", "first = 1\n"),), "b.py")
    assert play(suite, oracle) == dict.fromkeys(suite.metrics, 1.0)
    assert "held-out/next-line-in-repository-exact" in suite.metrics
    assert "held-out/next-line-exact" in suite.metrics
    kinds = [prompt.around == NO_SURROUNDINGS for prompt in oracle.asked[:4]]
    assert kinds == [True, True, False, False]


def test_nearly_right_is_no_exact_match_but_similar() -> None:
    scores = play(suite_of(Letters(CODE)), Oracle(likes_suffix=True, wrong="!"))
    assert scores["held-out/next-line-exact"] == scores["held-out/middle-exact"] == 0.0
    assert 0.8 < scores["held-out/next-line-similarity"] < 1.0
    assert 0.5 < scores["held-out/middle-similarity"] < 1.0


def test_trailing_white_space_is_forgiven() -> None:
    assert (
        play(suite_of(Letters(CODE)), Oracle(likes_suffix=True, wrong="  \t"))["held-out/middle-exact"] == 1.0
    )


@pytest.mark.parametrize("likes_suffix", [True, False])
def test_the_middle_is_asked_for_in_the_way_that_the_model_knows(likes_suffix: bool) -> None:
    oracle, suite = Oracle(likes_suffix), suite_of(Letters(CODE))
    play(suite, oracle)
    middles = [prompt for prompt in oracle.asked if prompt.key.endswith("middle")]
    assert middles and all((prompt.suffix is not None) == likes_suffix for prompt in middles)
    if likes_suffix:
        for prompt in middles:
            assert (
                prompt.suffix is not None and prompt.suffix.startswith("\n") and CODE.endswith(prompt.suffix)
            )


def test_tasks_repeat_for_a_seed_and_change_with_it() -> None:
    rows = Letters(CODE, CODE[::-1].replace("\n", " \n"), CODE.upper())
    assert suite_of(rows, seed=3).tasks() == suite_of(rows, seed=3).tasks()
    assert suite_of(rows, seed=3).tasks() != suite_of(rows, seed=4).tasks()


def test_a_task_has_two_different_lines_of_the_text() -> None:
    for task in suite_of(Letters(CODE), max_tasks=None).tasks():
        assert isinstance(task, HeldOutTask)
        line = task.text[slice(*task.next_line)]
        assert line in CODE.split("\n") and task.text[task.next_line[1]] == "\n"
        assert task.middle[0] < task.middle[1] and "\n" not in task.text[slice(*task.middle)]
        assert not task.next_line[0] <= task.middle[0] <= task.next_line[1]


@pytest.mark.parametrize(("max_tasks", "scored", "probed"), [(1, 1, 7), (4, 4, 4), (100, 4, 4)])
def test_no_more_tasks_are_scored_than_asked_for(max_tasks: int, scored: int, probed: int) -> None:
    suite = suite_of(Letters(CODE), max_tasks)
    tasks = suite.tasks()
    assert len(tasks) == 8
    assert [len(part) for part in suite._split(tasks)] == [scored, probed]


def test_more_tasks_than_lines_gives_what_there_is() -> None:
    assert 1 <= len(suite_of(Letters(CODE), max_tasks=1000).tasks()) <= 8


@pytest.mark.parametrize("rows", [Letters(), Letters("x = 1\n"), Letters("\n" * 500)])
def test_nothing_to_complete_is_the_users_to_mend(rows: Letters) -> None:
    with pytest.raises(UserError, match="no line to complete"):
        suite_of(rows).tasks()


def test_rows_are_read_as_streaming_wrote_them(shards_uri: str) -> None:
    rows = TokenRows(f"{shards_uri}/held_out")
    assert len(list(Path(shards_uri, "held_out").glob("*.mds"))) > 1
    assert all(len(rows[number]) == 512 for number in range(len(rows)))
    assert sum(int((rows[number] == 0).sum()) for number in range(len(rows))) == 2  # two documents end


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param([5, 6, END, 7], [[5, 6], [7]], id="one ends, another is cut off"),
        pytest.param([END, END], [], id="nothing between two ends"),
        pytest.param([5, END, PAD, PAD], [[5]], id="filled up"),
    ],
)
def test_documents_in_a_row(row: list[int], expected: list[list[int]]) -> None:
    assert list(documents_in(np.array(row), END, PAD)) == expected
