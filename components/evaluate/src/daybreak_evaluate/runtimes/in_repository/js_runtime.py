"""The runtime of a JavaScript repository's tests: the answer becomes a function's body, its tests must pass.

Owns what outcomes mean. Tests and answer share a process (``in-process``): the verdict needs a secret that is read
before the first test and written after the last, when all that are wanted have passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

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
from daybreak_evaluate.runtimes.in_repository import JAVASCRIPT_LANGUAGE
from daybreak_evaluate.runtimes.in_repository.js_functions import is_body
from daybreak_evaluate.runtimes.in_repository.js_tests import JavaScriptOrder, JavaScriptRepository
from daybreak_evaluate.runtimes.in_repository.runtime import by_snapshot, overrun_verdict
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation

NO_BODY = "the answer is not the body of the function and nothing else"


class JavaScriptRepositoryRuntime:
    """Repositories with tests in JavaScript or TypeScript, with the Node of this machine and their own runner."""

    language = JAVASCRIPT_LANGUAGE
    isolation = Isolation.IN_PROCESS
    stop_words = ("\n}", "\nfunction ", "\nclass ", "\nexport ", "\nmodule.exports")

    def probe(self) -> Availability:
        """Tell whether Node is here; what the repository needs besides is known by its tests."""
        return definition.probe(definition.definitions()["javascript"])

    def tier(self) -> Tier:
        """Return what boxes reach here."""
        return reached_tier()

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Judge the attempts of one snapshot after another."""
        for packed, group in by_snapshot(attempts):
            orders: list[JavaScriptOrder] = []
            indices = []
            for index, attempt in group:
                order = order_of(attempt)
                if order is None:
                    yield index, failed(NO_BODY, FailureKind.SYNTAX)
                else:
                    orders.append(order)
                    indices.append(index)
            with JavaScriptRepository(packed) as repository:
                for place, outcomes in repository.run(orders, workers or 1):
                    yield indices[place], verdict_of(outcomes[-1])


def order_of(attempt: Attempt) -> JavaScriptOrder | None:
    """Return the order that judges an answer; None for one that is no body."""
    wanted, task = json.loads(attempt.task.test), attempt.task
    body, behind = attempt.completion, task.suffix or ""
    if body and not body.endswith("\n"):
        body += "\n"  # it was cut before the brace, and may end in a remark
    if not is_body(wanted["path"], task.prompt, body, behind):
        return None
    text = f"{task.prompt}{body}{behind}"
    return JavaScriptOrder(tuple(wanted["files"]), tuple(wanted["tests"]), ((wanted["path"], text),))


def verdict_of(outcome: StepOutcome) -> SampleVerdict:
    """Say what the outcome of an answer's run means."""
    said = outcome.stderr.strip()[-4000:]
    if outcome.overrun:
        return overrun_verdict(outcome.overrun)
    if outcome.secret_seen:
        return SampleVerdict(True, PASSED, cpu_s=outcome.cpu_s)
    if "not passed: " in said:
        return failed(said, FailureKind.WRONG)
    if outcome.status == 0:
        return failed("the process ended before its tests were over", FailureKind.ENDED)
    return failed(said or f"exit status {outcome.status}", FailureKind.EXCEPTION)
