"""One problem for a model, whatever file or format it came from.

Owns the neutral shape between suites, which read and draw tasks, and runtimes, which run answers to them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A program's standard input and the standard output that it must give for it."""

    stdin: str
    stdout: str


@dataclass(frozen=True)
class Task:
    """A problem: what the model sees, and how an answer is judged. Hidden from the candidate: test and canonical."""

    task_id: str
    """Unique in its suite, as ``HumanEval/12``."""
    language: str
    """Name of the runtime that runs answers, as ``python`` or ``go``."""
    prompt: str
    """Text before the cursor."""
    test: str = ""
    """Code of the runtime's language that fails unless the answer is right; empty where examples are given instead."""
    entry_point: str = ""
    """What the test calls; empty where the test names it itself."""
    suffix: str | None = None
    """Text behind the cursor, for a task of filling in the middle."""
    around: tuple[str, str] | None = None
    """What stands around the answer when it is run, where that is not what the model sees; without the preamble."""
    preamble: str = ""
    """Code that goes before the prompt when it is run and that no model sees: imports, a ``package`` line."""
    examples: tuple[Example, ...] = ()
    """Inputs and outputs, for tasks that are judged by running the whole program."""
    canonical: str | None = None
    """A right answer, for the self-test of suite and runtime."""
    stop_words: tuple[str, ...] = ()
    """An answer ends before the first of these; empty means the runtime's own."""
    timeout_s: float | None = None
    """Seconds that an answer may take; None means the suite's limit."""

    def program(self, completion: str) -> str:
        """Return preamble, prompt, answer and suffix as one text, without the test."""
        before, behind = self.around if self.around is not None else (self.prompt, self.suffix or "")
        return f"{self.preamble}{before}{completion}{behind}"
