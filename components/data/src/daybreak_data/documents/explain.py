"""``daybreak inspect``: what the pipeline would do with any file, and why. The same rules as the pipeline's.

Owns the walk over what a person names and the shape of an answer. Every check is made even where an earlier one
already decides, so that a person sees all there is; duplicates are not known for single files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Filters, PersonalData
from daybreak_data.personal_data import find_personal_data
from daybreak_data.rules import document_rules, filters, generated
from daybreak_data.sources import tree
from daybreak_data.syntax.check import SyntaxResult, check_syntax
from daybreak_data.text.decode import LIMIT_BYTES

DEFAULTS = document_rules.RuleOptions(languages=(), profile=Filters().profile, personal_data=PersonalData())
"""A manifest's defaults, with every language wanted."""


def explain_paths(
    paths: Iterable[Path], options: document_rules.RuleOptions = DEFAULTS
) -> Iterator[dict[str, Any]]:
    """Yield one answer per file, folders walked in sorted order as a directory source is.

    A path that is not there is a UserError, and so is it before anything is read.
    """
    named = [Path(path) for path in paths]
    for path in named:
        if not os.path.lexists(path):
            raise UserError(f"{path}: not found, name a file or a folder")
    for path in named:
        if not path.is_dir():
            yield explain_file(path, options)
            continue
        for found in tree.walk(path):
            yield _explain_found(path, found, options)


def _explain_found(root: Path, found: tree.Found, options: document_rules.RuleOptions) -> dict[str, Any]:
    """What was found below a folder; the rules see its path below the folder, as in the pipeline."""
    file = root if found.path == "." else root / found.path
    if found.problem:
        return _answer(file, decision=f"drop: ingest/{found.problem}")
    return explain_file(file, options, found.path)


def explain_file(
    path: Path, options: document_rules.RuleOptions = DEFAULTS, name: str = ""
) -> dict[str, Any]:
    """Return the answer for one file; whatever it is, nothing is raised.

    ``name`` is the path that rules about folders see; the file's own path where it is empty. A symbolic
    link that a person names is followed.
    """
    data, refused = _read(path)
    if data is None:
        return _answer(path, decision=f"drop: ingest/{refused}")
    name = name or path.as_posix()
    before = document_rules.assess_before_duplicates(name, data, options)
    if not before.text:
        return _answer(path, decision=_decision(before.drop))
    text, language = before.text, before.language
    drop = before.drop or document_rules.assess_after_duplicates(name, text, language, options).drop
    filtered = filters.check_filters(text, language, name, options.profile, options.limits)
    parsed = check_syntax(text, document_rules.dialect_of(name, text, language), name)
    return _answer(
        path,
        language=language,
        encoding=before.encoding,
        generated=generated.find_generated(name, text, language),
        filter=filtered.reason if filtered else None,
        syntax=_syntax_in_words(parsed),
        personalData=[
            {"kind": finding.kind, "start": finding.start, "end": finding.end, "rule": finding.rule}
            for finding in find_personal_data(text, name)
        ],
        decision=_decision(drop),
    )


def _decision(drop: document_rules.Drop | None) -> str:
    return f"drop: {drop.stage}/{drop.reason}" if drop else "keep"


def _read(path: Path) -> tuple[bytes | None, str]:
    """Return the bytes, or None and why there are none. Never waits for a pipe, never reads a huge file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None, "special-file"
        if status.st_size > LIMIT_BYTES:
            return None, "too-large"
        with path.open("rb") as file:  # files of /proc have size 0 and no end
            return file.read(LIMIT_BYTES + 1), ""
    except (OSError, ValueError):
        return None, "unreadable"


def _syntax_in_words(found: SyntaxResult) -> str:
    if found.verdict == "ok":
        return f"ok: {', '.join(found.tags)}" if found.tags else "ok"
    return f"{found.verdict}: {found.detail}"


def _answer(path: Path, **found: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "path": path.as_posix(),
        "language": None,
        "encoding": None,
        "generated": None,
        "filter": None,
        "syntax": None,
        "personalData": [],
    }
    # JSON text must be encodable, and file names on Linux are bytes.
    shown = path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return {**empty, **found, "path": shown}


def render_for_person(entry: dict[str, Any]) -> str:
    """Return one answer as a person reads it: the decision, the file, and what was noticed."""
    mark = "keep" if entry["decision"] == "keep" else entry["decision"]
    noticed = [entry["language"] or "unknown language", entry["encoding"] or ""]
    noticed += [f"generated ({entry['generated']})"] if entry["generated"] else []
    noticed += [f"filter {entry['filter']}"] if entry["filter"] else []
    noticed += [entry["syntax"]] if entry["syntax"] and entry["syntax"] != "ok" else []
    for found in entry["personalData"]:
        noticed.append(f"{found['kind']} at {found['start']} to {found['end']} ({found['rule']})")
    return f"{mark:32} {entry['path']}  [{'; '.join(item for item in noticed if item)}]"
