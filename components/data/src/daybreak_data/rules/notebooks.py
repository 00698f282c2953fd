"""A notebook as the script that a person would have written: its cells in order, Markdown as comments, no outputs.

Owns: the percent format (``# %%`` before each cell), which VS Code, Spyder and jupytext read. Pure.
Does not own: which file is a notebook (languages.py), and whether its code parses (syntax/check.py).
"""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

SLASHED = frozenset(
    (
        "c",
        "c++",
        "c#",
        "cpp",
        "csharp",
        "f#",
        "fsharp",
        "go",
        "java",
        "javascript",
        "kotlin",
        "rust",
        "scala",
        "swift",
        "typescript",
    )
)
"""Languages of kernels whose comments begin with two slashes; those of the others with ``#``."""
LONGEST_COMMENT = 120
"""Characters of a line of Markdown; the filters drop files with lines beyond 1,000."""
_MAGIC = re.compile(r"[ \t]*(?:%{1,2}[A-Za-z]|!|\?)")
_CELL_MAGIC = re.compile(r"\s*%%[A-Za-z]")


def script_of(text: str) -> str | None:
    """Return the script, None where the text is no notebook.

    A kernel other than Python's is named in the first line; magics and cells in another language become comments.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = _cells(document)
    if cells is None:
        return None
    kernel = _kernel(document)
    mark = "//" if kernel in SLASHED else "#"
    parts = [_cell(cell, mark) for cell in cells]
    head = "" if kernel in {"", "python"} else f"{mark} %% kernel {kernel}\n\n"
    return head + "\n".join(part for part in parts if part)


def _cells(document: Any) -> list[Any] | None:
    if not isinstance(document, dict):
        return None
    cells = document.get("cells")
    if cells is None and isinstance(document.get("worksheets"), list):  # nbformat 3
        sheets = [sheet.get("cells") for sheet in document["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    return cells if isinstance(cells, list) else None


def _kernel(document: dict[str, Any]) -> str:
    about = document.get("metadata")
    about = about if isinstance(about, dict) else {}
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        found = about.get(part)
        name = found.get(key) if isinstance(found, dict) else None
        if isinstance(name, str) and name:
            word = name.split()[0].lower() if name.split() else ""
            return "python" if word.startswith(("python", "ipython")) else word
    return ""


def _cell(cell: Any, mark: str) -> str:
    if not isinstance(cell, dict):
        return ""
    source = cell.get("source", cell.get("input", ""))
    text = "".join(line for line in source if isinstance(line, str)) if isinstance(source, list) else source
    if not isinstance(text, str) or not text.strip():
        return ""
    text = text.strip("\n")
    if cell.get("cell_type") != "code":
        return f"{mark} %% [markdown]\n{_commented(_wrapped(text), mark)}\n"
    if _CELL_MAGIC.match(text):
        return f"{mark} %%\n{_commented(text, mark)}\n"
    lines = [f"{mark} {line}" if _MAGIC.match(line) else line for line in text.split("\n")]
    return f"{mark} %%\n" + "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    """A paragraph of Markdown is often one line; a comment is not. Words are never broken."""
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= LONGEST_COMMENT:
            lines.append(line)
        else:
            lines += textwrap.wrap(line, LONGEST_COMMENT, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def _commented(text: str, mark: str) -> str:
    return "\n".join(f"{mark} {line}".rstrip() for line in text.split("\n"))
