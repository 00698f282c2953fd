"""Ruby, PHP, Lua and the shell: two processes, calls as plain data (drivers of each language)."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daybreak_evaluate.runtimes.assembling.sources import Sources, called_names, driver, without_end
from daybreak_evaluate.task import Task


@dataclass(frozen=True)
class Script:
    """What differs between the languages."""

    language: str
    suffix: str
    declared: str
    """Pattern of a function's declaration; some group is its name."""
    drivers: tuple[str, ...] = ()
    """Files that both sides get besides their own."""
    test_drivers: tuple[str, ...] = ()
    opening: str = ""
    """What a test's file must begin with."""


SCRIPTS = (
    Script("ruby", "rb", r"^def\s+(?:self\.)?(\w+[?!]?)", ("values.rb",)),
    Script("php", "php", r"^function\s+&?(\w+)\s*\(", ("values.php",), opening="<?php\n"),
    Script(
        "lua",
        "lua",
        r"^(?:local\s+)?function\s+([A-Za-z_]\w*)|^(?:local\s+)?([A-Za-z_]\w*)\s*=\s*function\b",
        ("values.lua",),
        ("luaunit.lua",),
    ),
    Script("shell", "sh", r"^(?:function\s+)?([A-Za-z_]\w*)\s*\(\)|^function\s+([A-Za-z_]\w*)"),
)


def _assemble(script: Script, task: Task, completion: str, token: str) -> Sources:
    end, rest = without_end(task.test)
    declared = re.compile(script.declared, re.MULTILINE)

    def names_in(text: str) -> list[str]:
        return [name for match in declared.finditer(text) for name in match.groups() if name]

    program = task.program(completion) + end
    found = called_names(
        task.entry_point, names_in(task.preamble + task.prompt), names_in(program), task.test, frozenset()
    )
    own = set(names_in(rest))
    names = [name for name in (*found.asked, *found.helpers) if name not in own]
    listed = (("names.json", json.dumps(names)), ("names", "".join(f"{name}\n" for name in names)))
    shared = (*((name, driver(script.language, name)) for name in script.drivers), *listed)
    test = rest if rest.lstrip().startswith(script.opening.strip()) else script.opening + rest
    return Sources(
        answer=(
            (f"driver.{script.suffix}", driver(script.language, f"candidate.{script.suffix}")),
            (f"program.{script.suffix}", program),
            *shared,
        ),
        test=(
            (f"driver.{script.suffix}", driver(script.language, f"tester.{script.suffix}")),
            (f"test.{script.suffix}", test),
            *((name, driver(script.language, name)) for name in script.test_drivers),
            *shared,
            *((("guarded", ""),) if found.by_answer else ()),
        ),
    )


ASSEMBLERS: Mapping[str, Callable[[Task, str, str], Sources]] = {
    script.language: functools.partial(_assemble, script) for script in SCRIPTS
}
