"""SPDX licence expressions: read in the spellings that people use, written in one, and held against a manifest.

The grammar is that of SPDX 2.3, annex D; identifiers are those of the list that the contracts ship. What cannot be
read as such an expression is unknown: never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache

from daybreak_contracts.resources.licences import Licences, spdx_list

UNKNOWN = "unknown"
_TOKEN = re.compile(r"\s*(\(|\)|[\w.+-]+)")


@dataclass(frozen=True)
class Leaf:
    """One licence, perhaps with an exception from it."""

    licence: str
    exception: str = ""


@dataclass(frozen=True)
class Joint:
    """Some expressions, joined by AND or OR."""

    word: str
    parts: tuple[Leaf | Joint, ...]


Tree = Leaf | Joint

# Names that package indexes and people write, in lower case without "the", "license" and punctuation.
_SPELLINGS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache software": "Apache-2.0",
    "apache software 2.0": "Apache-2.0",
    "apache version 2.0": "Apache-2.0",
    "apache v2": "Apache-2.0",
    "apache v2.0": "Apache-2.0",
    "asl 2.0": "Apache-2.0",
    "apache2": "Apache-2.0",
    "expat": "MIT",
    "mit expat": "MIT",
    "mit x11": "MIT",
    "bsd 2 clause": "BSD-2-Clause",
    "2 clause bsd": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "revised bsd": "BSD-3-Clause",
    "bsd3": "BSD-3-Clause",
    "bsd2": "BSD-2-Clause",
    "gplv2": "GPL-2.0-only",
    "gnu gpl v2": "GPL-2.0-only",
    "gpl v2": "GPL-2.0-only",
    "gplv2+": "GPL-2.0-or-later",
    "gpl 2+": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0-only",
    "gnu gpl v3": "GPL-3.0-only",
    "gpl v3": "GPL-3.0-only",
    "gpl 3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "gpl 3+": "GPL-3.0-or-later",
    "gnu general public v2 gplv2": "GPL-2.0-only",
    "gnu general public v3 gplv3": "GPL-3.0-only",
    "gnu general public v2 or later gplv2+": "GPL-2.0-or-later",
    "gnu general public v3 or later gplv3+": "GPL-3.0-or-later",
    "gnu lesser general public v2 or later lgplv2+": "LGPL-2.0-or-later",
    "gnu lesser general public v3 lgplv3": "LGPL-3.0-only",
    "gnu lesser general public v3 or later lgplv3+": "LGPL-3.0-or-later",
    "gnu affero general public v3": "AGPL-3.0-only",
    "gnu affero general public v3 or later agplv3+": "AGPL-3.0-or-later",
    "lgpl 2.1+": "LGPL-2.1-or-later",
    "lgpl 2+": "LGPL-2.0-or-later",
    "lgpl 3+": "LGPL-3.0-or-later",
    "lgplv3": "LGPL-3.0-only",
    "agplv3": "AGPL-3.0-only",
    "agplv3+": "AGPL-3.0-or-later",
    "mozilla public 2.0 mpl 2.0": "MPL-2.0",
    "mpl 2": "MPL-2.0",
    "mplv2.0": "MPL-2.0",
    "isc iscl": "ISC",
    "python software foundation": "PSF-2.0",
    "psf": "PSF-2.0",
    "eclipse public v1.0": "EPL-1.0",
    "eclipse public v2.0": "EPL-2.0",
    "eclipse public version 2.0": "EPL-2.0",
    "boost software 1.0 bsl 1.0": "BSL-1.0",
    "boost": "BSL-1.0",
    "zlib libpng": "Zlib",
    "cc0": "CC0-1.0",
    "cc0 1.0 universal cc0 1.0 public domain dedication": "CC0-1.0",
    "bouncy castle": "MIT",
}


@cache
def spdx_of(text: str) -> str:
    """Return the SPDX expression that a text means, in one spelling; ``UNKNOWN`` when it means none."""
    text = text.strip().strip("\"'")
    for reading in (text, text.replace("/", " OR ")):
        tree = _parsed(reading)
        if tree is not None:
            return _written(_simple(tree))
    return _by_name().get(_plain(text), UNKNOWN)


@cache
def _by_name() -> dict[str, str]:
    return {**{_plain(name): spdx for spdx, name in spdx_list().names.items()}, **_SPELLINGS}


def _plain(text: str) -> str:
    words = re.findall(r"[a-z0-9.+]+", text.lower().replace("licence", "license"))
    return " ".join(word for word in words if word not in ("the", "license", "licenses", "osi", "approved"))


def licence_id(text: str) -> str | None:
    """Return an identifier in the list's spelling, the withdrawn ones as their successors; None when unknown."""
    known, name = spdx_list(), text.lower()
    for candidate in (name, f"{name}-only", f"{name[:-1]}-or-later" if name.endswith("+") else name):
        if candidate in known.known:
            return known.known[candidate]
    return known.deprecated.get(name)


