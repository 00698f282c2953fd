"""C++: one translation unit by standard input, with assertions of ours and a main that was compiled apart."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, driver, without_end
from daybreak_evaluate.task import Task

_SPACE = r"(?:\s|/\*.*?\*/|\\\n)"
_DEFINED = re.compile(rf"(?:#|%:){_SPACE}*define{_SPACE}+(\w+)", re.DOTALL)
_ASSERT_HEADER = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(?:assert\.h|cassert)>.*$", re.MULTILINE)
_MAIN = re.compile(r"\b(?:int|auto|void|signed)\s+main\s*\([^)]*\)")
_ALL_HEADERS = re.compile(r"#\s*include\s*<bits/stdc\+\+\.h>")


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the text that the compiler reads; no file holds it."""
    end, rest = without_end(task.test)
    program = task.program(completion) + end
    defined = sorted(
        set(_DEFINED.findall(completion.replace("\\\n", ""))) | set(_DEFINED.findall(completion))
    )
    undo = "".join(f"#undef {name}\n" for name in defined if not name[0].isdigit())
    test = _ASSERT_HEADER.sub("", rest)
    main = _MAIN.search(test)
    before = driver("cpp", "before_test.h")
    entry = f'{main[0]} __asm__("daybreak_entry");\n' if main else ""
    parts = (_first_header(program), program, "\n/**/\n", undo, before, entry, '#line 1 "test"\n', test, "\n")
    return Sources(answer=(), stdin="".join(parts))


def assemble_whole(program: str) -> Sources:
    """Return a whole program."""
    return Sources(answer=(), stdin=_first_header(program) + program)


def _first_header(program: str) -> str:
    """Put the header that is kept compiled before all others, the only place where it is used, if it is wanted."""
    return "#include <bits/stdc++.h>\n#line 1\n" if _ALL_HEADERS.search(program) else ""
