"""One small task in each language, with right answers, wrong ones and cheats: none of the cheats may pass."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes.command import CommandRuntime
from daybreak_evaluate.runtimes.definition import definitions
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.task import Example, Task

LIMITS = SandboxLimits(timeout_s=2.0)
COMPILING_S = 8.0
"""Processor time that a compiler gets here: what would compile for ever is ended sooner than for users."""


@dataclass(frozen=True)
class Play:
    """A task and what is said to it."""

    task: Task
    right: dict[str, str]
    wrong: dict[str, str]
    cheats: dict[str, str]
    whole: str
    """A program that reads two numbers from standard input and prints their sum."""
    whole_cheats: dict[str, str] = field(default_factory=dict)


def judge(
    task: Task, completions: dict[str, str], limits: SandboxLimits = LIMITS
) -> dict[str, SampleVerdict]:
    """Return the verdict of each completion, by its name; skipped where the language's tools are not there."""
    definition = definitions()[task.language]
    hasty = replace(definition.compile_need, cpu_s=COMPILING_S)
    runtime = CommandRuntime(
        replace(definition, compile_need=hasty) if definition.compile_argvs else definition
    )
    available = runtime.probe()
    if not available.works:
        pytest.skip(available.remedy)
    names = list(completions)
    attempts = [Attempt(task, completions[name]) for name in names]
    return {names[index]: verdict for index, verdict in runtime.judge(attempts, limits, 2)}


def whole_task(language: str) -> Task:
    """Return the task of adding two numbers from standard input."""
    examples = (Example("1 2\n", "3\n"), Example("40 2\n", "42\n"))
    return Task("play/whole", language, prompt="", examples=examples)


def plays() -> dict[str, Play]:
    """Return every language's table: one module each, named like the language."""
    folder = Path(__file__).parent / "plays"
    return {
        path.stem: importlib.import_module(f"tests.evaluate.runtimes.plays.{path.stem}").PLAY
        for path in sorted(folder.glob("*.py"))
    }
