"""Runs in the sandbox: a repository's own tests, with one file replaced, and what became of each test.

The secret comes by standard input, which can be read once; it is written to standard output, with the outcomes, after
the last test has ended, by this file alone. Whoever ends the process before has no verdict. Tests and candidate share
this process: a candidate that searches these frames can find the secret, which is why such scores say ``in-process``.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

ROOT = "/tmp/repository"
MAX_TESTS_OF_FUNCTION = 20
"""Those that reach the fewest functions are kept: they know most about each."""
MAX_SHOWN_FAILURES, MAX_REASON = 20, 300


def main() -> None:
    """Take the order, lay the repository out, run its tests, say what became of them."""
    secret = sys.stdin.readline().strip()
    nothing = os.open(os.devnull, os.O_RDWR)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    order = json.loads(Path("/job/order.json").read_text(encoding="utf-8"))
    shutil.copytree("/repository", ROOT, symlinks=True)
    if order["path"]:
        Path(ROOT, order["path"]).write_bytes(order["text"].encode("utf-8", "surrogatepass"))
    os.chdir(ROOT)
    sys.path[:0] = [ROOT, f"{ROOT}/src"]
    finish = play(order, secret, output)
    finish()
    os._exit(0)  # threads that a test left behind hold nobody up


def play(order: dict[str, Any], secret: str, output: TextIO) -> Callable[[], None]:
    """Run the tests; return what says the outcomes."""
    pytest = importlib.import_module("pytest")  # the repository's environment brings it, not ours

    watched = order["watch"]
    passed: set[str] = set()
    failed: dict[str, str] = {}
    reached: dict[str, set[tuple[str, int]]] = {}
    dumps, compress, encode = json.dumps, zlib.compress, base64.b64encode
    prefix = ROOT + os.sep

    class PlayedTests:
        """What pytest tells."""

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
            seen: set[tuple[str, int]] = set()

            def profile(frame: Any, event: str, argument: Any) -> None:
                if event == "call" and frame.f_code.co_filename.startswith(prefix):
                    seen.add((frame.f_code.co_filename[len(prefix) :], frame.f_code.co_firstlineno))

            if watched:
                sys.setprofile(profile)
            try:
                return (yield)
            finally:
                if watched:
                    sys.setprofile(None)
                    reached[item.nodeid] = seen

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when == "call" and report.outcome == "passed" and not hasattr(report, "wasxfail"):
                passed.add(report.nodeid)
            if report.outcome != "passed":
                failed[report.nodeid] = str(report.longrepr)[-MAX_REASON:]

    options = ["-q", "-x"] if order["stop"] else ["-q"]
    options += ["-p", "no:cacheprovider", "-o", "addopts=", "-o", "xfail_strict=false", "-W", "ignore"]
    pytest.main([*options, *order["tests"]], plugins=[PlayedTests()])

    def finish() -> None:
        good = sorted(passed - set(failed))
        said = {
            "passed": good,
            "failed": {
                name: failed[name] if index < MAX_SHOWN_FAILURES else "" for index, name in enumerate(failed)
            },
            "functions": functions_of(good, reached),
        }
        output.write("\n" + secret + "\n" + encode(compress(dumps(said).encode(), 9)).decode() + "\n")
        output.flush()

    return finish


def functions_of(
    tests: Sequence[str], reached: dict[str, set[tuple[str, int]]]
) -> dict[str, dict[str, list[int]]]:
    """Return path to line to the numbers of the tests that reach the function there."""
    number = {name: index for index, name in enumerate(tests)}
    found: dict[str, dict[str, list[int]]] = {}
    for name in sorted((name for name in tests if name in reached), key=lambda name: len(reached[name])):
        for path, line in reached[name]:
            few = found.setdefault(path, {}).setdefault(str(line), [])
            if len(few) < MAX_TESTS_OF_FUNCTION:
                few.append(number[name])
    return found


if __name__ == "__main__":
    main()
