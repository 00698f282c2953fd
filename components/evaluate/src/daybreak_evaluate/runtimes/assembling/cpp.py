"""C++: one translation unit by standard input, with assertions of ours and a main that was compiled apart."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, driver, opened_function, without_end
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
    undo = undoing(completion)
    test = _ASSERT_HEADER.sub("", rest)
    main = _MAIN.search(test)
    if main:
        test = _guarded(test, main.end(), token)
    before = driver("cpp", "before_test.h")
    entry = f'{main[0]} __asm__("daybreak_entry");\n' if main else ""
    refused = _REFUSED if _opens_std(completion, _defined(completion)) else ""
    answer = (_first_header(program), program, "\n/**/\n", undo)
    parts = (*answer, before, refused, entry, _exact(task), '#line 1 "test"\n', test, "\n")
    return Sources(answer=(), stdin="".join(parts), ending=token)


def _defined(completion: str) -> list[str]:
    found = _DEFINED.findall(completion.replace("\\\n", "")) + _DEFINED.findall(completion)
    return sorted({name for name in found if not name[0].isdigit()})


def undoing(completion: str) -> str:
    """Take an answer's macros back."""
    return "".join(f"#undef {name}\n" for name in _defined(completion))


def renamed_main(program: str) -> str:
    """Let an answer that has a main of its own be a function among others."""
    return (
        f"{_first_header(program)}#define main daybreak_main_of_the_answer\n#line 1\n{program}\n#undef main\n"
    )


def _exact(task: Task) -> str:
    """Let what the tested function gives be of the prompt's type, whatever overload of it the answer has."""
    opened = opened_function(task.preamble + task.prompt, task.entry_point)
    return (
        ""
        if opened is None
        else f"#define {opened[1]}(...) static_cast<{opened[0]}>({opened[1]}(__VA_ARGS__))\n"
    )


def _guarded(test: str, place: int, token: str) -> str:
    """Let the test's main say its token when it ends, and hide comparisons that an answer declares for everybody."""
    opening = test.find("{", place)
    if opening < 0 or test[place:opening].strip():
        return test
    names = "".join(
        f"using ::daybreak_guard::operator{each}; " for each in ("==", "!=", "<", ">", "<=", ">=")
    )
    last = f"struct daybreak_last {{ ~daybreak_last() {{ daybreak_end(0x{token}ULL); }} }} daybreak_last; "
    return f"{test[: opening + 1]} {last}{names}{test[opening + 1 :]}"


def _opens_std(completion: str, macros: list[str]) -> bool:
    """Tell whether an answer declares comparisons in the library's namespace, where they would be found first."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", re.sub(r"\\[ \t]*\n", "", completion), flags=re.DOTALL)
    names = "|".join(map(re.escape, ("std", *macros)))
    opens = re.search(rf"\bnamespace\s+(?:{names})\b|\bstd\s*\{{", text)
    return bool(opens and re.search(r"\boperator\s*(?:[=!<>]=|[<>!&|])|\bequal\b", text))


_REFUSED = "\n#error the answer declares comparisons in namespace std\n"


def assemble_whole(program: str) -> Sources:
    """Return a whole program."""
    return Sources(answer=(), stdin=_first_header(program) + program)


def _first_header(program: str) -> str:
    """Put the header that is kept compiled before all others, the only place where it is used, if it is wanted."""
    return "#include <bits/stdc++.h>\n#line 1\n" if _ALL_HEADERS.search(program) else ""
