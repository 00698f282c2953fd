"""Which functions of a repository make tasks: found by running its own tests, in the sandbox.

Owns the rule. A function is kept when tests that pass twice reach it, when at least one of them fails while its body
raises, and when its own body, put back, passes those. What a mere import needs is no task: everything would fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.in_repository import snapshot
from daybreak_evaluate.runtimes.in_repository.functions import MaskedFunction, functions_in
from daybreak_evaluate.runtimes.in_repository.losses import MISSED, NOT_TRIED, UNREACHED, UNSTEADY, Losses
from daybreak_evaluate.runtimes.in_repository.runtime import (
    MIN_TIMEOUT_S,
    RunnerOrder,
    RunnerReport,
    run_tests,
)

SEED = 0
SUITE_TIMEOUT_S = 1800.0
"""Processor time of all tests of the repository together."""
Report = Callable[[str, float, float], None]


@dataclass(frozen=True)
class RepositoryTask:
    """One function and the tests that know it."""

    path: str
    function: MaskedFunction
    tests: tuple[str, ...]


def find_tasks(
    folder: Path, packed: bytes, limit: int, workers: int, report: Report, *, losses: Losses
) -> list[RepositoryTask]:
    """Return at most ``limit`` tasks, a random choice; a repository without tests that pass is a UserError."""
    report("running all tests", 0, 2)
    candidates = _candidates(folder, _steady(packed, workers, report), losses)
    random.Random(SEED).shuffle(candidates)
    found: list[RepositoryTask] = []
    for start in range(0, len(candidates), 4 * workers):
        found += _kept(packed, candidates[start : start + 4 * workers], workers, losses)
        tried = min(len(candidates), start + 4 * workers)
        report("taking bodies out", tried, len(candidates))
        if len(found) >= limit:
            losses[NOT_TRIED] += len(candidates) - tried + len(found) - limit
            break
    return sorted(found[:limit], key=lambda task: (task.path, task.function.first_line))


def _steady(packed: bytes, workers: int, report: Report) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the tests that pass twice, by the functions that they reach."""
    orders = [RunnerOrder("", "", watch=True, stop=False), RunnerOrder("", "", stop=False)]
    first, second = (found for _, found in sorted(run_tests(packed, orders, SUITE_TIMEOUT_S, workers)))
    for one in (first, second):
        if one.problem is not None:
            raise UserError(f"the repository's tests do not run here: {one.problem.result}")
    steady = first.passed & second.passed
    if not steady:
        why = next(iter(first.failed.values()), "pytest found none").strip().splitlines()[-1:]
        raise UserError(
            f"no test of the repository passes here ({''.join(why)}); install what it needs beside Daybreak"
        )
    report(f"{len(steady)} tests pass twice", 2, 2)
    return {place: tuple(t for t in tests if t in steady) for place, tests in first.functions.items()}


def _candidates(
    folder: Path, tests_of: dict[tuple[str, int], tuple[str, ...]], losses: Losses
) -> list[RepositoryTask]:
    found = []
    for path in snapshot.files_of(folder):
        if path.endswith(".py") and not _is_test(path):
            for function in functions_in(_text(folder / path)):
                tests = tests_of.get((path, function.first_line))
                if tests:
                    found.append(RepositoryTask(path, function, tests))
                else:
                    losses[UNREACHED] += 1
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _is_test(path: str) -> bool:
    *folders, name = path.split("/")
    named = name.startswith("test_") or name.endswith("_test.py") or name in ("conftest.py", "setup.py")
    return named or any(folder in ("test", "tests", "testing", "docs", "examples") for folder in folders)


def _kept(
    packed: bytes, candidates: Sequence[RepositoryTask], workers: int, losses: Losses
) -> Iterator[RepositoryTask]:
    orders = [RunnerOrder(each.path, each.function.stubbed(), each.tests, stop=False) for each in candidates]
    stubbed = dict(run_tests(packed, orders, MIN_TIMEOUT_S, workers))
    telling = []
    for place, candidate in enumerate(candidates):
        tests = _telling(candidate, stubbed[place])
        if tests:
            telling.append(RepositoryTask(candidate.path, candidate.function, tests))
    losses[MISSED] += len(candidates) - len(telling)
    if not telling:
        return
    whole = [
        RunnerOrder(each.path, each.function.before + each.function.body + each.function.behind, each.tests)
        for each in telling
    ]
    for place, report in sorted(run_tests(packed, whole, MIN_TIMEOUT_S, workers)):
        if report.problem is None and report.passed >= set(telling[place].tests):
            yield telling[place]
        else:
            losses[UNSTEADY] += 1


def _telling(candidate: RepositoryTask, report: RunnerReport) -> tuple[str, ...]:
    """Return the tests that ran and failed by the stub; none of them where not even the import works."""
    if report.problem is not None:
        return ()
    return tuple(test for test in candidate.tests if test in report.failed)
