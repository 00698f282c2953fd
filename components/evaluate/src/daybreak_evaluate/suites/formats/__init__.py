"""Readers of public formats: one module each, a row in, a task out.

Owns the list. A row that breaks its format is a UserError that names file, line and field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.suites.formats import (
    apps,
    codecontests,
    humaneval,
    humaneval_x,
    infilling,
    livecodebench,
    mbpp,
    multipl_e,
    mxeval,
    repository,
    safim,
)
from daybreak_evaluate.task import Task

TASKS_OF: Mapping[str, Callable[[ProblemRow, str | None], Task]] = {
    "HumanEval": humaneval.task_of,
    "HumanEvalX": humaneval_x.task_of,
    "HumanEvalInfilling": infilling.task_of,
    "MultiPLE": multipl_e.task_of,
    "Mxeval": mxeval.task_of,
    "Safim": safim.task_of,
    "Mbpp": mbpp.task_of,
    "Apps": apps.task_of,
    "CodeContests": codecontests.task_of,
    "LiveCodeBench": livecodebench.task_of,
    "Repository": repository.task_of,
}
"""Format to the function that makes a task of a row; the second argument is the language that the manifest names."""
