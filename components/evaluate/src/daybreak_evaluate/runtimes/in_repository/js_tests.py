"""Tests of a JavaScript repository in the sandbox: a copy with the answer in its file, by its own runner.

Owns the jobs, and reading what the programs in the sandbox wrote (``drivers/javascript_repository``).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes import definition
from daybreak_evaluate.runtimes.boxes.pool import BoxPool
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits, BoxStep, Job, StepOutcome
from daybreak_evaluate.runtimes.in_repository import snapshot
from daybreak_evaluate.runtimes.in_repository.js_runners import NODE, PLAYED, RunnerCall, runner_of

TIMEOUT_S = 60.0
WHOLE_TIMEOUT_S = 900.0
"""Processor time of all tests of the repository together."""
MEMORY_BYTES = 2 << 30
ADDRESS_BYTES = 256 << 30
"""Node reserves address space that it never touches, and much more for each module of WebAssembly."""
PROCESSES = 96
COPY_BYTES = 192 << 20
TOLD = "\ntold: "
_USES_NODES_RUNNER = re.compile(r"""(?:from|require\(|import)\s*['"]node:test['"]""")
_SOURCE = re.compile(r"(?<!\.d)\.(?:[cm]?js|jsx|[cm]?ts|tsx)$")
_OF_TESTS = re.compile(
    r"(?:^|/)(?:tests?|__tests__|__mocks__|specs?|e2e|examples?|bench(?:marks?)?|docs?|scripts|fixtures|coverage|out|es|esm)/"
    r"|[.\-_](?:test|spec|e2e|bench|config|stories)\.[cm]?[jt]sx?$|(?:^|/)(?:test|gulpfile|gruntfile|\.[\w.]+)\.[cm]?[jt]s$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class JavaScriptOrder:
    """One run of test files."""

    files: tuple[str, ...]
    """None: all that the runner finds by itself."""
    tests: tuple[str, ...] | None = None
    """Names that must all pass; None: say of each test whether it does."""
    texts: tuple[tuple[str, str], ...] = ()
    """Paths of files that are replaced, and what by."""
    timeout_s: float | None = None


@dataclass(frozen=True)
class JavaScriptReport:
    """What became of each test, and what ran."""

    files: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Test file to title to whether it passed."""
    reached: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Number of a function to the test files that reach it, those that reach the fewest first."""


class JavaScriptRepository(snapshot.LaidOut):
    """A snapshot laid out for the sandbox, by ``with``."""

    @cached_property
    def _files(self) -> list[str]:
        return snapshot.files_of(self.place, with_modules=True)

    @cached_property
    def runner(self) -> RunnerCall:
        """Which runner plays the tests; where none can, a UserError says why."""
        try:
            package = json.loads((self.place / "package.json").read_bytes())
        except ValueError as error:
            raise UserError(f"package.json is no JSON ({error})") from error
        runner = runner_of(package if isinstance(package, dict) else {})
        if (runner is None or runner.name not in PLAYED) and self.node_tests():
            return runner if runner is not None and runner.name == NODE else RunnerCall(NODE)
        if runner is None:
            raise UserError(
                "no script of package.json calls a test runner and no file imports node:test; played are "
                f"{', '.join((NODE, *PLAYED))}"
            )
        if runner.name not in (NODE, *PLAYED):
            raise UserError(
                f"the tests are for {runner.name}, which is not played here; played are {', '.join((NODE, *PLAYED))}"
            )
        if runner.name != NODE and not (self.place / "node_modules" / runner.name / "package.json").is_file():
            raise UserError(f"{runner.name} is not in node_modules; run npm ci, or npm install, first")
        return runner

    def sources(self) -> list[str]:
        """Return the files of the repository's own code."""
        nodes = set(self.node_tests())
        return [path for path in self._own() if not _OF_TESTS.search(path) and path not in nodes]

    def node_tests(self) -> list[str]:
        """Return the files that use Node's own runner."""
        return [path for path in self._own() if _USES_NODES_RUNNER.search(self.text(path))]

    def _own(self) -> list[str]:
        return [path for path in self._files if _SOURCE.search(path) and "node_modules/" not in path]

    def text(self, path: str) -> str:
        """Return what a file says."""
        return (self.place / path).read_bytes().decode("utf-8", "replace")

    def run(
        self, orders: Sequence[JavaScriptOrder], workers: int
    ) -> Iterator[tuple[int, tuple[StepOutcome, ...]]]:
        """Yield index and outcome of each order."""
        language = definition.definitions()["javascript"]
        tools = definition.find_toolchain(language)
        with BoxPool(tools.readable(language), workers, [(str(self.place), "/repository")]) as pool:
            yield from pool.run(self._job(order, tools.paths["node"]) for order in orders)

    def _job(self, order: JavaScriptOrder, node: str) -> Job:
        modules = {
            path[: path.index("node_modules/") + 12] for path in self._files if "node_modules/" in path
        }
        told = {
            "runner": self.runner.name,
            "arguments": self.runner.arguments,
            "files": order.files,
            "tests": order.tests,
            "replaced": [path for path, _ in order.texts],
            "modules": sorted(modules),
        }
        folder = resources.files("daybreak_evaluate.runtimes") / "drivers" / "javascript_repository"
        files = [
            (path.name, path.read_text("utf-8")) for path in folder.iterdir() if path.name.endswith("js")
        ]
        files.append(("order.json", json.dumps(told)))
        files += [(f"texts/{number}", text) for number, (_, text) in enumerate(order.texts)]
        flags = ["--no-warnings", "--disable-wasm-trap-handler", *self.runner.node_flags]
        if self.runner.name == NODE:
            flags += ["--test-reporter=/job/reporter.mjs", "--test-reporter-destination=stdout"]
        env = (*self.runner.env, ("HOME", "/tmp"), ("NODE_ENV", "test"), ("CI", "1"))
        env += (("NODE_OPTIONS", "--require=/job/memory.cjs"),)
        limits = BoxLimits(
            order.timeout_s or TIMEOUT_S, MEMORY_BYTES, ADDRESS_BYTES, PROCESSES, file_bytes=COPY_BYTES
        )
        argv = (node, *flags, "/job/run.mjs")
        return Job((BoxStep(Box(argv, limits, secret=secrets.token_hex(16), files=tuple(files), env=env)),))


def read_report(outcome: StepOutcome) -> JavaScriptReport | None:
    """Return what was told, where nothing was wanted; None where the run did not end."""
    _, mark, rest = outcome.stdout.rpartition(TOLD)
    if not outcome.secret_seen or not mark:
        return None
    try:
        said: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(rest.partition("\n")[0])))
    except (ValueError, zlib.error):
        return None
    names = said["reached"]["names"]
    reached = {
        int(number): tuple(names[place] for place in places)
        for number, places in said["reached"]["of"].items()
    }
    return JavaScriptReport(said["files"], reached)
