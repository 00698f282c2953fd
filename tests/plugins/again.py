"""Asks what failed beside other tests once more, alone: `--failed-again N`, where no more than N tests failed.

Plays on real parts have limits of time, and beside others on a busy machine one of thousands misses its own now and
then. What fails alone too has failed; what passes is told by name at the end, never passed over
(docs/decisions/0102).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterable

import pytest

OPTION = "--failed-again"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    words = "run the tests that failed once more, alone, if they are no more than N"
    parser.addoption(OPTION, type=int, default=0, metavar="N", help=words)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after the summary of the first run
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Run what failed again, and let its outcome be the session's."""
    result = yield
    failed = _failed(session.config)
    bound = session.config.getoption(OPTION)
    is_worker = hasattr(session.config, "workerinput")
    if not is_worker and session.exitstatus == pytest.ExitCode.TESTS_FAILED and 0 < len(failed) <= bound:
        session.exitstatus = _alone(session.config, failed)
    return result


def _failed(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    reports = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
    return list(dict.fromkeys(report.nodeid for report in reports))


def _alone(config: pytest.Config, failed: Iterable[str]) -> int:
    """Run tests in one process of their own; return its exit code."""
    print(f"\n{'=' * 20} once more, alone: what failed beside other tests {'=' * 20}", flush=True)
    options = ["--numprocesses=0", f"{OPTION}=0", "-pno:cacheprovider", "--verbose"]
    command = [sys.executable, "-m", "pytest", *options, *failed]
    code = subprocess.run(command, cwd=config.rootpath, check=False).returncode
    if code == 0:
        print("PASSED ONLY ALONE:", *failed, sep="\n  ", flush=True)
    return code
