"""Held-out completion: the next line, and the rest of a line in the middle, of code that training never saw.

Owns the drawing of tasks and their two measures: exact match and edit similarity, both after trailing white space is
taken away. Text comes from the held-out part of the run's own shards.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.steps import Score
from daybreak_evaluate import intervals
from daybreak_evaluate.held_out import documents_in
from daybreak_evaluate.similarity import similarity
from daybreak_evaluate.suites.protocol import (
    Completer,
    Prompt,
    Report,
    Sampling,
    SuiteOutcome,
    ignore_progress,
)
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_model.repository_context import (
    NO_SURROUNDINGS,
    ContextFile,
    FileMarks,
    Surroundings,
    files_of,
)
from daybreak_model.token_rows import TokenRows

NAME = "held-out"
DEFAULT_TASKS = 1000
NUM_PROBES = 16
"""Tasks beyond the scored ones on which it is found out whether the model knows fill-in-the-middle."""
TASKS_PER_ROW = 8
MIN_CONTEXT_CHARACTERS = 80
MIN_LINE_CHARACTERS = 4
"""Lines of less than this, white space apart, are brackets and blanks: they are not asked for."""
MAX_LINE_CHARACTERS = 200
MAX_NEW_TOKENS = 64
MAX_PROMPT_TOKENS = 384
"""Context of a line: an editor sends about this much, and the processor's time grows with it."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
IN_REPOSITORY = "-in-repository"
"""Ends the name of what was asked with other files of the repository in front."""
METRICS = ("next-line-exact", "next-line-similarity", "middle-exact", "middle-similarity")


@dataclass(frozen=True)
class HeldOutTask:
    """A text, a line of it to be written from nothing, and a line to be written from a column on."""

    name: str
    text: str
    next_line: tuple[int, int]
    """Characters of the whole line, its end of line left out."""
    middle: tuple[int, int]
    around: Surroundings = NO_SURROUNDINGS
    """What stands before the text in its row: its path, and other files of the repository."""


@dataclass(frozen=True)
class HeldOutText:
    """Where lines are drawn from, and what the model's tokens mean."""

    rows: TokenRows
    decode: Callable[[Sequence[int]], str]
    end_of_text: int
    pad: int
    marks: FileMarks | None = None
    """Where the model was trained on repositories in one piece: it is asked without other files and with them."""


