"""Go: answer and test are one package, run by a main of ours that counts the tests that came to their end."""

from __future__ import annotations

import re

from daybreak_evaluate.runtimes.assembling.sources import Sources, driver
from daybreak_evaluate.task import Task

OFFERED = ("math", "strings", "fmt", "strconv", "time", "bytes", "regexp", "sort", "math/rand", "crypto/md5")
"""Imports that an answer gets when it uses them without a line for it, as in HumanEval-X's own evaluation."""
PREDECLARED = (
    *(
        "any",
        "bool",
        "byte",
        "comparable",
        "complex64",
        "complex128",
        "error",
        "float32",
        "float64",
        "int",
        "int8",
    ),
    *(
        "int16",
        "int32",
        "int64",
        "rune",
        "string",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uintptr",
        "true",
    ),
    *(
        "false",
        "iota",
        "nil",
        "append",
        "cap",
        "clear",
        "close",
        "complex",
        "copy",
        "delete",
        "imag",
        "len",
        "make",
    ),
    *("max", "min", "new", "panic", "print", "println", "real", "recover"),
)
_IMPORTS = re.compile(r'^import\s*(?:\(([^)]*)\)|((?:[\w.]+\s+)?"[^"\n]+"))[ \t]*;?[ \t]*$', re.MULTILINE)
_SPEC = re.compile(r'^\s*(?:([\w.]+)\s+)?"([^"\n]+)"', re.MULTILINE)
_PACKAGE = re.compile(r"^\s*package\s+\w+[ \t;]*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^([ \t]*)//(go:(?:linkname|embed|cgo_\w+)\b)", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TEST = re.compile(r"^func\s+(Test\w*)\s*\(\s*\w+\s+\*testing\.T\s*\)", re.MULTILINE)


def assemble(task: Task, completion: str, token: str) -> Sources:
    """Return the package of answer and test, the guard of the names that the test means as Go's, and the main."""
    body = _DIRECTIVE.sub(r"\1// \2", task.program(completion)) + "\n" + task.test
    imports = [spec for block in _IMPORTS.finditer(body) for spec in _SPEC.findall(block[1] or block[2])]
    body = _PACKAGE.sub("", _IMPORTS.sub("", body))
    text = f"package answer\n\nimport (\n{_import_lines(imports, body)})\n{body}"
    return Sources(
        answer=(
            ("answer.go", text),
            ("guard.go", _guard(_COMMENT.sub(" ", task.preamble + task.prompt) + task.test)),
            ("main.go", main_for(_TEST.findall(task.test), token)),
        ),
        ending=token,
    )


def _guard(trusted: str) -> str:
    """Return a file whose imports bear the names of Go's that a task says: no answer can declare them as well.

    What the task does not say is the answer's to declare: much of Go's code has a ``min`` and a ``max`` of its own.
    """
    words = set(re.findall(r"\w+", trusted))
    names = [name for name in PREDECLARED if name in words]
    imports = "".join(f'import {name} "unsafe"\n' for name in names)
    return f"package answer\n\n{imports}" + "".join(f"\nvar _ {name}.Pointer" for name in names) + "\n"


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


def main_for(tests: list[str], token: str) -> str:
    """Return the trusted main: the secret is said when every test has run to its end."""
    rows = "".join(
        f'\t\t{{Name: "{name}", F: func(t *testing.T) {{ answer.{name}(t); end(t) }}}},\n'
        for name in dict.fromkeys(tests)
    )
    return driver("go", "main.go.template").replace("\t\t// tests\n", rows).replace('"ending"', f'"{token}"')
