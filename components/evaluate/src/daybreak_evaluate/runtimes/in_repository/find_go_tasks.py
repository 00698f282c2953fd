"""Which functions of a Go repository make tasks: found by running its own tests, in the sandbox.

Owns the rule, which is that of Python, by package: tests that pass twice; one of them fails while the body panics; all
pass with the body put back. A package with a ``TestMain`` of its own has no tasks: ours says the secret there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.boxes.values import StepOutcome
from daybreak_evaluate.runtimes.in_repository.find_tasks import SEED, Report
from daybreak_evaluate.runtimes.in_repository.functions import MAX_BODY_LINES, MIN_BODY_LINES
from daybreak_evaluate.runtimes.in_repository.go_runtime import NUM_STEPS, GoSurroundings, verdict_of
from daybreak_evaluate.runtimes.in_repository.go_tests import BEGAN, GoOrder, GoRepository, go_program
from daybreak_evaluate.runtimes.in_repository.losses import (
    MISSED,
    NOT_TRIED,
    OUT_OF_SIZE,
    UNSTEADY,
    Losses,
)

STUB = '\tpanic("taken out")\n'
UNTESTED = "its package has no test that passes, or a TestMain of its own"
_PASSED = re.compile(r"^--- PASS: (\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class GoTask:
    """One function and the tests of its package."""

    path: str
    package: str
    name: str
    first_line: int
    before: str
    body: str
    behind: str
    again: str
    tests: tuple[str, ...]

    def order(self, body: str) -> GoOrder:
        """Return the order that judges a body."""
        again = f"{self.again}\n{self.body}}}\n"
        place = GoSurroundings(self.path, self.package, self.before, self.behind, again, self.tests)
        return place.filled(body)


def find_go_tasks(packed: bytes, limit: int, workers: int, report: Report, losses: Losses) -> list[GoTask]:
    """Return at most ``limit`` tasks, a random choice; a repository without tests that pass is a UserError."""
    go = go_program()
    if go is None:
        raise UserError("a go.mod, and no Go on this machine: install Go")
    with GoRepository(packed, go) as repository:
        found = repository.functions()
        report("compiling", 0, 2)
        tests = _steady(repository, found["folders"], workers, report)
        candidates = list(_candidates(repository, found, tests, losses))
        random.Random(SEED).shuffle(candidates)
        kept: list[GoTask] = []
        for start in range(0, len(candidates), 4 * workers):
            kept += _kept(repository, candidates[start : start + 4 * workers], workers, losses)
            tried = min(len(candidates), start + 4 * workers)
            report("taking bodies out", tried, len(candidates))
            if len(kept) >= limit:
                losses[NOT_TRIED] += len(candidates) - tried + len(kept) - limit
                break
    return sorted(kept[:limit], key=lambda task: (task.path, task.first_line))


def _steady(
    repository: GoRepository, folders: dict[str, Any], workers: int, report: Report
) -> dict[str, tuple[str, ...]]:
    tested = [
        (name, each["package"])
        for name, each in sorted(folders.items())
        if each["tested"] and each["package"] and not each["has_main"]
    ]
    if not tested:
        raise UserError("no package of the repository has tests without a TestMain of its own")
    repository.warm([name for name, _ in tested])
    first = dict(repository.run([GoOrder(name, package) for name, package in tested], workers))
    again = []
    for place, (name, package) in enumerate(tested):
        passed = tuple(dict.fromkeys(_PASSED.findall(first[place][-1].stdout)))
        if passed:
            again.append(GoOrder(name, package, tests=passed))
    second = repository.run(again, workers)
    steady = {again[place].folder: again[place].tests for place, outcomes in second if _is_good(outcomes)}
    if not steady:
        said = next((outcomes[-1].stderr.strip()[-300:] for outcomes in first.values()), "")
        raise UserError(f"no test of the repository passes here ({said}); run go mod download first")
    own = [name for name, each in sorted(folders.items()) if each["tested"] and each["has_main"]]
    left_out = f"; left out for a TestMain of their own: {', '.join(own)}" if own else ""
    report(f"{sum(map(len, steady.values()))} tests pass twice{left_out}", 2, 2)
    return steady


def _is_good(outcomes: tuple[StepOutcome, ...]) -> bool:
    return outcomes[-1].status == 0 and outcomes[-1].secret_seen


def _candidates(
    repository: GoRepository, found: dict[str, Any], tests: dict[str, tuple[str, ...]], losses: Losses
) -> Iterator[GoTask]:
    for each in found["functions"]:
        path = each["path"]
        folder = path.rpartition("/")[0] or "."
        if folder not in tests:
            losses[UNTESTED] += 1
            continue
        data = (repository.place / path).read_bytes()
        try:
            before, body, behind = (
                part.decode("utf-8")
                for part in (data[: each["begin"]], data[each["begin"] : each["end"]], data[each["end"] :])
            )
        except UnicodeDecodeError:
            continue
        if MIN_BODY_LINES <= sum(bool(line.strip()) for line in body.split("\n")) <= MAX_BODY_LINES:
            package = found["folders"][folder]["package"]
            place = (path, package, each["name"], each["line"])
            yield GoTask(*place, before, body, behind, each["again"], tests[folder])
        else:
            losses[OUT_OF_SIZE] += 1


def _kept(
    repository: GoRepository, candidates: Sequence[GoTask], workers: int, losses: Losses
) -> Iterator[GoTask]:
    stubbed = repository.run([each.order(STUB + each.body) for each in candidates], workers)
    telling = [candidates[place] for place, outcomes in sorted(stubbed) if _tells(outcomes)]
    losses[MISSED] += len(candidates) - len(telling)
    if telling:
        whole = sorted(repository.run([each.order(each.body) for each in telling], workers))
        good = [telling[place] for place, outcomes in whole if verdict_of(outcomes).passed]
        losses[UNSTEADY] += len(telling) - len(good)
        yield from good


def _tells(outcomes: tuple[StepOutcome, ...]) -> bool:
    """Tell whether the tests began and then failed; where not even they began, no body would be told from another."""
    last = outcomes[-1]
    return len(outcomes) == NUM_STEPS and BEGAN in last.stdout and last.status != 0 and not last.overrun
