"""The runtime of a repository's tests: the answer goes into its file, the tests run, each wanted one must pass.

Owns the order to the runner in the sandbox and what its answer means. Test and answer share a process (``in-process``):
the verdict needs a secret that the runner writes after the last test, and the names of the tests that passed.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import secrets
import sys
import sysconfig
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.values import (
    PASSED,
    TIMED_OUT,
    FailureKind,
    SampleVerdict,
    SandboxLimits,
    Tier,
    failed,
)
from daybreak_evaluate.runtimes.boxes.pool import BoxPool, reached_tier
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits, BoxStep, Job, Overrun, StepOutcome
from daybreak_evaluate.runtimes.in_repository import LANGUAGE, snapshot
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation

MIN_TIMEOUT_S = 60.0
"""Tests of a repository import it first: three seconds are for one function."""
MEMORY_BYTES = 2 << 30
STOP_WORDS = ("\ndef ", "\nclass ", "\n@", "\nif __name__")


@dataclass(frozen=True)
class RunnerOrder:
    """What the runner is told."""

    path: str
    """The file that is replaced; empty: none."""
    text: str
    tests: tuple[str, ...] = ()
    """Ids as pytest knows them; none: all."""
    watch: bool = False
    """Whether to say which functions each test reaches."""
    stop: bool = True
    """Whether to end with the first test that fails."""


@dataclass(frozen=True)
class RunnerReport:
    """What the runner said, or why it said nothing."""

    passed: frozenset[str]
    failed: dict[str, str]
    functions: dict[tuple[str, int], tuple[str, ...]]
    """File and first line to the tests that reach the function there, those that reach the fewest first."""
    problem: SampleVerdict | None = None


class RepositoryRuntime:
    """Python repositories with tests that pytest runs, in the environment that Daybreak itself runs in."""

    language = LANGUAGE
    isolation = Isolation.IN_PROCESS
    stop_words = STOP_WORDS

    def probe(self) -> Availability:
        """Tell whether pytest is here; what the repository needs besides is known by its tests."""
        try:
            return Availability(works=True, version=f"pytest {metadata.version('pytest')}")
        except metadata.PackageNotFoundError:
            return Availability(
                works=False, remedy="install pytest, and what the repository needs, beside Daybreak"
            )

    def tier(self) -> Tier:
        """Return what boxes reach here."""
        return reached_tier()

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Judge the attempts of one snapshot after another."""
        for packed, group in by_snapshot(attempts):
            orders = [_order_of(attempt) for _, attempt in group]
            timeout_s = max(MIN_TIMEOUT_S, limits.timeout_s)
            for place, report in run_tests(packed, orders, timeout_s, workers or 1):
                yield group[place][0], _verdict(report, orders[place])


def by_snapshot(attempts: Iterable[Attempt]) -> Iterator[tuple[bytes, list[tuple[int, Attempt]]]]:
    """Yield each snapshot that tasks were found in, read when its turn comes, with its attempts and their indices."""
    groups: dict[tuple[str, str], list[tuple[int, Attempt]]] = {}
    for index, attempt in enumerate(attempts):
        wanted = json.loads(attempt.task.test)
        groups.setdefault((wanted["snapshot"], wanted["sha256"]), []).append((index, attempt))
    for (uri, sha256), group in groups.items():
        yield read_snapshot(uri, sha256), group


def read_snapshot(uri: str, sha256: str) -> bytes:
    """Return a snapshot's bytes; another than the tasks were found in is a UserError."""
    data = storage.read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            f"{uri}: is not the repository that its tasks were found in; run daybreak tasks again"
        )
    return data


def _order_of(attempt: Attempt) -> RunnerOrder:
    wanted = json.loads(attempt.task.test)
    return RunnerOrder(wanted["path"], attempt.task.program(attempt.completion), tuple(wanted["tests"]))


def _verdict(report: RunnerReport, order: RunnerOrder) -> SampleVerdict:
    if report.problem is not None:
        return report.problem
    missing = [test for test in order.tests if test not in report.passed]
    if missing:
        said = report.failed.get(missing[0], "it did not run to its end")
        return failed(f"{missing[0]}: {said}", FailureKind.WRONG)
    return SampleVerdict(True, PASSED)


def run_tests(
    packed: bytes, orders: Sequence[RunnerOrder], timeout_s: float, workers: int
) -> Iterator[tuple[int, RunnerReport]]:
    """Yield index and report of each order, as they are done."""
    runner = resources.files("daybreak_evaluate.runtimes.in_repository") / "runner.py"
    files = (("runner.py", runner.read_text("utf-8")),)
    limits = BoxLimits(timeout_s, MEMORY_BYTES, 4 * MEMORY_BYTES, 64, file_bytes=256 << 20)
    argv = (sys.executable, "-s", "-B", "-X", "utf8", "/job/runner.py")
    with tempfile.TemporaryDirectory() as folder:
        snapshot.unpack(packed, Path(folder))
        jobs = [
            Job((BoxStep(Box(argv, limits, secret=secrets.token_hex(16), files=(*files, _told(order)))),))
            for order in orders
        ]
        with BoxPool(_readable(), workers, [(folder, "/repository")]) as pool:
            for index, outcomes in pool.run(jobs):
                yield index, read_report(outcomes[-1])


def _told(order: RunnerOrder) -> tuple[str, str]:
    return "order.json", json.dumps(dataclasses.asdict(order))


def _readable() -> list[str]:
    """Return where this interpreter and its packages lie."""
    places = {
        sys.base_prefix,
        sys.prefix,
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    }
    return sorted(place for place in places if place not in ("/", "/usr"))


def overrun_verdict(overrun: Overrun) -> SampleVerdict:
    """Say which limit the tests passed."""
    if overrun is Overrun.TIME:
        return SampleVerdict(False, TIMED_OUT, FailureKind.TIMEOUT)
    return failed(f"more {overrun} than allowed", FailureKind.MEMORY)


def read_report(outcome: StepOutcome) -> RunnerReport:
    """Return what the last line says, if the secret stood before it."""
    if outcome.overrun:
        return _unheard(overrun_verdict(outcome.overrun))
    if not outcome.secret_seen or outcome.status != 0:
        said = f"the process ended before its tests were over {outcome.stderr.strip()[-300:]}"
        return _unheard(failed(said.strip(), FailureKind.ENDED))
    try:
        said = json.loads(zlib.decompress(base64.b64decode(outcome.stdout.rstrip("\n").rpartition("\n")[2])))
        tests = list(said["passed"])
        functions = {
            (path, int(line)): tuple(tests[number] for number in numbers)
            for path, lines in said["functions"].items()
            for line, numbers in lines.items()
        }
        return RunnerReport(frozenset(tests), dict(said["failed"]), functions)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, zlib.error):
        return _unheard(
            failed("the outcomes of its tests cannot be read: too many, or forged", FailureKind.ENDED)
        )


def _unheard(problem: SampleVerdict) -> RunnerReport:
    return RunnerReport(frozenset(), {}, {}, problem)
