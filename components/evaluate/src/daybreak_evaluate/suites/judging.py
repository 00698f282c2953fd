"""Many attempts at tasks of many languages: each goes to its language's runtime, equal ones once.

Owns the grouping. A language that does not work here is a UserError before anything is asked of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from daybreak_contracts.errors import UserError
from daybreak_evaluate.journal import ResultJournal, key_of
from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites.protocol import Report
from daybreak_evaluate.task import Task

PROTOCOL_VERSION = 2
"""Raised when the same attempt may get another verdict."""


@dataclass(frozen=True)
class Judging:
    """How attempts are judged."""

    limits: SandboxLimits
    workers: int
    kept: ResultJournal | None = None
    """Verdicts that are known already, and where new ones go as they come."""


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
        for attempt, verdict in _judged(group, language, replace(judging, limits=limits)):
            found[attempt] = verdict
            report(activity, len(found), len(distinct))
    return [found[attempt] for attempt in attempts]


def _judged(
    group: Sequence[Attempt], language: str, judging: Judging
) -> Iterator[tuple[Attempt, SampleVerdict]]:
    """Yield the verdicts of one language: those that are kept, then those of the others as they come."""
    runtime = registry.get(language)
    kept = judging.kept if judging.kept is not None else ResultJournal(None)
    tier = runtime.tier()
    how = [PROTOCOL_VERSION, runtime.probe().version, tier.level, tier.name, asdict(judging.limits)]
    keys = {attempt: key_of("verdict", how, asdict(attempt)) for attempt in group}
    for attempt in group:
        if keys[attempt] in kept:
            yield attempt, SampleVerdict.from_json(kept[keys[attempt]])
    missing = [attempt for attempt in group if keys[attempt] not in kept]
    if missing:
        for index, verdict in runtime.judge(missing, judging.limits, judging.workers):
            kept.add(keys[missing[index]], verdict.to_json())
            yield missing[index], verdict