def _parsed(text: str) -> Tree | None:
    tokens = list(_tokens(text))
    if not tokens or None in tokens:
        return None
    tree, rest = _choice([token for token in tokens if token])
    return None if rest else tree


def _tokens(text: str) -> Iterator[str | None]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            yield None
            return
        yield match[1]
        position = match.end()


def _joined(
    word: str, part: Callable[[list[str]], tuple[Tree | None, list[str]]], tokens: list[str]
) -> tuple[Tree | None, list[str]]:
    first, rest = part(tokens)
    if first is None:
        return None, tokens
    parts = [first]
    while rest and rest[0].upper() == word:
        following, rest = part(rest[1:])
        if following is None:
            return None, tokens
        parts.append(following)
    return (first if len(parts) == 1 else Joint(word, tuple(parts))), rest


def _choice(tokens: list[str]) -> tuple[Tree | None, list[str]]:
    return _joined("OR", _sum, tokens)


def _sum(tokens: list[str]) -> tuple[Tree | None, list[str]]:
    return _joined("AND", _one, tokens)


def _one(tokens: list[str]) -> tuple[Tree | None, list[str]]:
    if tokens and tokens[0] == "(":
        tree, rest = _choice(tokens[1:])
        return (tree, rest[1:]) if tree is not None and rest[:1] == [")"] else (None, tokens)
    licence = licence_id(tokens[0]) if tokens else None
    if licence is None:
        return None, tokens
    if len(tokens) > 2 and tokens[1].upper() == "WITH":
        exception = spdx_list().exceptions.get(tokens[2].lower())
        return (Leaf(licence, exception), tokens[3:]) if exception else (None, tokens)
    return Leaf(licence), tokens[1:]


def _simple(tree: Tree) -> Tree:
    """Return a tree without joints in joints of their own kind, and without parts that come twice."""
    if isinstance(tree, Leaf):
        return tree
    parts: list[Tree] = []
    for part in map(_simple, tree.parts):
        parts += part.parts if isinstance(part, Joint) and part.word == tree.word else (part,)
    distinct = tuple(dict.fromkeys(parts))
    return distinct[0] if len(distinct) == 1 else Joint(tree.word, distinct)


def _written(tree: Tree, *, inside: bool = False) -> str:
    if isinstance(tree, Leaf):
        return f"{tree.licence} WITH {tree.exception}" if tree.exception else tree.licence
    text = f" {tree.word} ".join(_written(part, inside=True) for part in tree.parts)
    return f"({text})" if inside else text


def is_permitted(expression: str, licences: Licences) -> bool:
    """Tell whether a manifest lets files of this licence in."""
    return _is_permitted(
        expression, frozenset(licences.allow), frozenset(licences.deny), licences.unknown == "Keep"
    )


@cache
def _is_permitted(expression: str, allow: Collection[str], deny: Collection[str], keep_unknown: bool) -> bool:
    tree = _parsed(expression)
    if tree is None:
        return keep_unknown

    def holds(part: Tree) -> bool:
        if isinstance(part, Leaf):
            return part.licence not in deny and (not allow or part.licence in allow)
        every = (holds(other) for other in part.parts)
        return any(every) if part.word == "OR" else all(every)

    return holds(tree)


def families(expression: str) -> frozenset[str]:
    """Return the licences of an expression, without exceptions and without ``-only`` or ``-or-later``."""
    tree = _parsed(expression)
    return frozenset(_families(tree)) if tree is not None else frozenset()


def _families(tree: Tree) -> Iterator[str]:
    if isinstance(tree, Leaf):
        yield tree.licence.removesuffix("-only").removesuffix("-or-later")
    else:
        for part in tree.parts:
            yield from _families(part)
