"""What a package needs to register a suite or a runtime of its own (docs/suites.md). Nothing else is promised to it."""

from __future__ import annotations

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.steps import Score
from daybreak_evaluate.judge.values import FailureKind, SampleVerdict, SandboxLimits, Tier, failed
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation, LanguageRuntime
from daybreak_evaluate.suites.protocol import (
    Completer,
    Prompt,
    Report,
    Sampling,
    SuiteOutcome,
    SuitePlugin,
    ignore_progress,
)
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_evaluate.suites.task_suite import TaskSuite
from daybreak_evaluate.task import Example, Task

__all__ = [
    "Attempt",
    "Availability",
    "Completer",
    "Example",
    "FailureKind",
    "Isolation",
    "LanguageRuntime",
    "Prompt",
    "Report",
    "SampleVerdict",
    "Sampling",
    "SandboxLimits",
    "Score",
    "Suite",
    "SuiteContext",
    "SuiteOutcome",
    "SuitePlugin",
    "Task",
    "TaskSuite",
    "Tier",
    "TransientError",
    "UserError",
    "failed",
    "ignore_progress",
]
