"""The runtime of a Go repository's tests: the answer becomes a function's body, its package's tests must all pass.

Owns what outcomes mean. Tests and answer share a process (``in-process``): the verdict needs a secret that is read
before the first test and written after the last, when none has failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from daybreak_evaluate.judge.values import (
    PASSED,
    FailureKind,
    SampleVerdict,
    SandboxLimits,
    Tier,
    failed,
)
from daybreak_evaluate.runtimes import definition
from daybreak_evaluate.runtimes.boxes.pool import reached_tier
from daybreak_evaluate.runtimes.boxes.values import StepOutcome
from daybreak_evaluate.runtimes.in_repository import GO_LANGUAGE
from daybreak_evaluate.runtimes.in_repository.go_tests import GoOrder, GoRepository, go_program
from daybreak_evaluate.runtimes.in_repository.runtime import by_snapshot, overrun_verdict
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation

NUM_STEPS = 3
SIDECAR = "failed to start telemetry sidecar"


@dataclass(frozen=True)
class GoSurroundings:
    """What stands around a body, and the tests that know it."""

    path: str
    package: str
    before: str
    behind: str
    again: str
    """What the function was once, nameless: it stands below, so that every import is still used."""
    tests: tuple[str, ...]

    def filled(self, body: str) -> GoOrder:
        """Return the order for a body."""
        if body and not body.endswith("\n"):
            body += "\n"  # it was cut before the brace, and may end in a remark
        head = f"{self.before}{body}".encode("utf-8", "surrogatepass")
        indent = self.behind.encode().index(b"}")
        braces = self.before.encode().rindex(b"{"), len(head) + indent
        folder = self.path.rpartition("/")[0] or "."
        text = f"{self.before}{body}{self.behind}\n{self.again}"
        return GoOrder(folder, self.package, self.path, text, braces, self.tests)


class GoRepositoryRuntime:
    """Go modules with tests of their own, with the tool chain and the modules of this machine."""

    language = GO_LANGUAGE
    isolation = Isolation.IN_PROCESS
    stop_words = ("\n}", "\nfunc ", "\ntype ")

    def probe(self) -> Availability:
        """Tell whether Go is here; what the repository needs besides is known by its tests."""
        return definition.probe(definition.definitions()["go"])

    def tier(self) -> Tier:
        """Return what boxes reach here."""
        return reached_tier()

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Judge the attempts of one snapshot after another."""
        for packed, group in by_snapshot(attempts):
            orders = [_order_of(attempt) for _, attempt in group]
            with GoRepository(packed, go_program() or "go") as repository:
                repository.warm([order.folder for order in orders])
                for place, outcomes in repository.run(orders, workers or 1):
                    yield group[place][0], verdict_of(outcomes)


def _order_of(attempt: Attempt) -> GoOrder:
    wanted, task = json.loads(attempt.task.test), attempt.task
    place = GoSurroundings(
        wanted["path"],
        wanted["package"],
        task.prompt,
        task.suffix or "",
        f"{wanted['again']}\n{task.canonical or ''}}}\n",
        tuple(wanted["tests"]),
    )
    return place.filled(attempt.completion)


def verdict_of(outcomes: tuple[StepOutcome, ...]) -> SampleVerdict:
    """Say what the outcomes of an answer's steps mean."""
    last = outcomes[-1]
    said = "\n".join(
        line for line in f"{last.stderr}\n{last.stdout}".splitlines() if line and not line.startswith(SIDECAR)
    )[:4000]
    if last.overrun:
        return overrun_verdict(last.overrun)
    if len(outcomes) < NUM_STEPS:
        return failed(said or "it does not compile", FailureKind.SYNTAX)
    if last.status == 0 and last.secret_seen:
        return SampleVerdict(True, PASSED, cpu_s=last.cpu_s)
    if last.status == 0:
        return failed("the process ended before its tests were over", FailureKind.ENDED)
    return failed(said or f"exit status {last.status}", FailureKind.WRONG)