class HeldOutCompletion:
    """The suite with its settings."""

    name = NAME

    def __init__(
        self,
        text: Callable[[], HeldOutText],
        settings: Suite,
        *,
        seed: int,
        max_prompt_tokens: int,
        in_repository: bool = False,
    ) -> None:
        """``text`` is asked for when tasks are drawn: the model must have been loaded by then."""
        self.samples_per_task = settings.samples_per_task
        self.max_tasks = settings.max_tasks
        self.seed = seed
        self.max_prompt_tokens = max_prompt_tokens
        self._in_repository = in_repository
        self._text = functools.cache(text)
        self._fill_in_the_middle = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """Exact match and edit similarity of both kinds."""
        return all_metrics(in_repository=self._in_repository)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Settings; the text is named by the shards' digest."""
        return {"samplesPerTask": self.samples_per_task, "maxTasks": self.max_tasks, "seed": self.seed}

    def tasks(self, report: Report = ignore_progress) -> list[HeldOutTask]:
        """Draw tasks row by row in a random order, one a row and round; the probes come last."""
        wanted, num_rows = self._num_wanted() + NUM_PROBES, len(self._text().rows)
        order = sorted(range(num_rows), key=lambda row: random.Random(f"{self.seed}-{row}").random())
        tasks: list[HeldOutTask] = []
        for turn in range(TASKS_PER_ROW):
            for row in order:
                if len(tasks) == wanted:
                    return tasks
                task = self._draw(row, turn)
                if task is not None:
                    tasks.append(task)
        if not tasks:
            raise UserError(
                f"the held-out part has no line to complete in its {num_rows} rows; "
                "give the run more repositories or packages, so that some are held out"
            )
        return tasks

    def _num_wanted(self) -> int:
        return self.max_tasks or DEFAULT_TASKS

    def _split(self, tasks: Sequence[HeldOutTask]) -> tuple[Sequence[HeldOutTask], Sequence[HeldOutTask]]:
        """Return the tasks that are scored and those that are probed; where there are few, half each."""
        count = min(self._num_wanted(), max(len(tasks) - NUM_PROBES, (len(tasks) + 1) // 2))
        return tasks[:count], tasks[count:] or tasks

    def _draw(self, row: int, turn: int) -> HeldOutTask | None:
        generator = random.Random(f"{self.seed}-{row}-{turn}")
        source = self._text()
        documents = list(documents_in(source.rows[row], source.end_of_text, source.pad))
        if not documents:
            return None
        ids = generator.choices(documents, [len(ids) for ids in documents])[0]
        around = NO_SURROUNDINGS
        if source.marks is not None:
            files = [file for file in files_of(ids, source.marks) if file[1]]
            if not files:
                return None
            place = generator.choices(range(len(files)), [len(text) for _, text in files])[0]
            others = tuple(ContextFile(self._path(head), source.decode(text)) for head, text in files[:place])
            around = Surroundings(others, self._path(files[place][0]) or None)
            ids = files[place][1]
        text = source.decode(ids)
        lines = _lines_to_ask_for(text)
        if len(lines) < 2:
            return None
        next_line, (start, end) = generator.sample(lines, 2)
        indent = len(text[start:end]) - len(text[start:end].lstrip())
        column = generator.randrange(start + indent, end - 1)
        return HeldOutTask(f"{row}-{turn}", text, next_line, (column, end), around)

    def _path(self, opening: Sequence[int]) -> str:
        """Return the path in what stands before a file; empty where a sample begins within the file."""
        return self._text().decode(opening[1:]).rstrip("\n")

    def prompts(
        self, tasks: Sequence[HeldOutTask], completer: Completer, report: Report
    ) -> tuple[list[Prompt], Sampling]:
        """Return two prompts a task: for the next line, and for the middle."""
        scored, probes = self._split(tasks)
        self._fill_in_the_middle = self._knows_fill_in_the_middle(probes, completer, report)
        prompts = []
        for task in scored:
            asked = [
                Prompt(f"{task.name}-next", task.text[: task.next_line[0]]),
                _middle_prompt(task, self._fill_in_the_middle),
            ]
            prompts += asked
            if self._in_repository:
                prompts += [replace(prompt, around=task.around) for prompt in asked]
        sampling = Sampling(
            num_samples=self.samples_per_task,
            temperature=0.2 if self.samples_per_task > 1 else 0.0,
            top_p=0.95,
            max_new_tokens=MAX_NEW_TOKENS,
            max_prompt_tokens=self.max_prompt_tokens,
            stop=("\n",),
            seed=self.seed,
        )
        return prompts, sampling

    def _knows_fill_in_the_middle(
        self, probes: Sequence[HeldOutTask], completer: Completer, report: Report
    ) -> bool:
        """A model knows it when the text behind the cursor makes the answer likelier instead of unlikelier."""
        answers = [task.text[slice(*task.middle)] for task in probes]
        with_suffix = completer.surprise([_middle_prompt(task, True) for task in probes], answers, report)
        without = completer.surprise([_middle_prompt(task, False) for task in probes], answers, report)
        return with_suffix < without

    def judge(
        self, tasks: Sequence[HeldOutTask], completions: Sequence[Sequence[str]], report: Report
    ) -> SuiteOutcome:
        """Compare each completion with the line that stood there."""
        scored, _ = self._split(tasks)
        records = []
        for index, task in enumerate(scored):
            kinds = self._kinds()
            answers = completions[len(kinds) * index : len(kinds) * (index + 1)]
            for kind, texts in zip(kinds, answers, strict=True):
                place = task.middle if kind.startswith("middle") else task.next_line
                truth = task.text[slice(*place)]
                records += [_record(task, kind, truth, text) for text in texts]
        return SuiteOutcome(self._scores(records), tuple(records), self._protocol())

    def _kinds(self) -> tuple[str, ...]:
        """Return what is asked of each task, in the order of the prompts."""
        alone = ("next-line", "middle")
        return alone if not self._in_repository else (*alone, *(f"{kind}{IN_REPOSITORY}" for kind in alone))

    def _scores(self, records: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
        scores = []
        for metric in (name.partition("/")[2] for name in self.metrics):
            kind, _, field = metric.rpartition("-")
            means: dict[str, list[float]] = {}
            for record in records:
                if record["kind"] == kind:
                    means.setdefault(record["task_id"], []).append(float(record[field]))
            found = intervals.of_mean(
                [sum(values) / len(values) for values in means.values()],
                sum(map(len, means.values())) if field == "exact" else math.inf,
            )
            scores.append(
                Score(
                    metric=f"{NAME}/{metric}",
                    value=found.value,
                    low=found.low,
                    high=found.high,
                    num_tasks=len(means),
                )
            )
        return tuple(scores)

    def _protocol(self) -> dict[str, Any]:
        middle = "prefix, suffix, middle" if self._fill_in_the_middle else "left context only"
        return {
            "samplesPerTask": self.samples_per_task,
            "temperature": 0.2 if self.samples_per_task > 1 else 0.0,
            "maxNewTokens": MAX_NEW_TOKENS,
            "maxPromptTokens": self.max_prompt_tokens,
            "stopWords": ["\n"],
            "middlePrompt": f"{middle} (found out on {NUM_PROBES} tasks that are not scored)",
            "compared": "without trailing white space",
            **(
                {}
                if not self._in_repository
                else {"inRepository": "path and the files before it in its row in front"}
            ),
            "seed": self.seed,
        }


def make(suite: Suite, context: SuiteContext) -> HeldOutCompletion:
    """Return the suite with its settings; rows and model are asked for when tasks are drawn."""

    def text() -> HeldOutText:
        if context.model is None or context.held_out is None:
            raise UserError(
                f"{suite.name} needs a run's held-out rows and its model: it takes no other answers"
            )
        model = context.model()
        return HeldOutText(
            rows=TokenRows(str(context.held_out())),
            decode=model.decode,
            end_of_text=model.end_of_text,
            pad=model.pad,
            marks=model.marks if context.in_repository else None,
        )

    return HeldOutCompletion(
        text,
        suite,
        seed=context.seed,
        max_prompt_tokens=min(MAX_PROMPT_TOKENS, context.context_length // 2),
        in_repository=context.in_repository,
    )


def all_metrics(*, in_repository: bool) -> tuple[str, ...]:
    """Return what this suite reports, whatever its settings."""
    alone = [metric.rpartition("-") for metric in METRICS]
    endings = ("", IN_REPOSITORY) if in_repository else ("",)
    return tuple(f"{NAME}/{kind}{ending}-{field}" for ending in endings for kind, _, field in alone)


def _lines_to_ask_for(text: str) -> list[tuple[int, int]]:
    """Return begin and end of lines with some context before them and a line end behind them."""
    places = []
    start = 0
    for line in text.split("\n")[:-1]:
        end = start + len(line)
        long_enough = len(line.strip()) >= MIN_LINE_CHARACTERS and len(line) <= MAX_LINE_CHARACTERS
        if long_enough and start >= MIN_CONTEXT_CHARACTERS and REPLACEMENT not in line:
            places.append((start, len(line.rstrip()) + start))
        start = end + 1
    return places


def _middle_prompt(task: HeldOutTask, fill_in_the_middle: bool) -> Prompt:
    start, end = task.middle
    suffix = task.text[end:] if fill_in_the_middle else None
    return Prompt(f"{task.name}-middle", task.text[:start], suffix)


def _record(task: HeldOutTask, kind: str, truth: str, text: str) -> dict[str, Any]:
    expected, found = truth.rstrip(), text.rstrip()
    return {
        "task_id": task.name,
        "kind": kind,
        "completion": text,
        "expected": truth,
        "passed": expected == found,
        "exact": expected == found,
        "similarity": round(similarity(expected, found), 6),
    }
