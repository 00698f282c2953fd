"""``daybreak inspect``: what the pipeline would do with any file, and why. The same rules as the pipeline's.

Owns the walk over what a person names, or over a run's sources, and the shape of an answer. Every check is made once,
even where an earlier one already decides, so that a person sees all there is; duplicates of single files are not known.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.languages import spellings
from daybreak_contracts.resources.run import Data, Filters, PersonalData, Source
from daybreak_data.documents.exclusion import ExclusionRules, all_rules, rules_for
from daybreak_data.documents.ingest import EXCLUDED, EXCLUSION_STAGE, STAGE
from daybreak_data.documents.sampling import select
from daybreak_data.rules import document_rules
from daybreak_data.rules.headers import header_languages
from daybreak_data.sources import Refused, SourceEntry, UnreadableError, list_source, read, tree
from daybreak_data.sources.entries import CONTAINERS, MAX_FILE_BYTES
from daybreak_data.syntax.result import SyntaxResult
from daybreak_data.tables.schemas import document_id_of
from daybreak_data.text.decode import LIMIT_BYTES


@dataclasses.dataclass(frozen=True)
class RunRules:
    """What a run keeps: its rules, and what it excludes."""

    options: document_rules.RuleOptions
    exclusion: ExclusionRules = dataclasses.field(default_factory=ExclusionRules)
    excluded_ids: frozenset[str] = frozenset()


DEFAULTS = RunRules(
    document_rules.RuleOptions(
        languages=tuple(sorted(set(spellings().values()))),
        profile=Filters().profile,
        personal_data=PersonalData(),
    )
)
"""A manifest's defaults, with every language that a manifest can name."""


def rules_of(data: Data) -> RunRules:
    """Return what the run of these data keeps."""
    ids = frozenset(data.exclude.document_ids)
    return RunRules(document_rules.options_of(data), all_rules(data.exclude), ids)


def explain_paths(paths: Iterable[Path], data: Data | None = None) -> Iterator[dict[str, Any]]:
    """Yield one answer per file, folders walked in sorted order as a directory source is.

    With ``data`` the answers are that run's, and a file in one of its directory sources is seen as a part of it. A path
    that is not there is a UserError, and so is it before anything is read.
    """
    named = [Path(path) for path in paths]
    for path in named:
        if not os.path.lexists(path):
            raise UserError(f"{path}: not found, name a file or a folder")
    run_rules = DEFAULTS if data is None else rules_of(data)
    roots = _roots(data.sources if data is not None else ())
    for path in named:
        if not path.is_dir():
            yield _explain_file(path, run_rules, _place(path, roots, path.as_posix()))
            continue
        for found in tree.walk(path):
            file = path if found.path == "." else path / found.path
            place = _place(file, roots, found.path)
            if found.problem:
                yield _answer(place.shown, place.source, decision=_decision(found.problem))
            else:
                yield _explain_file(file, run_rules, place)


def explain_sources(data: Data, work_dir: str, seed: int) -> Iterator[dict[str, Any]]:
    """Yield one answer per file of a run's sources, in the order in which they are read."""
    languages = frozenset(data.languages)
    for source in data.sources:
        listing = list_source(source, work_dir)
        contents = listing.expand()
        exclusion = rules_for(data.exclude, listing)
        selection = select(contents.refs, languages, seed, source.max_bytes, exclusion)
        run_rules = dataclasses.replace(rules_of(data), exclusion=exclusion)
        plain = [ref for ref in contents.refs if ref.kind not in CONTAINERS]
        headers = header_languages((ref.repository, ref.path) for ref in plain)
        for item in itertools.chain(contents.refused, read(contents.refs)):  # loaded before the next is taken
            shown = f"{item.repository}/{item.path}".rstrip("/")
            if isinstance(item, Refused):
                ends = item.fatal and source.on_error == "Fail"
                yield _answer(shown, source.name, decision=_decision(item.reason, "fail" if ends else "drop"))
            elif exclusion.reason_for(item.repository, item.path) or selection.takes(
                item.repository, item.path, item.size
            ):
                header = headers.get((item.repository, item.path), "")
                yield _explain_entry(item, source.name, header, run_rules)
            else:
                yield _answer(shown, source.name, decision="drop: sample/sample")


