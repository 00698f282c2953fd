"""Tests of a JavaScript repository in the sandbox: a copy with the answer in its file, the tests by Node's own runner.

Owns the jobs, and reading what the reporter in the sandbox wrote (``drivers/javascript_repository``).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daybreak_evaluate.runtimes import definition
from daybreak_evaluate.runtimes.assembling.sources import driver
from daybreak_evaluate.runtimes.boxes.pool import BoxPool
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits, BoxStep, Job, StepOutcome
from daybreak_evaluate.runtimes.in_repository import snapshot

TIMEOUT_S = 60.0
MEMORY_BYTES = 2 << 30
ADDRESS_BYTES = 16 << 30
"""Node reserves address space that it never touches."""
PROCESSES = 64
COPY_BYTES = 128 << 20
_USES_RUNNER = re.compile(r"""(?:from|require\(|import)\s*['"]node:test['"]""")
_SOURCE = re.compile(r"\.[cm]?js$")


@dataclass(frozen=True)
class JavaScriptOrder:
    """One run of test files."""

    files: tuple[str, ...]
    tests: tuple[str, ...] | None = None
    """Names that must all pass; None: say of each test whether it does."""
    path: str = ""
    """The file that is replaced; empty: none."""
    text: str = ""


class JavaScriptRepository(snapshot.LaidOut):
    """A snapshot laid out for the sandbox, by ``with``."""

    def sources(self) -> tuple[list[str], list[str]]:
        """Return the test files for Node's runner, and the other files of JavaScript outside ``node_modules``."""
        tests: list[str] = []
        others: list[str] = []
        for path in snapshot.files_of(self.place, with_modules=True):
            if not _SOURCE.search(path) or "node_modules/" in path:
                continue
            text = (self.place / path).read_bytes().decode("utf-8", "replace")
            (tests if _USES_RUNNER.search(text) else others).append(path)
        return tests, others

    def run(
        self, orders: Sequence[JavaScriptOrder], workers: int
    ) -> Iterator[tuple[int, tuple[StepOutcome, ...]]]:
        """Yield index and outcome of each order."""
        language = definition.definitions()["javascript"]
        tools = definition.find_toolchain(language)
        with BoxPool(tools.readable(language), workers, [(str(self.place), "/repository")]) as pool:
            yield from pool.run(_job(order, tools.paths["node"]) for order in orders)


def _job(order: JavaScriptOrder, node: str) -> Job:
    told = {"files": order.files, "tests": order.tests, "path": order.path}
    files = [(name, driver("javascript_repository", name)) for name in ("run.mjs", "reporter.mjs")]
    files.append(("order.json", json.dumps(told)))
    if order.path:
        files.append(("answer", order.text))
    reporter = "--test-reporter=/job/reporter.mjs"
    argv = (node, "--no-warnings", reporter, "--test-reporter-destination=stdout", "/job/run.mjs")
    limits = BoxLimits(TIMEOUT_S, MEMORY_BYTES, ADDRESS_BYTES, PROCESSES, file_bytes=COPY_BYTES)
    box = Box(argv, limits, secret=secrets.token_hex(16), files=tuple(files), env=(("HOME", "/tmp"),))
    return Job((BoxStep(box),))


def reached_by(outcome: StepOutcome) -> set[tuple[str, int]]:
    """Return the functions that ran, by file and by where they end in it (UTF-16 code units).

    Only a run in which nothing is wanted or replaced says so.
    """
    found: set[tuple[str, int]] = set()
    for line in outcome.stdout.splitlines() if outcome.secret_seen else ():
        if line.startswith('{"file":'):
            try:
                said = json.loads(line)
            except ValueError:
                continue  # a line of the repository's own
            found |= {(said["file"], end) for end in said["ends"]}
    return found


def told_by(outcome: StepOutcome) -> dict[str, bool]:
    """Return each test's name and whether it passed, where nothing was wanted; empty where the run did not end."""
    if not outcome.secret_seen:
        return {}
    found: dict[str, bool] = {}
    for line in outcome.stdout.splitlines():
        if line.startswith('["'):
            try:
                name, passed = json.loads(line)
            except ValueError:
                continue  # a line of the repository's own
            found[name] = passed and found.get(name, True)
    return found
