"""JavaScript: two processes, calls as plain data (drivers/javascript)."""

from __future__ import annotations

import json
import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, called_names, driver
from daybreak_evaluate.task import Task

_DECLARED = re.compile(
    r"^(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:const|let|var|class|function\s*\*?)\s*([A-Za-z_$][\w$]*)",
    re.MULTILINE,
)
RESERVED = frozenset({"assert", "console", "require", "module", "exports", "process", "test"})


def assemble(task: Task, completion: str, token: str, *, suffix: str = "js") -> Sources:
    """Return the answer with its driver, and the test with its own."""
    head = task.preamble + task.prompt
    declared_in_test = set(_DECLARED.findall(task.test))
    names = called_names(
        task.entry_point,
        _DECLARED.findall(head),
        _DECLARED.findall(task.program(completion)),
        task.test,
        RESERVED,
    )
    asked = [name for name in names.asked if name not in declared_in_test]
    helpers = [name for name in names.helpers if name not in declared_in_test]
    program = f"program.{suffix}"
    values = ("values.js", driver("javascript", "values.js"))
    answer = {
        "names": [*asked, *helpers],
        "program": "/out/program.js" if suffix != "js" else f"/job/{program}",
    }
    test = {"names": asked, "helpers": {"names": helpers, "source": head}}
    return Sources(
        answer=(
            ("driver.js", driver("javascript", "candidate.js")),
            values,
            ("names.json", json.dumps(answer)),
            (program, task.program(completion)),
        ),
        test=(
            ("driver.js", driver("javascript", "tester.js")),
            values,
            ("names.json", json.dumps(test)),
            (f"test.{suffix}", task.test),
        ),
    )
