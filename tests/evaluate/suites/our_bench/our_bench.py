"""A package that nobody of Daybreak has seen: a suite of its own, and a language of its own. Under 60 lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from daybreak_evaluate.plugin import (
    Attempt,
    Availability,
    FailureKind,
    Isolation,
    SampleVerdict,
    SandboxLimits,
    Suite,
    SuiteContext,
    Task,
    TaskSuite,
    Tier,
    UserError,
    failed,
)

# the test of the second does not compile without the answer before it: a prompt may end anywhere
TASKS = [
    Task(
        "sum/0",
        "python",
        "def add(a, b):\n",
        "def check(f):\n    assert f(2, 3) == 5\n",
        "add",
        canonical="    return a + b\n",
    ),
    Task(
        "sum/1",
        "python",
        "def less(a, b):\n    if a",
        "assert less(1, 2)\n",
        "less",
        canonical=" < b:\n        return True\n",
    ),
    Task("rpn/0", "rpn", "2 3 ", "5", canonical="+"),
]


def suite(settings: Suite, context: SuiteContext) -> TaskSuite:
    """Return the suite; the manifest's samplesPerTask and maxTasks are kept by TaskSuite."""
    if settings.samples_per_task > 10:
        raise UserError("OurBench: samplesPerTask must be at most 10")
    return TaskSuite("our-bench", TASKS, settings, context, data={"edition": "2026-11"})


class Rpn:
    """Reverse Polish notation: nothing that needs a sandbox."""

    language = "rpn"
    isolation = Isolation.SEPARATE
    stop_words = ("\n",)

    def probe(self) -> Availability:
        return Availability(works=True, version="rpn 1")

    def tier(self) -> Tier:
        return Tier(2, "nothing runs", ())

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        for index, attempt in enumerate(attempts):
            first, second, *word = attempt.task.program(attempt.completion).split()
            found = str(int(first) + int(second)) if word == ["+"] else "?"
            passed = found == attempt.task.test
            yield index, SampleVerdict(True, "passed") if passed else failed(found, FailureKind.WRONG)
