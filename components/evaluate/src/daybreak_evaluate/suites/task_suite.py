"""A suite of tasks that are run: prompts, self-test, judging by runtimes, pass@k in all and by language.

Owns everything that suites of runnable problems share; a suite of one's own gives a name and tasks.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.steps import Score
from daybreak_evaluate import passk
from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites.judging import Judging, require_runtimes, verdicts_of
from daybreak_evaluate.suites.protocol import (
    Completer,
    Prompt,
    Report,
    Sampling,
    SuiteOutcome,
    ignore_progress,
)
from daybreak_evaluate.suites.self_test import SelfTest, test_tasks
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_evaluate.task import Task
from daybreak_model.sampling import first_stop

TEMPERATURE, TOP_P = 0.2, 0.95
"""For n > 1 (Chen et al. 2021 use 0.2 for pass@1 and nucleus sampling at 0.95); n = 1 takes the likeliest token."""
NAMED_IN_LOG = 20

logger = logging.getLogger(__name__)


class TaskSuite:
    """Tasks with the settings of one evaluation."""

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        settings: Suite,
        context: SuiteContext,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """``data`` says which problems these are (a digest, a licence): it goes to digest and protocol."""
        self.name = name
        self._all_tasks = tuple(tasks)
        self._settings = settings
        self._context = context
        self._data = dict(data) if data is not None else {}
        self._judging = Judging(SandboxLimits(), context.workers, context.verdicts)
        self._versions: dict[str, str] = {}
        self._self_test: SelfTest | None = None

    @property
    def all_tasks(self) -> tuple[Task, ...]:
        """Return every task of the suite, whatever is asked of a model."""
        return self._all_tasks

    @property
    def metrics(self) -> tuple[str, ...]:
        """pass@k for each k that there are samples for, in all and, where there are several, by language."""
        ks = [k for k in passk.KS if k <= self._settings.samples_per_task]
        languages = sorted({task.language for task in self._chosen()})
        parts = [self.name, *(f"{self.name}/{language}" for language in languages if len(languages) > 1)]
        return tuple(f"{part}/pass@{k}" for part in parts for k in ks)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Settings and data."""
        return {**self._protocol(), "maxTasks": self._settings.max_tasks}

    def tasks(self, report: Report = ignore_progress) -> list[Task]:
        """Return the tasks to ask, all or a random choice, without those that fail their self-test."""
        chosen = self._chosen()
        self._versions = require_runtimes(chosen)
        self._self_test = test_tasks(chosen, self._versions, self._judging, self._context.work_dir, report)
        left_out = self._self_test.left_out
        for name, reason in list(left_out.items())[:NAMED_IN_LOG]:
            logger.warning("task left out", extra={"suite": self.name, "task": name, "reason": reason})
        kept = [task for task in chosen if task.task_id not in left_out]
        if not kept:
            name, reason = next(iter(left_out.items()), ("none", "there is no task"))
            raise UserError(
                f"{self.name}: none of {len(chosen)} tasks passes its self-test; {name}: {reason}"
            )
        return kept

    def _chosen(self) -> list[Task]:
        limit = self._settings.max_tasks
        if limit is None or limit >= len(self._all_tasks):
            return list(self._all_tasks)
        names = [task.task_id for task in self._all_tasks]
        chosen = set(random.Random(f"{self.name}-{self._context.seed}").sample(names, limit))
        return [task for task in self._all_tasks if task.task_id in chosen]

    def prompts(
        self, tasks: Sequence[Task], completer: Completer, report: Report
    ) -> tuple[list[Prompt], Sampling]:
        """Return the tasks' own prompts."""
        sampling = Sampling(
            num_samples=self._settings.samples_per_task,
            temperature=self._temperature(),
            top_p=TOP_P,
            max_new_tokens=self._context.max_new_tokens,
            max_prompt_tokens=self._context.max_prompt_tokens,
            stop=self._common_stops(tasks),
            seed=self._context.seed,
        )
        return [Prompt(task.task_id, task.prompt, task.suffix) for task in tasks], sampling

    def _stops(self, task: Task) -> tuple[str, ...]:
        """A gap has no end of its own but the model's: what stands behind it would be cut off by a language's words."""
        if self._settings.stop_words or task.stop_words or task.suffix is not None:
            return self._settings.stop_words or task.stop_words
        return registry.get(task.language).stop_words

    def _common_stops(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Return what ends every answer: these stop the generation, the others cut the text afterwards."""
        first, *others = dict.fromkeys(self._stops(task) for task in tasks)
        return tuple(word for word in first if all(word in stops for stops in others))

    def judge(
        self, tasks: Sequence[Task], completions: Sequence[Sequence[str]], report: Report
    ) -> SuiteOutcome:
        """Run every completion; equal ones of a task once."""
        attempts = [
            Attempt(task, text[: first_stop(text, self._stops(task))])
            for task, texts in zip(tasks, completions, strict=True)
            for text in texts
        ]
        verdicts = verdicts_of(attempts, self._judging, f"judging {self._settings.name}", report)
        records = tuple(map(_record, attempts, verdicts))
        return SuiteOutcome(self._scores(records), records, {**self._protocol(), **self._found(tasks)})

    def _scores(self, records: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
        scores = []
        for metric in self.metrics:
            part, _, k = metric.rpartition("/pass@")
            language = part.removeprefix(self.name).removeprefix("/")
            counts: dict[str, tuple[int, int]] = {}
            for record in records:
                if not language or record["language"] == language:
                    total, correct = counts.get(record["task_id"], (0, 0))
                    counts[record["task_id"]] = (total + 1, correct + record["passed"])
            if counts:  # a language whose tasks were all left out has no score
                found = passk.estimate(counts)[int(k)]
                scores.append(
                    Score(
                        metric=metric,
                        value=found.value,
                        low=found.low,
                        high=found.high,
                        num_tasks=len(counts),
                    )
                )
        return tuple(scores)

    def _temperature(self) -> float:
        return TEMPERATURE if self._settings.samples_per_task > 1 else 0.0

    def _protocol(self) -> dict[str, Any]:
        stops = sorted({word for task in self._chosen() for word in self._stops(task)})
        return {
            "samplesPerTask": self._settings.samples_per_task,
            "temperature": self._temperature(),
            "topP": TOP_P,
            "stopWords": stops,
            "maxNewTokens": self._context.max_new_tokens,
            "template": "prompt + completion" if self._all_open() else "prompt + completion + suffix",
            "timeoutSeconds": self._judging.limits.timeout_s,
            "seed": self._context.seed,
            **self._data,
        }

    def _all_open(self) -> bool:
        return all(task.suffix is None for task in self._all_tasks)

    def _found(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Return what is known once tasks have been judged."""
        runtimes = {
            language: registry.get(language) for language in sorted({task.language for task in tasks})
        }
        return {
            "sandbox": "; ".join(sorted({str(runtime.tier()) for runtime in runtimes.values()})),
            "runtimes": {
                name: {"version": self._versions.get(name, ""), "isolation": runtime.isolation.value}
                for name, runtime in runtimes.items()
            },
            "selfTest": self._self_test.record() if self._self_test is not None else "not made",
        }


def _record(attempt: Attempt, verdict: SampleVerdict) -> dict[str, Any]:
    return {
        "task_id": attempt.task.task_id,
        "language": attempt.task.language,
        "completion": attempt.completion,
        "result": verdict.result,
        "passed": verdict.passed,
        "kind": verdict.kind.value,
    }
