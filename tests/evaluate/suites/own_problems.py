"""Problems in our own words, and a completer that knows what it is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.resources.problems import Problems
from daybreak_evaluate.suites.protocol import Prompt, Report, Sampling
from daybreak_evaluate.suites.settings import SuiteContext

DOUBLE = {
    "task_id": "Python/0",
    "prompt": 'def double(n):\n    """Return twice n."""\n',
    "canonical_solution": "    return 2 * n\n",
    "test": "def check(double):\n    assert double(2) == 4\n    assert double(-1) == -2\n\ncheck(double)\n",
}
LAST = {
    "task_id": "Python/1",
    "prompt": 'def last(items: List[int]):\n    """Return the last of some items."""\n',
    "canonical_solution": "    return items[-1]\n",
    "test": "def check(last):\n    assert last([1, 2]) == 2\n\ncheck(last)\n",
}


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "own.jsonl") -> Path:
    """Write rows as JSON Lines."""
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def suite_of(file: Path, problem_format: str = "HumanEvalX", name: str = "our-own", **settings: Any) -> Suite:
    """Return what a manifest says of a file."""
    problems = {
        "uri": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "format": problem_format,
    }
    language, licence = settings.pop("language", None), settings.pop("licence", None)
    return Suite(name=name, problems=Problems(**problems, language=language, licence=licence), **settings)


def context_of(folder: Path) -> SuiteContext:
    """Return an evaluation without a model."""
    return SuiteContext(
        seed=0,
        max_new_tokens=64,
        max_prompt_tokens=512,
        context_length=1024,
        workers=2,
        work_dir=str(folder / "work"),
    )


class Knows:
    """Answers each prompt as a function of it says."""

    def __init__(self, answer: Callable[[Prompt], str]) -> None:
        self._answer = answer

    def complete(self, prompts: Sequence[Prompt], sampling: Sampling, report: Report) -> list[list[str]]:
        """Return the answer as often as samples are wanted."""
        return [[self._answer(prompt)] * sampling.num_samples for prompt in prompts]

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Return a constant: nobody asks."""
        return 0.0
