"""Go: answer and test are one package, run by a main of ours that counts the tests that came to their end."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, driver
from daybreak_evaluate.task import Task

OFFERED = ("math", "strings", "fmt", "strconv", "time", "bytes", "regexp", "sort", "math/rand", "crypto/md5")
"""Imports that an answer gets when it uses them without a line for it, as in HumanEval-X's own evaluation."""
_IMPORTS = re.compile(r'^import\s*(?:\(([^)]*)\)|((?:[\w.]+\s+)?"[^"\n]+"))[ \t]*;?[ \t]*$', re.MULTILINE)
_SPEC = re.compile(r'^\s*(?:([\w.]+)\s+)?"([^"\n]+)"', re.MULTILINE)
_PACKAGE = re.compile(r"^\s*package\s+\w+[ \t;]*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^([ \t]*)//(go:(?:linkname|embed|cgo_\w+)\b)", re.MULTILINE)
_TEST = re.compile(r"^func\s+(Test\w*)\s*\(\s*\w+\s+\*testing\.T\s*\)", re.MULTILINE)


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the package of answer and test, the guard of Go's own names, and the main."""
    body = _DIRECTIVE.sub(r"\1// \2", task.program(completion)) + "\n" + task.test
    imports = [spec for block in _IMPORTS.finditer(body) for spec in _SPEC.findall(block[1] or block[2])]
    body = _PACKAGE.sub("", _IMPORTS.sub("", body))
    text = f"package answer\n\nimport (\n{_import_lines(imports, body)})\n{body}"
    return Sources(
        answer=(
            ("answer.go", text),
            ("guard.go", driver("go", "guard.go")),
            ("main.go", main_for(_TEST.findall(task.test))),
        )
    )


def _import_lines(imports: list[tuple[str, str]], body: str) -> str:
    """Return the imports that are used, and what is used without one."""
    wanted: dict[str, str] = {}
    for alias, path in [*imports, *(("", path) for path in OFFERED)]:
        name = alias or re.sub(r"/v\d+$", "", path).rpartition("/")[2]
        if name in wanted:
            continue
        if alias in ("_", ".") or re.search(rf"(?<![\w.]){re.escape(name)}\.\w", body):
            wanted[name if alias not in ("_", ".") else path] = f"\t{alias} {path!r}\n".replace("'", '"')
    return "".join(wanted.values())


def main_for(tests: list[str]) -> str:
    """Return the trusted main: the secret is said when every test has run to its end."""
    rows = "".join(
        f'\t\t{{Name: "{name}", F: func(t *testing.T) {{ answer.{name}(t); end(t) }}}},\n'
        for name in dict.fromkeys(tests)
    )
    return driver("go", "main.go.template").replace("\t\t// tests\n", rows)
