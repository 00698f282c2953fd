"""Which files of a repository say something about licences, and what each says of which folder.

A text is matched against the SPDX templates by ``licenseclassifier``; a package's metadata is what its author
declared. Pure: a path and bytes in, evidence out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from daybreak_data.licences import packages
from daybreak_data.licences.expression import UNKNOWN, licence_id, spdx_of

MAX_BYTES = 512 * 1024
"""A licence text above is a collection of notices; the longest of the SPDX list has 60 kB."""
MIN_COVERAGE = 0.5
"""Share of a licence file that the templates have to account for: a page about licences is none."""
TEXT, NOTICE, METADATA = "text", "notice", "metadata"

_WORDS = (
    r"(?:mit|x11|apache|asl|al|bsd|new|gpl|lgpl|agpl|gnu|mpl|epl|cpl|eupl|isc|zlib|boost|bsl|cc|cc0|by|sa|psf|python|"
    r"artistic|perl|unlicen[cs]e|wtfpl|ofl|lesser|lib|code|main|source|original|orig|full|v[1-4]|\d+|clause)"
)
_EXTENSION = r"(?:\.(?:md|markdown|txt|text|rst|adoc|html?))?"
_LICENCE_FILE = re.compile(
    rf"(?:(?:un)?licen[cs]es?|copying|mit[-_]licen[cs]e|(?:gpl|lgpl|apache|bsd)[-_]licen[cs]e)"
    rf"(?P<which>(?:[-_. ]?{_WORDS})*){_EXTENSION}|copyright(?:\.txt)?",
    re.IGNORECASE,
)
_NOTICE_FILE = re.compile(rf"notices?{_EXTENSION}", re.IGNORECASE)
# A licence for something else than the code beside it.
_CHOSEN = re.compile(r"mit|apache|bsd|gpl|mpl|isc|zlib|unlicen[cs]e|boost|cc0", re.IGNORECASE)

_METADATA: dict[str, Callable[[str], str]] = {
    "package.json": packages.of_package_json,
    "composer.json": packages.of_composer_json,
    "cargo.toml": packages.of_cargo_toml,
    "pyproject.toml": packages.of_pyproject_toml,
    "setup.cfg": packages.of_setup_cfg,
    "pom.xml": packages.of_pom_xml,
    "metadata": packages.of_python_metadata,
    "pkg-info": packages.of_python_metadata,
}
_METADATA_SUFFIXES: dict[str, Callable[[str], str]] = {
    ".gemspec": packages.of_gemspec,
    ".nuspec": packages.of_nuspec,
    ".csproj": packages.of_nuspec,
    ".cabal": packages.of_cabal,
}
# The templates do not match Vim's own text; Redis' first licence is not on the list, so its file has no expression.
_VIM = re.compile(r"no restrictions on distributing unmodified copies of vim\b", re.IGNORECASE)
_UNLISTED = re.compile(r"redis source available license", re.IGNORECASE)
# Folders of a package's own papers: what lies there is about the package.
_PAPERS = re.compile(
    r"(?:^|/)(?:[^/]+\.(?:dist-info|egg-info)(?:/licen[cs]es?)?|usr/share/doc/[^/]+|META-INF)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Evidence:
    """What a file says about the licence of a folder."""

    repository: str
    folder: str
    """Relative to the repository; empty is its root."""
    kind: str
    """``text``, ``notice`` or ``metadata``."""
    name: str
    """The file's name."""
    expression: str
    """``unknown`` of a licence text that is none of the list: it still says that the licence above does not hold."""


def gives_evidence(path: str) -> bool:
    """Tell by a path alone whether a file is looked into."""
    name = path.rpartition("/")[2]
    return _kind_of(name) != ""


def evidence_of(repository: str, path: str, data: bytes) -> Evidence | None:
    """Return what a file says, None when it says nothing that can be read."""
    folder, _, name = path.rpartition("/")
    kind = _kind_of(name)
    if not kind or len(data) > MAX_BYTES:
        return None
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if kind == METADATA:
        expression = _reader(name)(text)
    else:
        expression = packages.of_debian_copyright(text) or text_licence(text)
    if expression in ("", UNKNOWN) and kind != TEXT:
        return None
    return Evidence(repository, _subject(folder), kind, name, expression)


def _kind_of(name: str) -> str:
    if _LICENCE_FILE.fullmatch(name):
        return TEXT
    if _NOTICE_FILE.fullmatch(name):
        return NOTICE
    return METADATA if name.lower() in _METADATA or _suffix(name) in _METADATA_SUFFIXES else ""


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower() if "." in name else ""


def _reader(name: str) -> Callable[[str], str]:
    return _METADATA.get(name.lower()) or _METADATA_SUFFIXES[_suffix(name)]


def _subject(folder: str) -> str:
    """Return the folder that a folder's papers are about."""
    papers = _PAPERS.search(folder)
    return folder[: papers.start()] if papers else folder


def text_licence(text: str) -> str:
    """Return the expression of a licence text: all the licences in it, in their order."""
    from licenseclassifier import identify_license

    plain = " ".join(text.split())
    if _UNLISTED.search(plain):
        return UNKNOWN
    if _VIM.search(plain):
        return "Vim"
    found = identify_license(text)
    covered = sum(match.end - match.start for match in found)
    if covered < MIN_COVERAGE * len(text.strip()):
        return UNKNOWN
    ids = list(dict.fromkeys(licence_id(match.id) for match in found))
    # The GNU texts end with a sample notice that says "or later": it is no grant.
    named = [one for one in ids if one and one.replace("-or-later", "-only") not in (set(ids) - {one})]
    return spdx_of(" AND ".join(named)) if named and None not in ids else UNKNOWN


def is_one_of_a_choice(name: str) -> bool:
    """Tell whether a file's name says which licence it is (LICENSE-MIT): several such are a choice."""
    match = _LICENCE_FILE.fullmatch(name)
    return bool(match and _CHOSEN.search(match["which"] or ""))
