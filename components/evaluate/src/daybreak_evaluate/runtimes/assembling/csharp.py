"""C#: answer and test are one program, with assertions of ours; a starter of ours runs its main."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Sources
from daybreak_evaluate.task import Task

_GAP = r"(?:\s|//[^\n]*\n|/\*.*?\*/)"
_ALIAS = re.compile(rf"\busing{_GAP}+[^\s;()=]+{_GAP}*=", re.DOTALL)
_ASSERT = re.compile(r"\b(?:System\.Diagnostics\.)?(?:Debug|Trace)\.Assert\b")
_DECLARED = re.compile(r"\b(?:class|struct|interface|enum)\s+(\w+)")
_REFUSED = "\n#error an alias in the answer could change what the test means\n"
_MEMORY = re.compile(r"\b(?:Marshal\s*\.|GetFunctionPointer\s*\(|CreateDelegate\b)")
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_NATIVE = "\n#error the answer writes to memory that is not its own\n"


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the program, and for the starter the words of the test.

    ``Debug.Assert`` tells listeners, which an answer can send away: the test calls a method of ours in its place, under
    a name that no answer knows.
    """
    check = f"Check_{token}"
    assertion = (
        f"\nstatic class {check} {{ public static void Assert(bool ok, params object[] said) "
        '{ if (!ok) throw new global::System.Exception("Assertion failed"); } }\n'
    )
    refused = _REFUSED if _ALIAS.search(completion) else ""
    if _MEMORY.search(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), completion)):
        refused += _NATIVE
    program = (
        f"{task.program(completion)}\n{_ASSERT.sub(f'global::{check}.Assert', task.test)}{refused}{assertion}"
    )
    words = sorted(set(re.findall(r"[A-Za-z_]\w*", task.test)))
    own = sorted(set(_DECLARED.findall(f"{task.preamble}{task.prompt}\n{task.test}")))
    arguments = ("/out/program.exe", *words, *(f"+{each}" for each in own))
    return Sources(answer=(("program.cs", program),), arguments=arguments)
