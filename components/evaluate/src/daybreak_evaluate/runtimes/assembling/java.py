"""Java: answer and test in files of their own where the test is a class of its own; a starter of ours runs its main."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Files, Sources, call_ends, opened_function
from daybreak_evaluate.task import Task

_IMPORT = re.compile(r"^\s*import\s+(?:static\s+)?[\w.]+(?:\.\*)?\s*;", re.MULTILINE)
_CLASS = re.compile(r"^\s*(?:public\s+|final\s+|abstract\s+)*class\s+(\w+)", re.MULTILINE)
_PUBLIC = re.compile(
    r"^\s*public\s+(?:final\s+|abstract\s+)*(?:class|interface|enum|record)\s+(\w+)", re.MULTILINE
)
_DECLARED = re.compile(r"\b(?:class|interface|enum|record)\s+(\w+)")
_DECLARING = re.compile(r"(?:\b(?!return\b|assert\b|else\b|throw\b|case\b|yield\b)\w|[>\]])\s+\Z")
"""What stands before the name where a method is declared, not called."""
_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the files, and for the starter the class with the main and the words of the test."""
    program = task.program(completion)
    test = _with_plain_answers(task)
    starts_class = re.match(
        r"\s*(?:(?:import\s[^;]*;|//[^\n]*|/\*.*?\*/)\s*)*(?:public\s+|final\s+)*class\s",
        task.test,
        re.DOTALL,
    )
    if starts_class:
        imports = "\n".join(
            dict.fromkeys(each.strip() for each in _IMPORT.findall(task.preamble + task.prompt))
        )
        texts = [program, f"{imports}\n{test}"]
    else:
        texts = [program + "\n" + test]
    words = sorted(set(re.findall(r"\b[A-Z]\w*", task.test)))
    own = sorted(set(_DECLARED.findall(f"{task.preamble}{task.prompt}\n{task.test}")))
    return Sources(
        answer=_files(texts), arguments=(_main_class(texts[-1]), *words, *(f"+{each}" for each in own))
    )


def _with_plain_answers(task: Task) -> str:
    """Let the test compare the platform's own data: an object of the answer's could say that it equals everything."""
    opened = opened_function(task.preamble + task.prompt, task.entry_point)
    if opened is None:
        return task.test
    call = re.compile(
        rf"(?:new\s+\w+\s*\([^()]*\)\s*\.\s*|\b\w+\s*\.\s*)*(?<![\w$]){re.escape(opened[1])}\s*\("
    )
    parts, place = [], 0
    while found := call.search(task.test, place):
        end = call_ends(task.test, found.end() - 1)
        if end < 0:
            break
        parts.append(task.test[place : found.start()])
        said = task.test[found.start() : end]
        parts.append(said if _DECLARING.search(task.test[: found.start()]) else f"daybreak.Plain.of({said})")
        place = end
    return "".join(parts) + task.test[place:]


def assemble_whole(program: str) -> Sources:
    """Return a whole program in a file of the name that Java asks for."""
    return Sources(answer=_files([program]), arguments=(_main_class(program),))


def _files(texts: list[str]) -> Files:
    files = [(f"{_file_name(text, index)}.java", text) for index, text in enumerate(texts)]
    listed = "".join(f"/job/{name}\n" for name, _ in files)
    return (*files, ("sources", listed))


def _file_name(text: str, index: int) -> str:
    names: list[str] = [*_PUBLIC.findall(text), *_CLASS.findall(text), f"Answer{index}"]
    return names[0]


def _main_class(text: str) -> str:
    """Return the class that the last main lies in: the last that begins before it at the outermost level."""
    mains = list(_MAIN.finditer(text))
    before = [match for match in _CLASS.finditer(text) if mains and match.start() < mains[-1].start()]
    outer = [match[1] for match in before if not match[0].lstrip("\n").startswith((" ", "\t"))]
    return (outer or [match[1] for match in before] or ["Main"])[-1]
