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
from daybreak_contracts.resources.run import PersonalData
from daybreak_data import assess, filters, generated, syntax
from daybreak_data.decode import Undecodable, decode
from daybreak_data.personal_data import find_personal_data
from daybreak_data.sources.entries import MAX_FILE_BYTES

DEFAULTS = assess.Options(languages=(), profile="StarCoder2", personal_data=PersonalData())
"""A manifest's defaults, with every language wanted."""
_SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "__pycache__"})


def inspect_paths(paths: Iterable[Path], options: assess.Options = DEFAULTS) -> Iterator[dict[str, Any]]:
    """Yield one answer per file, folders walked in sorted order. A path that is not there is a UserError."""
    for path in paths:
        if not os.path.lexists(path):
            raise UserError(f"{path}: not found")
        for file in _files(path):
            yield inspect_file(file, options)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    try:
        entries = sorted(path.iterdir())
    except OSError:
        yield path  # told as unreadable
        return
    for entry in entries:
        if entry.name not in _SKIPPED_FOLDERS:
            yield from _files(entry)


def inspect_file(path: Path, options: assess.Options = DEFAULTS) -> dict[str, Any]:
    """Return the answer for one file; whatever it is, nothing is raised."""
    data, refused = _read(path)
    if data is None:
        return _answer(path, decision=f"drop: ingest/{refused}")
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        return _answer(path, decision=f"drop: ingest/{decoded.reason}")
    text, name = decoded.text, path.as_posix()
    language = assess.language_of(name, text)
    filtered = filters.check_filters(text, language, name, options.profile)
    before = assess.assess_before_duplicates(name, data, options)
    drop = before.drop or assess.assess_after_duplicates(name, text, language, options).drop
    return _answer(
        path,
        language=language,
        encoding=decoded.encoding,
        generated=generated.find_generated(name, text, language),
        filter=filtered.reason if filtered else None,
        syntax=_syntax_in_words(syntax.check_syntax(text, language, name)),
        personalData=[
            {"kind": finding.kind, "start": finding.start, "end": finding.end, "rule": finding.rule}
            for finding in find_personal_data(text, name)
        ],
        decision=f"drop: {drop.stage}/{drop.reason}" if drop else "keep",
    )


def _read(path: Path) -> tuple[bytes | None, str]:
    """Return the bytes, or None and why there are none. Never waits for a pipe, never reads a huge file."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return None, "symlink"
        if not stat.S_ISREG(status.st_mode):
            return None, "unreadable" if stat.S_ISDIR(status.st_mode) else "special-file"
        if status.st_size > MAX_FILE_BYTES:
            return None, "too-large"
        return path.read_bytes(), ""
    except OSError:
        return None, "unreadable"


def _syntax_in_words(found: syntax.Syntax) -> str:
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
