"""Java: answer and test in files of their own where the test is a class of its own; a starter of ours runs its main."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Files, Sources
from daybreak_evaluate.task import Task

_IMPORT = re.compile(r"^\s*import\s+(?:static\s+)?[\w.]+(?:\.\*)?\s*;", re.MULTILINE)
_CLASS = re.compile(r"^\s*(?:public\s+|final\s+|abstract\s+)*class\s+(\w+)", re.MULTILINE)
_PUBLIC = re.compile(
    r"^\s*public\s+(?:final\s+|abstract\s+)*(?:class|interface|enum|record)\s+(\w+)", re.MULTILINE
)
_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the files, and for the starter the class with the main and the words of the test."""
    program = task.program(completion)
    starts_class = re.match(
        r"\s*(?:(?:import\s[^;]*;|//[^\n]*|/\*.*?\*/)\s*)*(?:public\s+|final\s+)*class\s",
        task.test,
        re.DOTALL,
    )
    if starts_class:
        imports = "\n".join(
            dict.fromkeys(each.strip() for each in _IMPORT.findall(task.preamble + task.prompt))
        )
        texts = [program, f"{imports}\n{task.test}"]
    else:
        texts = [program + "\n" + task.test]
    words = sorted(set(re.findall(r"\b[A-Z]\w*", task.test)))
    return Sources(answer=_files(texts), arguments=(_main_class(texts[-1]), *words))


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
