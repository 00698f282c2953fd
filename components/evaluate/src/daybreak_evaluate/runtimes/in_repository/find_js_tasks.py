"""Which functions of a JavaScript repository make tasks: found by running its own tests, in the sandbox.

Owns the rule, which is that of Python, by test file: tests that pass twice; one of them fails while the body throws;
all of its file's pass with the body put back. What a mere import needs is no task.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.boxes.values import StepOutcome
from daybreak_evaluate.runtimes.in_repository.find_tasks import SEED, Report
from daybreak_evaluate.runtimes.in_repository.js_functions import (
    JavaScriptFunction,
    functions_in,
    is_body,
    with_marks,
)
from daybreak_evaluate.runtimes.in_repository.js_runners import NODE
from daybreak_evaluate.runtimes.in_repository.js_runtime import verdict_of
from daybreak_evaluate.runtimes.in_repository.js_tests import (
    WHOLE_TIMEOUT_S,
    JavaScriptOrder,
    JavaScriptReport,
    JavaScriptRepository,
    read_report,
)
from daybreak_evaluate.runtimes.in_repository.losses import MISSED, NOT_TRIED, UNREACHED, UNSTEADY, Losses

Steady = Mapping[str, tuple[str, ...]]
"""Test file to the titles that pass twice."""


@dataclass(frozen=True)
class JavaScriptTask:
    """One function and the tests that know it."""

    path: str
    function: JavaScriptFunction
    files: tuple[str, ...] = ()
    """Test files."""
    tests: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The file as it stands in the repository."""
        return f"{self.function.before}{self.function.body}{self.function.behind}"


def find_js_tasks(
    packed: bytes, limit: int, workers: int, report: Report, losses: Losses
) -> list[JavaScriptTask]:
    """Return at most ``limit`` tasks, a random choice; a repository without tests that pass is a UserError."""
    with JavaScriptRepository(packed) as repository:
        found = [
            JavaScriptTask(path, each)
            for path in repository.sources()
            for each in _functions(path, repository.text(path))
        ]
        steady, reached = _steady(repository, found, workers, report)
        candidates = []
        for number, each in enumerate(found):
            files = tuple(file for file in reached.get(number, ()) if file in steady)
            if files:
                candidates.append(JavaScriptTask(each.path, each.function, files))
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


def _functions(path: str, text: str) -> Iterator[JavaScriptFunction]:
    if "\ufffd" in text:
        return
    for each in functions_in(path, text):
        if is_body(path, each.before, each.body, each.behind):
            yield each


def _steady(
    repository: JavaScriptRepository, found: Sequence[JavaScriptTask], workers: int, report: Report
) -> tuple[Steady, Mapping[int, tuple[str, ...]]]:
    """Return the tests that pass twice, once while functions say that they run; and the test files that reach each.

    Node's runner plays each file alone, the others divide them by themselves.
    """
    files = repository.node_tests() if repository.runner.name == NODE else []
    report(f"running all tests by {repository.runner.name}", 0, 2)
    groups: list[tuple[str, ...]] = [(file,) for file in files] or [()]
    plain = [JavaScriptOrder(group, timeout_s=WHOLE_TIMEOUT_S) for group in groups]
    first, said = _reports(repository.run(plain, workers))
    if not any(first.files.values()):
        raise UserError(f"no test of the repository runs here by {repository.runner.name} ({said})")
    marked = tuple(_marked(repository, found))
    second, _ = _reports(
        repository.run(
            [JavaScriptOrder(each.files, texts=marked, timeout_s=WHOLE_TIMEOUT_S) for each in plain], workers
        )
    )
    steady = {}
    for file, told in first.files.items():
        again = second.files.get(file, {})
        passed = tuple(title for title, good in told.items() if good and again.get(title))
        if passed:
            steady[file] = passed
    if not steady:
        raise UserError(
            f"no test of the repository passes here ({said or 'all fail'}); run npm ci, or npm install, first"
        )
    unheard = sum(file not in steady for file in {*first.files, *files})
    left_out = f"; left out: {unheard} files without one" if unheard else ""
    report(f"{sum(map(len, steady.values()))} tests pass twice{left_out}", 2, 2)
    return steady, second.reached


def _marked(repository: JavaScriptRepository, found: Sequence[JavaScriptTask]) -> Iterator[tuple[str, str]]:
    first: dict[str, int] = {}
    functions: dict[str, list[JavaScriptFunction]] = defaultdict(list)
    for number, each in enumerate(found):
        first.setdefault(each.path, number)
        functions[each.path].append(each.function)
    for path, own in functions.items():
        yield path, with_marks(path, repository.text(path), own, first[path])


def _reports(
    played: Iterator[tuple[int, tuple[StepOutcome, ...]]],
) -> tuple[JavaScriptReport, str]:
    """Return what all runs told, and the last that one said which did not come to its end."""
    files: dict[str, dict[str, bool]] = {}
    reached: dict[int, tuple[str, ...]] = {}
    said = ""
    for _, outcomes in sorted(played, key=lambda one: one[0]):
        outcome = outcomes[-1]
        report = read_report(outcome)
        if report is None:
            over = f"it takes more {outcome.overrun} than allowed; " if outcome.overrun else ""
            said = f"{over}{_why(outcome.stderr.strip() or outcome.stdout.strip())}"
            continue
        for file, told in report.files.items():
            mine = files.setdefault(file, {})
            for title, good in told.items():
                mine[title] = good and mine.get(title, True)
        for number, places in report.reached.items():
            reached[number] = (*reached.get(number, ()), *places)
    return JavaScriptReport(files, reached), said


def _why(text: str) -> str:
    """Return the first line that names an error, else the end."""
    lines = text.splitlines()
    return next((line.strip()[:300] for line in lines if "Error" in line), text[-300:])


def _kept(
    repository: JavaScriptRepository,
    candidates: Sequence[JavaScriptTask],
    steady: Steady,
    workers: int,
    losses: Losses,
) -> Iterator[JavaScriptTask]:
    stubs = [
        JavaScriptOrder(each.files, texts=((each.path, each.function.stubbed()),)) for each in candidates
    ]
    telling = []
    for place, outcomes in sorted(repository.run(stubs, workers)):
        each, report = candidates[place], read_report(outcomes[-1])
        told = report.files if report is not None else {}
        files = tuple(
            file
            for file in each.files
            if any(told.get(file, {}).get(title) is False for title in steady[file])
        )
        if files:
            tests = tuple(f"{file}::{title}" for file in files for title in steady[file])
            telling.append(JavaScriptTask(each.path, each.function, files, tests))
    losses[MISSED] += len(candidates) - len(telling)
    whole = [JavaScriptOrder(task.files, task.tests, ((task.path, task.whole),)) for task in telling]
    for place, outcomes in sorted(repository.run(whole, workers)) if whole else ():
        if verdict_of(outcomes[-1]).passed:
            yield telling[place]
        else:
            losses[UNSTEADY] += 1
