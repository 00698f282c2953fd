"""Which functions of a JavaScript repository make tasks: found by running its own tests, in the sandbox.

Owns the rule, which is that of Python, by test file: tests that pass twice; one of them fails while the body throws;
all of its file's pass with the body put back. What a mere import needs is no task.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.in_repository.find_tasks import SEED, Report
from daybreak_evaluate.runtimes.in_repository.js_functions import JavaScriptFunction, functions_in, is_body
from daybreak_evaluate.runtimes.in_repository.js_runtime import verdict_of
from daybreak_evaluate.runtimes.in_repository.js_tests import (
    JavaScriptOrder,
    JavaScriptRepository,
    reached_by,
    told_by,
)
from daybreak_evaluate.runtimes.in_repository.losses import MISSED, NOT_TRIED, UNREACHED, UNSTEADY, Losses


@dataclass(frozen=True)
class JavaScriptTask:
    """One function and the tests that know it."""

    path: str
    function: JavaScriptFunction
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


def find_js_tasks(
    packed: bytes, limit: int, workers: int, report: Report, losses: Losses
) -> list[JavaScriptTask]:
    """Return at most ``limit`` tasks, a random choice; a repository without tests that pass is a UserError."""
    with JavaScriptRepository(packed) as repository:
        tests, others = repository.sources()
        if not tests:
            raise UserError(
                "no file imports node:test; of JavaScript, tests for Node's own runner are run (no jest, mocha, vitest)"
            )
        steady, reached = _steady(repository, tests, workers, report)
        found = [JavaScriptTask(path, each) for path in others for each in _functions(repository, path)]
        candidates = [each for each in found if (each.path, each.function.end) in reached]
        losses[UNREACHED] += len(found) - len(candidates)
        random.Random(SEED).shuffle(candidates)
        kept: list[JavaScriptTask] = []
        for start in range(0, len(candidates), 4 * workers):
            kept += _kept(repository, candidates[start : start + 4 * workers], steady, workers, losses)
            tried = min(len(candidates), start + 4 * workers)
            report("taking bodies out", tried, len(candidates))
            if len(kept) >= limit:
                losses[NOT_TRIED] += len(candidates) - tried + len(kept) - limit
                break
    return sorted(kept[:limit], key=lambda task: (task.path, task.function.first_line))


def _steady(
    repository: JavaScriptRepository, files: Sequence[str], workers: int, report: Report
) -> tuple[dict[str, tuple[str, ...]], set[tuple[str, int]]]:
    """Return the tests that pass twice, by file, each file run alone; and the functions that ran then."""
    report("running all tests", 0, 2)
    orders = [JavaScriptOrder((file,)) for file in files]
    first = {place: outcomes[-1] for place, outcomes in repository.run(orders, workers)}
    second = {place: told_by(outcomes[-1]) for place, outcomes in repository.run(orders, workers)}
    steady = {}
    for place, file in enumerate(files):
        told = told_by(first[place])
        passed = tuple(name for name in told if told[name] and second[place].get(name))
        if passed:
            steady[file] = passed
    if not steady:
        said = next(
            (each.stderr.strip()[-300:] for each in first.values() if each.stderr.strip()), "none is told"
        )
        raise UserError(f"no test of the repository passes here ({said}); run npm ci --omit=dev first")
    unheard = len(files) - len(steady)
    left_out = f"; left out: {unheard} files without one" if unheard else ""
    report(f"{sum(map(len, steady.values()))} tests pass twice{left_out}", 2, 2)
    reached = {
        place for number, file in enumerate(files) if file in steady for place in reached_by(first[number])
    }
    return steady, reached


def _functions(repository: JavaScriptRepository, path: str) -> Iterator[JavaScriptFunction]:
    try:
        text = (repository.place / path).read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return
    for each in functions_in(text):
        if is_body(each.before, each.body, each.behind):
            yield each


def _kept(
    repository: JavaScriptRepository,
    candidates: Sequence[JavaScriptTask],
    steady: dict[str, tuple[str, ...]],
    workers: int,
    losses: Losses,
) -> Iterator[JavaScriptTask]:
    stubs = [JavaScriptOrder(tuple(steady), None, each.path, each.function.stubbed()) for each in candidates]
    telling = []
    for place, outcomes in sorted(repository.run(stubs, workers)):
        told = told_by(outcomes[-1])
        files = tuple(
            file for file, names in steady.items() if any(told.get(name) is False for name in names)
        )
        if files:
            tests = tuple(name for file in files for name in steady[file])
            telling.append(JavaScriptTask(candidates[place].path, candidates[place].function, files, tests))
    whole = [
        JavaScriptOrder(
            task.files,
            task.tests,
            task.path,
            f"{task.function.before}{task.function.body}{task.function.behind}",
        )
        for task in telling
    ]
    losses[MISSED] += len(candidates) - len(telling)
    for place, outcomes in sorted(repository.run(whole, workers)) if whole else ():
        if verdict_of(outcomes[-1]).passed:
            yield telling[place]
        else:
            losses[UNSTEADY] += 1
