"""Many attempts at tasks of many languages: each goes to its language's runtime, equal ones once.

Owns the grouping. A language that does not work here is a UserError before anything is asked of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites.protocol import Report
from daybreak_evaluate.task import Task


@dataclass(frozen=True)
class Judging:
    """How attempts are judged."""

    limits: SandboxLimits
    workers: int


def require_runtimes(tasks: Iterable[Task]) -> dict[str, str]:
    """Return language to the version of its runtime; one that does not work here is a UserError with the remedy."""
    versions = {}
    for language in sorted({task.language for task in tasks}):
        found = registry.get(language).probe()
        if not found.works:
            raise UserError(
                f"problems in {language} cannot be run here: {found.remedy}; or choose others by problems.language"
            )
        versions[language] = found.version
    return versions


def verdicts_of(
    attempts: Sequence[Attempt], judging: Judging, activity: str, report: Report
) -> list[SampleVerdict]:
    """Return a verdict for each attempt, in their order."""
    distinct = list(dict.fromkeys(attempts))
    groups: dict[tuple[str, float], list[Attempt]] = {}
    for attempt in distinct:
        timeout_s = attempt.task.timeout_s or judging.limits.timeout_s
        groups.setdefault((attempt.task.language, timeout_s), []).append(attempt)
    found: dict[Attempt, SampleVerdict] = {}
    for (language, timeout_s), group in groups.items():
        limits = replace(judging.limits, timeout_s=timeout_s)
        for index, verdict in registry.get(language).judge(group, limits, judging.workers):
            found[group[index]] = verdict
            report(activity, len(found), len(distinct))
    return [found[attempt] for attempt in attempts]
