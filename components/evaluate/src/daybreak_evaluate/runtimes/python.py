"""Python: candidates in the sandbox, the test in another process that calls them with plain data.

Owns how a task becomes a program of the judge; the judge itself is ``daybreak_evaluate.judge``.
"""

from __future__ import annotations

import ast
import functools
import platform
from collections.abc import Iterable, Iterator

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SampleVerdict, SandboxLimits, Tier
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation
from daybreak_evaluate.task import Task

STOP_WORDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Chen et al. 2021, section 2.2."""
CALL_OF_PROGRAM = "run_program"
NO_CHECK = "\n\ndef check(candidate):\n    pass\n"
"""For tests that are plain assertions: by then they have been made."""


class PythonRuntime:
    """The interpreter that Daybreak itself runs in."""

    language = "python"
    isolation = Isolation.SEPARATE
    stop_words = STOP_WORDS

    def __init__(self) -> None:
        self._tier: Tier | None = None

    def probe(self) -> Availability:
        """Return our own version: it is here."""
        return Availability(works=True, version=f"Python {platform.python_version()}")

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Judge each attempt in a sandbox of its own."""
        with Judge(limits, workers) as judge:
            self._tier = judge.tier
            yield from judge.judge(program_of(attempt) for attempt in attempts)

    def tier(self) -> Tier:
        """Return what the last judge reached."""
        if self._tier is None:
            with Judge(workers=1) as judge:
                self._tier = judge.tier
        return self._tier


def program_of(attempt: Attempt) -> Program:
    """Return what the judge needs: the candidate's text, and the test with the helpers that it may call."""
    task = attempt.task
    if task.examples:
        return _whole_program(task, attempt.completion)
    return Program(
        source=(task.program(attempt.completion) if _goes_around(attempt) else attempt.completion) + "\n",
        entry_point=task.entry_point,
        trusted=helpers_of(task.preamble + task.prompt),
        test=task.test if _defines_check(task.test) else task.test + NO_CHECK,
    )


def _goes_around(attempt: Attempt) -> bool:
    """Tell whether the task goes around the answer; what stands ``around`` goes around whole programs too."""
    return not attempt.is_program or attempt.task.around is not None


@functools.lru_cache(maxsize=4096)
def helpers_of(prompt: str) -> str:
    """Return as much of a prompt as is whole: helpers before the function that is to be written.

    A prompt that ends within a body, as those for filling in the middle do, is cut before its last statement at the
    left margin that is not whole.
    """
    lines = prompt.splitlines(keepends=True)
    for end in range(len(lines), 0, -1):
        if end < len(lines) and not _begins_statement(lines[end]):
            continue
        text = "".join(lines[:end])
        if _compiles(text):
            return text
    return ""


def _begins_statement(line: str) -> bool:
    return bool(line.strip()) and not line[0].isspace()


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


@functools.lru_cache(maxsize=4096)
def _defines_check(test: str) -> bool:
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # running it will say what is wrong
    return any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)


def _whole_program(task: Task, completion: str) -> Program:
    """Return a program that is given standard input and whose standard output is compared, line by line."""
    source = (
        "import io, sys\n\n\n"
        f"def {CALL_OF_PROGRAM}(text):\n"
        "    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding='utf-8')\n"
        "    sys.stdout = written = io.TextIOWrapper(io.BytesIO(), encoding='utf-8', write_through=True)\n"
        "    try:\n"
        f"        exec(compile({task.program(completion)!r}, '<program>', 'exec'), {{'__name__': '__main__'}})\n"
        "    except SystemExit as end:\n"
        "        if end.code:\n"
        "            raise RuntimeError(f'the program ended with {end.code}') from None\n"
        "    return written.buffer.getvalue().decode('utf-8', 'replace')\n"
    )
    examples = [(example.stdin, example.stdout) for example in task.examples]
    test = (
        f"def words(text):\n    return [line.split() for line in text.strip().splitlines()]\n\n\n"
        f"def check(candidate):\n    for given, expected in {examples!r}:\n"
        "        assert words(candidate(given)) == words(expected)\n"
    )
    return Program(source=source, entry_point=CALL_OF_PROGRAM, trusted="", test=test)