def _roots(sources: Iterable[Source]) -> dict[Path, str]:
    """Return the folders of directory sources with the names of the sources."""
    return {
        Path(source.directory.path.removeprefix("file://")).expanduser().resolve(): source.name
        for source in sources
        if source.directory is not None
    }


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a file lies: how it is shown, and as what the rules see it."""

    shown: str
    source: str | None
    repository: str
    path: str
    header: str = ""
    """The language that the sources around a header say it is in; known where a whole source is looked at."""


def _place(file: Path, roots: dict[Path, str], otherwise: str) -> Place:
    """Return a file's place in its source; ``otherwise`` is the path of one that is in no source."""
    shown, folder = file.as_posix(), file.parent.resolve()
    for root, source in roots.items():
        if folder == root or root in folder.parents:
            repository, separator, path = (folder / file.name).relative_to(root).as_posix().partition("/")
            return Place(shown, source, *((repository, path) if separator else (source, repository)))
    return Place(shown, None, "", otherwise)


def _explain_file(file: Path, run_rules: RunRules, place: Place) -> dict[str, Any]:
    """Return the answer for one file; whatever it is, nothing is raised. A link that a person names is followed."""
    data, refused = _read(file)
    if data is None:
        return _answer(place.shown, place.source, decision=_decision(refused))
    return _explain(place, data, run_rules)


def _explain_entry(item: SourceEntry, source: str, header: str, run_rules: RunRules) -> dict[str, Any]:
    place = Place(f"{item.repository}/{item.path}", source, item.repository, item.path, header)
    if item.size > MAX_FILE_BYTES:
        return _answer(place.shown, source, decision=_decision("too-large"))
    try:
        data = item.load()
    except UnreadableError as error:
        return _answer(place.shown, source, decision=_decision(error.reason))
    return _explain(place, data, run_rules, item.language)


def _explain(place: Place, data: bytes, run_rules: RunRules, stated: str = "") -> dict[str, Any]:
    if run_rules.exclusion.reason_for(place.repository, place.path):
        return _answer(place.shown, place.source, decision=f"drop: {EXCLUSION_STAGE}/{EXCLUDED}")
    seen = f"{place.repository}/{place.path}" if place.repository else place.path
    before = document_rules.assess_before_duplicates(seen, data, run_rules.options, stated, place.header)
    checks = before.checks
    if checks is None:
        return _answer(place.shown, place.source, language=before.language, decision=_in_words(before.drop))
    drop = before.drop
    if drop is None and document_id_of(before.text.encode()) in run_rules.excluded_ids:
        drop = document_rules.Drop(EXCLUSION_STAGE, EXCLUDED, "document id")
    return _answer(
        place.shown,
        place.source,
        language=before.language,
        encoding=before.encoding,
        generated=checks.generated_by,
        filter=checks.filtered.reason if checks.filtered else None,
        syntax=_syntax_in_words(checks.parsed),
        personalData=[
            {"kind": finding.kind, "start": finding.start, "end": finding.end, "rule": finding.rule}
            for finding in checks.findings
        ],
        decision=_in_words(drop or document_rules.finish(checks).drop),
    )


def _decision(reason: str, verb: str = "drop") -> str:
    return f"{verb}: {STAGE}/{reason}"


def _in_words(drop: document_rules.Drop | None) -> str:
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


def _answer(shown: str, source: str | None, **found: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "path": "",
        "source": source,
        "language": None,
        "encoding": None,
        "generated": None,
        "filter": None,
        "syntax": None,
        "personalData": [],
    }
    # JSON text must be encodable, and file names on Linux are bytes.
    return {**empty, **found, "path": shown.encode("utf-8", "surrogateescape").decode("utf-8", "replace")}


def render_for_person(entry: dict[str, Any]) -> str:
    """Return one answer as a person reads it: the decision, the file, and what was noticed."""
    mark = "keep" if entry["decision"] == "keep" else entry["decision"]
    where = f"{entry['source']}: " if entry["source"] else ""
    noticed = [entry["language"] or "unknown language", entry["encoding"] or ""]
    noticed += [f"generated ({entry['generated']})"] if entry["generated"] else []
    noticed += [f"filter {entry['filter']}"] if entry["filter"] else []
    noticed += [entry["syntax"]] if entry["syntax"] and entry["syntax"] != "ok" else []
    for found in entry["personalData"]:
        noticed.append(f"{found['kind']} at {found['start']} to {found['end']} ({found['rule']})")
    return f"{mark:32} {where}{entry['path']}  [{'; '.join(item for item in noticed if item)}]"
