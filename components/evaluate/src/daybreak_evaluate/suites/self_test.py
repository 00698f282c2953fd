"""Whether a task tells right from wrong, found out before any model is asked.

Owns the rule: the canonical solution passes, an empty answer fails, a language's cheats fail. Costs about two samples a
task; what was found is kept by the task's own text and the runtime's version, so that the next evaluation is free.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_evaluate.judge.values import SampleVerdict
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites.judging import Judging, verdicts_of
from daybreak_evaluate.suites.protocol import Report
from daybreak_evaluate.task import Task

CODE_VERSION = 1
NUM_CHEATED = 3
"""Tasks of each language that are cheated: what a runtime lets through for one task it lets through for all."""
MAX_REASON = 200
CHEATS: Mapping[str, Mapping[str, str]] = {
    "python": {
        "ends the process": "    import os\n    os._exit(0)\n",
        "raises SystemExit": "    raise SystemExit(0)\n",
        "equals everything": "    class Any:\n        def __eq__(self, other):\n            return True\n"
        "    return Any()\n",
    },
    "javascript": {
        "ends the process": "  process.exit(0);\n}\n",
        "overrides assertions": "  console.assert = () => {};\n  return undefined;\n}\n",
    },
    "typescript": {"ends the process": "  process.exit(0);\n}\n"},
    "java": {
        "ends the process": "        System.exit(0);\n        throw new RuntimeException();\n    }\n}\n"
    },
    "csharp": {
        "ends the process": "        System.Environment.Exit(0);\n        throw new System.Exception();\n        }\n"
    },
    "rust": {"ends the process": "    std::process::exit(0)\n}\n"},
    "cpp": {"ends the process": "    std::exit(0);\n}\n"},
    "go": {"ends the process": "    os.Exit(0)\n    panic(0)\n}\n"},
    "php": {"ends the process": "    exit(0);\n}\n"},
    "ruby": {"ends the process": "  exit!(0)\nend\n"},
    "lua": {"ends the process": "  os.exit(0)\nend\n"},
    "shell": {"ends the process": "  exit 0\n}\n"},
}
"""Completions of a function's body that pass where a runtime can be talked into it."""


@dataclass(frozen=True)
class SelfTest:
    """What was found out about tasks."""

    left_out: Mapping[str, str]
    """Task id to what is wrong with it."""
    num_tested: int
    num_without_canonical: int

    def record(self) -> dict[str, object]:
        """Return what goes to the protocol of the scores."""
        return {
            "tasks": self.num_tested,
            "withoutCanonical": self.num_without_canonical,
            "leftOut": dict(self.left_out),
        }


def test_tasks(
    tasks: Sequence[Task], versions: Mapping[str, str], judging: Judging, work_dir: str, report: Report
) -> SelfTest:
    """Return which tasks must not be asked; ``versions``: language to the version of its runtime."""
    keys = {task.task_id: _key(task, versions[task.language], judging) for task in tasks}
    folder = Path(work_dir) / "self-tests"
    known = {task.task_id: _load(folder, keys[task.task_id]) for task in tasks}
    missing = [task for task in tasks if known[task.task_id] is None]
    cheated = _to_cheat(tasks)
    found = _wrong(missing, cheated, judging, report) if missing else {}
    for task in missing:
        known[task.task_id] = found.get(task.task_id, "")
        _keep(folder, keys[task.task_id], found.get(task.task_id, ""))
    left_out = {name: reason for name, reason in known.items() if reason}
    return SelfTest(left_out, len(tasks), sum(task.canonical is None for task in tasks))


def _to_cheat(tasks: Iterable[Task]) -> set[str]:
    """Return the first tasks of each language that end where a body begins."""
    chosen: dict[str, list[str]] = {}
    for task in tasks:
        few = chosen.setdefault(task.language, [])
        if len(few) < NUM_CHEATED and task.suffix is None and not task.examples:
            few.append(task.task_id)
    return {name for few in chosen.values() for name in few}


def _wrong(tasks: Sequence[Task], cheated: set[str], judging: Judging, report: Report) -> dict[str, str]:
    attempts, meanings = [], []
    for task in tasks:
        for meaning, text in _answers(task, task.task_id in cheated):
            attempts.append(Attempt(task, text))
            meanings.append(meaning)
    verdicts = verdicts_of(attempts, judging, "testing the problems themselves", report)
    wrong: dict[str, str] = {}
    for attempt, meaning, verdict in zip(attempts, meanings, verdicts, strict=True):
        sentence = _sentence(meaning, verdict)
        if sentence:
            wrong.setdefault(attempt.task.task_id, sentence)
    return wrong


def _answers(task: Task, is_cheated: bool) -> Iterable[tuple[str, str]]:
    if task.canonical is not None:
        yield "", task.canonical
    if task.canonical is None or task.canonical.strip():
        yield "an empty answer", ""
    if is_cheated:
        yield from ((f"a cheat that {name}", text) for name, text in CHEATS.get(task.language, {}).items())


def _sentence(meaning: str, verdict: SampleVerdict) -> str:
    if not meaning:
        return "" if verdict.passed else f"its own solution does not pass: {verdict.result}"[:MAX_REASON]
    return f"{meaning} passes" if verdict.passed else ""


def _key(task: Task, version: str, judging: Judging) -> str:
    content = {
        "code": CODE_VERSION,
        "task": dataclasses.asdict(task),
        "runtime": version,
        "limits": dataclasses.asdict(judging.limits),
        "cheats": CHEATS.get(task.language, {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _load(folder: Path, key: str) -> str | None:
    try:
        return (folder / key).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _keep(folder: Path, key: str, reason: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{key}.tmp"
    temporary.write_text(reason, encoding="utf-8", errors="replace")
    temporary.replace(folder / key)
