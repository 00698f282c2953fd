"""The syntax check on other people's repositories: files that compile and are called errors, torn files that are found.

Reads a folder of unpacked public repositories, one below the other, that ``DAYBREAK_CORPUS`` names.
Every file of it is presumed to compile; those that a project keeps broken for its tests count against us. Peer: the
rule of before, a grammar's share of errors above 1 %.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_data.rules.filters import check_filters
from daybreak_data.rules.generated import find_generated
from daybreak_data.rules.languages import detect_language, family_of
from daybreak_data.syntax import grammars
from daybreak_data.syntax.check import check_syntax
from daybreak_data.text.decode import Decoded, decode
from tests.bench.row import Row

MOST_FILES, MOST_TORN = 300, 50
"""Of a language; files of one repository are taken in turn, so that a large one does not stand for all."""
MOST_OF_ONE = 500
"""Files of one repository, of all languages."""
FEWEST_FILES = 20
LARGEST_BYTES = 200_000
PEER = "a grammar's errors above 1 %, or to the end"

Text = tuple[str, str]
"""Path and text."""


def measure() -> list[Row]:
    """All rows; three minutes on one core."""
    folder = os.environ.get("DAYBREAK_CORPUS", "")
    if not Path(folder).is_dir():
        raise UserError(f"DAYBREAK_CORPUS={folder!r} is no folder: name one that holds unpacked repositories")
    found = _texts_by_language(Path(folder))
    rows: list[Row] = []
    for language, texts in sorted(found.items(), key=lambda item: -len(item[1])):
        if len(texts) >= FEWEST_FILES:
            rows += _of_language(language, texts)
    return rows


def _texts_by_language(corpus: Path) -> dict[str, list[Text]]:
    """What the steps before would let through, at most so many of a language, the repositories in turn."""
    texts: dict[str, list[Text]] = defaultdict(list)
    walks = [
        _walk(corpus, home) for home in sorted(corpus.iterdir()) if home.is_dir() and home.name[0] != "."
    ]
    while walks:
        for walk in list(walks):
            one = next(walk, None)
            if one is None:
                walks.remove(walk)
            elif len(texts[one[0]]) < MOST_FILES:
                texts[one[0]].append(one[1:])
    return texts


def _walk(corpus: Path, home: Path) -> Iterator[tuple[str, str, str]]:
    files = sorted(path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    random.Random(home.name).shuffle(files)
    for file in files[:MOST_OF_ONE]:
        if file.stat().st_size > LARGEST_BYTES:
            continue
        decoded = decode(file.read_bytes())
        path = str(file.relative_to(corpus))
        if not isinstance(decoded, Decoded):
            continue
        language = detect_language(path, decoded.text)
        if language is None or not _is_read(language, decoded.text, path):
            continue
        family = family_of(language)
        if check_filters(decoded.text, family, path, "StarCoder2") or find_generated(
            path, decoded.text, family
        ):
            continue
        yield language, path, decoded.text


def _is_read(language: str, text: str, path: str) -> bool:
    return check_syntax("" if language != "xml" else "<a/>", language, path).parser != "none"


def _of_language(language: str, texts: list[Text]) -> list[Row]:
    verdicts = [check_syntax(text, language, path) for path, text in texts]
    wrong = sum(found.verdict == "error" for found in verdicts)
    dialects = sum("dialect" in found.tags for found in verdicts)
    per = 10_000 / len(texts)
    peer = (
        sum(_by_share(text, language, path) for path, text in texts) * per
        if grammars.knows(language)
        else None
    )
    told = f"{wrong} of {len(texts)} files, {dialects} kept as dialect"
    rows = [
        Row(
            f"{language}: files called errors",
            wrong * per,
            "of 10,000",
            "",
            PEER if peer is not None else "",
            peer,
            told,
        )
    ]
    good = [
        text
        for text, found in zip(texts, verdicts, strict=True)
        if found.verdict == "ok" and len(text[1]) > 200
    ]
    if len(good) < FEWEST_FILES:
        return rows
    chance = random.Random(language)
    return [*rows, *(_torn(language, kind, tear, good[:MOST_TORN], chance) for kind, tear in TEARS.items())]


def _torn(language: str, kind: str, tear: Tear, good: list[Text], chance: random.Random) -> Row:
    found = total = 0
    for place, (path, text) in enumerate(good):
        torn = tear(text, good[(place + 1) % len(good)][1], chance)
        if torn is None:
            continue
        total += 1
        decoded = decode(torn)
        found += (
            not isinstance(decoded, Decoded) or check_syntax(decoded.text, language, path).verdict == "error"
        )
    return Row(f"{language}: {kind}, found", found / max(total, 1), "", "", note=f"{total} files")


def _by_share(text: str, language: str, path: str) -> bool:
    placed = grammars.place(text, language, path, lambda: False)
    return (
        isinstance(placed, grammars.Placed)
        and not placed.is_clean
        and (not placed.fits or placed.reaches_end)
    )


Tear = Callable[[str, str, random.Random], bytes | None]


def _cut(text: str, _: str, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) // 5, len(text) * 4 // 5)].encode()


def _cut_in_a_block(text: str, _: str, chance: random.Random) -> bytes | None:
    """As the older measurement (benchmarks, rules): more braces opened than closed, wherever they stand."""
    cut = text[: chance.randrange(len(text) // 5, len(text) * 4 // 5)]
    return cut.encode() if cut.count("{") > cut.count("}") else None


def _glued(text: str, other: str, _: random.Random) -> bytes:
    return (text[: len(text) // 2] + other[len(other) // 2 :]).encode()


def _with_rubbish(text: str, _: str, chance: random.Random) -> bytes:
    data = text.encode()
    return data[: len(data) // 2] + chance.randbytes(256) + data[len(data) // 2 :]


def _with_a_conflict(text: str, _: str, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    place = chance.randrange(max(1, len(lines) - 3))
    ours, theirs = lines[place : place + 3], lines[place : place + 1]
    conflict = ["<<<<<<< HEAD\n", *ours, "=======\n", *theirs, ">>>>>>> feature\n"]
    return "".join([*lines[:place], *conflict, *lines[place + 3 :]]).encode()


TEARS: dict[str, Tear] = {
    "cut anywhere": _cut,
    "cut in a block": _cut_in_a_block,
    "halves of two files": _glued,
    "256 random bytes": _with_rubbish,
    "a merge conflict": _with_a_conflict,
}
