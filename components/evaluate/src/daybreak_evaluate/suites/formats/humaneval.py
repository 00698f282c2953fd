"""HumanEval's rows (openai/human-eval) and those made after them: EvalPlus and others write the same fields.

The test defines ``check(candidate)`` and is called with the function that ``entry_point`` names.
"""

from __future__ import annotations

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task

STOPS_OF_WHOLE_FUNCTIONS = ("\nassert ", '\n"""', "\nprint(", "\nif __name__", "\n```")
"""For MBPP, where the prompt is prose and the answer begins with ``def``, which else would end it."""


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python, unless the manifest says otherwise. A row that says another is refused."""
    said = row.values.get("language")
    if isinstance(said, str) and said.lower() != (language or "python"):
        raise UserError(
            f"{row.place}: language is {said[:60]}, and HumanEval's rows are {language or 'python'}; mxeval and "
            "HumanEval-XL write such rows: take the format Mxeval"
        )
    return Task(
        task_id=row.text("task_id"),
        language=language or "python",
        prompt=row.text("prompt"),
        test=_test(row),
        entry_point=row.text("entry_point"),
        canonical=row.optional_text("canonical_solution"),
        stop_words=() if "test" in row.values else STOPS_OF_WHOLE_FUNCTIONS,
    )


def _test(row: ProblemRow) -> str:
    """Return the test. MBPP+ (evalplus/mbppplus_release) has bare assertions, which call the function by its name."""
    if "test" in row.values or "assertion" not in row.values:
        if "test" not in row.values and "base_input" in row.values:
            raise UserError(
                f"{row.place}: EvalPlus' row of inputs alone, whose tests it makes itself: take its problems "
                "as published for data sets (humanevalplus, format HumanEval; mbppplus, format Mbpp), which have a test"
            )
        return row.text("test")
    name = row.text("entry_point")
    if not name.isidentifier():
        raise UserError(f"{row.place}: entry_point must be a name, got {name[:60]!r}")
    return asserting(row.text("assertion"), name)


def asserting(assertions: str, name: str) -> str:
    """Return a test of bare assertions that call the function by its name."""
    head = (
        "import math\nimport re\nimport sys\n"  # they use what a solution imports, there in the same process
    )
    return f"{head}def check(candidate):\n    exec({assertions!r}, {{**globals(), {name!r}: candidate}})\n"
