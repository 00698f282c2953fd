"""The licence that the notice at the head of a file grants, where there is no SPDX tag.

Owns the wordings that the licences themselves recommend for their notices, and what two of them together mean. Pure.
Silent where a notice only points elsewhere ("see the LICENSE file") or names a GNU licence without a version: then the
folder's licence holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from daybreak_data.licences.expression import UNKNOWN, spdx_of
from daybreak_data.text.leading_comments import MAX_HEAD_CHARS, leading_comments

_GATE = re.compile(r"licen[cs]e|gpl|permission|Redistribution|provided|unencumbered", re.IGNORECASE)
_FRAME = re.compile(
    r"^[ \t]*(?:[*#;%!|\-]+|//+!?|--+|<!--|/\*+|dnl\b|rem\b)?[ \t]*", re.MULTILINE | re.IGNORECASE
)
_GNU = re.compile(
    r"(?:gnu (?P<kind>lesser |library |library or lesser |affero )?(?:general )?public licen[cs]e"
    r"|\b(?P<short>[la]?gpl))"
    r"(?P<rest>(?:(?!gnu (?:lesser|library|affero|general)).){0,180})"
)
_VERSION = re.compile(r"(?:\bversions?|\bv\.?|^[ \-]?) ?(?P<number>[123](?:\.[01])?)(?![.\d]*\d)")
_NUMBER = r"[123](?:\.[01])?"
_CHOICE_OF_TWO = re.compile(
    rf"either version (?P<first>{_NUMBER}),? or \(?at your option\)? version (?P<second>{_NUMBER})"
)
_LATER = re.compile(
    r"any later version|or[ -]later|or newer|or (?:\(?at your option\)? )?(?:any )?(?:later|newer)"
    r"|^[ \-v]*[123](?:\.[01])?\+"
)
_ONLY = re.compile(r"(?:not|no) (?:any )?(?:later|other)|only")
_BEFORE = 60
FARTHEST_VERSION, FARTHEST_OF_SHORT = 110, 12
"""Characters between a licence's name and its version: "as published by the Free Software Foundation; either"."""
_NO_GRANT = re.compile(
    r"\b(?:compatible with|incompatible|not (?:under|covered)|exception to|see|copy of)"
    r" (?:the )?(?:terms of )?(?:the )?$"
)
_GNU_NAMES = {"lesser": "LGPL", "library": "LGPL", "affero": "AGPL", "lgpl": "LGPL", "agpl": "AGPL"}
_GRANTED = r"(?:licensed|released|distributed|available|provided) under (?:the )?(?:terms of )?(?:the )?"
_WORDINGS: tuple[tuple[str, str], ...] = (
    ("Apache-2.0 WITH LLVM-exception", r"under the apache licen[cs]e v2\.0 with llvm exceptions?"),
    (
        "Apache-2.0",
        r"under (?:the )?(?:terms of )?(?:the )?apache licen[cs]e,? (?:version |v)?2(?:\.0)?(?![.\d])(?! with llvm)",
    ),
    ("MPL-2.0", r"mozilla public licen[cs]e,? ?(?:v\.? ?|version )2\.0"),
    ("MPL-1.1", r"mozilla public licen[cs]e,? ?(?:v\.? ?|version )1\.1"),
    ("EPL-2.0", r"eclipse public licen[cs]e,? ?(?:- )?(?:v\.? ?|version )?2\.0"),
    ("EPL-1.0", r"eclipse public licen[cs]e,? ?(?:- )?(?:v\.? ?|version )?1\.0"),
    ("BSL-1.0", r"under the boost software licen[cs]e,? version 1\.0"),
    (
        "X11",
        (
            r"permission is hereby granted, free of charge, to any person .{0,1600}except as contained in this notice,"
            r" the name"
        ),
    ),
    (
        "MIT",
        rf"permission is hereby granted, free of charge, to any person obtaining a copy|{_GRANTED}mit licen[cs]e",
    ),
    (
        "ISC",
        (
            r"permission to use, copy, modify,? (?:and|and/or) distribute this software for any purpose with or"
            r" without fee is hereby granted, provided that the above copyright notice"
        ),
    ),
    (
        "Zlib",
        (
            r"provided [\"'`]*as[ -]is[\"'`,]*,? without any express or implied warranty\.? in no event"
            r" will the authors?"
        ),
    ),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
)
_OTHERS = tuple((name, re.compile(wording)) for name, wording in _WORDINGS)
_BSD = re.compile(
    r"redistribution and use in source and binary forms,? with or without modification,? (?:is|are) permitted"
)
_CHOICE = re.compile(
    r"\balternatively\b|\bdual[- ]licen[cs]ed\b|\beither (?:of|the)\b|\bat your (?:option|choice)[,:]|\bor under the\b"
)


def notice_header(text: str, language: str) -> str:
    """Return the expression of the notices before a file's first line of code, empty when none grants anything."""
    head = text[:MAX_HEAD_CHARS]
    if not _GATE.search(head):
        return ""
    said = " ".join(_FRAME.sub("", leading_comments(head, language)).lower().split())
    found = list(dict.fromkeys((*_gnu(said), *_others(said))))
    found = [name for name in found if not any(_holds(other, name) for other in found)]
    if not found:
        return ""
    word = " OR " if len(found) > 1 and _CHOICE.search(said) else " AND "
    expression = spdx_of(word.join(f"({name})" for name in found))
    return "" if expression == UNKNOWN else expression


def _holds(other: str, name: str) -> bool:
    """Whether the first of two that a head names says all that the second one does: a heading names no "or later"."""
    if other == name:
        return False
    return (
        (other, name) == ("X11", "MIT")
        or name in other.split(" OR ")
        or name.removesuffix("-only") == other.removesuffix("-or-later")
    )


def _gnu(said: str) -> Iterator[str]:
    for match in _GNU.finditer(said):
        rest = match["rest"]
        name = _GNU_NAMES.get((match["kind"] or match["short"] or "").split(" ", 1)[0], "GPL")
        if _NO_GRANT.search(said[max(0, match.start() - _BEFORE) : match.start()]):
            continue
        both = _CHOICE_OF_TWO.search(rest)
        if both:
            yield f"{_gnu_id(name, both['first'])}-only OR {_gnu_id(name, both['second'])}-only"
            continue
        version = _VERSION.search(rest)
        if version is None or version.start() > (FARTHEST_OF_SHORT if match["short"] else FARTHEST_VERSION):
            continue
        after = rest[version.start() : version.end() + 70]
        is_later = _LATER.search(after) is not None and _ONLY.search(after[:40]) is None
        yield f"{_gnu_id(name, version['number'])}-{'or-later' if is_later else 'only'}"


def _gnu_id(name: str, number: str) -> str:
    return f"{name}-{number if '.' in number else number + '.0'}"


def _others(said: str) -> Iterator[str]:
    for name, wording in _OTHERS:
        if wording.search(said):
            yield name
    if _BSD.search(said):
        if "all advertising materials" in said:
            yield "BSD-4-Clause"
        elif "neither the name" in said or "may not be used to endorse" in said:
            yield "BSD-3-Clause"
        elif "redistributions in binary form must" in said:
            yield "BSD-2-Clause"
