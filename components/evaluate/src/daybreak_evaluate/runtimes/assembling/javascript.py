"""JavaScript: two processes, calls as plain data (drivers/javascript)."""

from __future__ import annotations

import json
import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, called_names, driver, without_end
from daybreak_evaluate.task import Task

_DECLARED = re.compile(
    r"^(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:const|let|var|class|function\s*\*?)\s*([A-Za-z_$][\w$]*)",
    re.MULTILINE,
)
RESERVED = frozenset({"assert", "console", "require", "module", "exports", "process", "test"})


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the answer with its driver, and the test with its own."""
    return _sources(task, completion, typed=False)


def assemble_typed(task: Task, completion: str, token: str) -> Sources:
    """Return the same for TypeScript: both sides are compiled first, each where the other does not see it."""
    return _sources(task, completion, typed=True)


def _sources(task: Task, completion: str, *, typed: bool) -> Sources:
    end, rest = without_end(task.test)
    program = task.program(completion) + end
    head = task.preamble + task.prompt
    declared_in_test = set(_DECLARED.findall(rest))
    names = called_names(
        task.entry_point,
        _DECLARED.findall(head),
        _DECLARED.findall(program),
        task.test,
        RESERVED,
    )
    asked = [name for name in names.asked if name not in declared_in_test]
    helpers = [name for name in names.helpers if name not in declared_in_test]
    values = ("values.js", driver("javascript", "values.js"))
    place = "/out/source.js" if typed else "/job/source.js"
    name = "source.ts" if typed else "source.js"
    if typed:
        rest = "".join(f"declare const {each}: any;\n" for each in (*asked, *helpers)) + rest
    answer = {"names": [*asked, *helpers], "source": place}
    test = {
        "names": asked,
        "guarded": names.by_answer,
        "helpers": {"names": helpers, "source": "" if typed else head},
        "source": place,
    }
    return Sources(
        answer=(
            ("driver.js", driver("javascript", "candidate.js")),
            values,
            ("names.json", json.dumps(answer)),
            (name, program),
        ),
        test=(
            ("driver.js", driver("javascript", "tester.js")),
            values,
            ("names.json", json.dumps(test)),
            (name, rest),
        ),
    )
