"""A suite of the user's own: a file of problems in a public format, run by the runtime of each problem's language.

Owns the way from the manifest's ``problems`` to tasks. The file is read where it lies; its digest and licence go to the
protocol, its text does not.
"""

from __future__ import annotations

from collections import Counter

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow, read_problems
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.resources.problems import Problems
from daybreak_evaluate.suites.formats import TASKS_OF
from daybreak_evaluate.suites.formats.told_apart import sentence_for
from daybreak_evaluate.suites.settings import SuiteContext
from daybreak_evaluate.suites.task_suite import TaskSuite
from daybreak_evaluate.task import Task


def make(suite: Suite, context: SuiteContext) -> TaskSuite:
    """Read the file and return the suite; a wrong file is a UserError that names file, line and field."""
    if suite.problems is None:
        raise UserError(f"evaluation.suites: {suite.name} has no problems")
    tasks = tasks_of(suite.problems)
    about = {
        "dataSha256": suite.problems.sha256.removeprefix("sha256:"),
        "format": suite.problems.format,
        "licence": suite.problems.licence or "unknown",
    }
    return TaskSuite(suite.name, tasks, suite, context, data=about)


def tasks_of(problems: Problems) -> tuple[Task, ...]:
    """Return the tasks of a file, in its order, those in the wanted language."""
    rows = read_problems(problems.uri, problems.sha256)
    tasks = tuple(_task_of(row, problems) for row in rows)
    twice = [name for name, count in Counter(task.task_id for task in tasks).items() if count > 1]
    if twice:
        raise UserError(f"{problems.uri}: {twice[0]} stands in it twice, every task needs an id of its own")
    if problems.language is None:
        return tasks
    wanted = tuple(task for task in tasks if task.language == problems.language)
    if not wanted:
        there = ", ".join(sorted({task.language for task in tasks}))
        raise UserError(f"{problems.uri}: no problem in {problems.language}, it has {there}")
    return wanted


def _task_of(row: ProblemRow, problems: Problems) -> Task:
    """Return the task of a row; a row of another format is told by that format's name."""
    another = sentence_for(row.values, problems.format)
    try:
        task = TASKS_OF[problems.format](row, problems.language)
    except UserError as error:
        if not another:
            raise
        raise UserError(f"{row.place}: {another}") from error
    if task.suffix is None and row.values.get("suffix"):  # it would be lost, and the score be another's
        raise UserError(f"{row.place}: {another or 'it has a suffix, which this format does not have'}")
    return task
