"""What a package's own metadata says about its licence, as an SPDX expression; empty when it says nothing.

One function a format. Never raises: metadata that cannot be read says nothing.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from daybreak_data.licences.expression import UNKNOWN, spdx_of


def of_package_json(text: str) -> str:
    """npm. ISC says nothing: ``npm init`` writes it unasked."""
    content = _json(text)
    named = content.get("license", content.get("licenses"))
    expression = _any_of(_names(named))
    return "" if expression == "ISC" else expression


def of_composer_json(text: str) -> str:
    """PHP's Composer: a list is a choice."""
    return _any_of(_names(_json(text).get("license")))


def of_cargo_toml(text: str) -> str:
    """Rust's Cargo; MIT/Apache-2.0 is its old spelling of a choice."""
    content = _toml(text)
    package = _mapping(content.get("package")) or _mapping(_mapping(content.get("workspace")).get("package"))
    return _any_of(_names(package.get("license")))


def of_pyproject_toml(text: str) -> str:
    """Python's PEP 639 and 621, Poetry, and classifiers."""
    content = _toml(text)
    project = _mapping(content.get("project")) or _mapping(_mapping(content.get("tool")).get("poetry"))
    licence = project.get("license")
    named = _any_of(_names(licence.get("text") if isinstance(licence, dict) else licence))
    return named or _of_classifiers(project.get("classifiers") or ())


def of_setup_cfg(text: str) -> str:
    """setuptools' older file."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    named = _any_of([parser.get("metadata", "license", fallback="")])
    return named or _of_classifiers(parser.get("metadata", "classifiers", fallback="").splitlines())


def of_python_metadata(text: str) -> str:
    """``METADATA`` of a wheel, ``PKG-INFO`` of a source distribution."""
    head = text.partition("\n\n")[0]
    fields = re.findall(r"^(License-Expression|License|Classifier): *(.+)$", head, re.MULTILINE)
    named = _any_of(value for name, value in fields if name == "License-Expression")
    named = named or _any_of(value for name, value in fields if name == "License")
    return named or _of_classifiers(value for name, value in fields if name == "Classifier")


def of_gemspec(text: str) -> str:
    """Ruby: a list says not whether one may choose, so all are meant."""
    found = re.search(r"^\s*\w+\.licenses?\s*=\s*(.+)$", text, re.MULTILINE)
    names = re.findall(r"['\"]([^'\"]+)['\"]", found[1]) if found else []
    expressions = [spdx_of(name) for name in names]
    if not expressions or UNKNOWN in expressions:
        return ""
    return spdx_of(" AND ".join(f"({expression})" for expression in expressions))


def of_pom_xml(text: str) -> str:
    """Maven: of several one may choose. A licence of a plug-in's settings lies deeper and is not meant."""
    outer = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    found = re.search(
        r"^\s*<project\b.*?<licenses>(.*?)</licenses>", _without_build(outer), re.DOTALL | re.MULTILINE
    )
    names = re.findall(r"<license>\s*.*?<name>\s*([^<]+?)\s*</name>", found[1], re.DOTALL) if found else []
    return _any_of(names)


def _without_build(text: str) -> str:
    return re.sub(r"<build>.*?</build>", "", text, flags=re.DOTALL)


def of_nuspec(text: str) -> str:
    """NuGet, in a .nuspec or in a C# project."""
    found = re.search(
        r"<license\s+type=\"expression\"\s*>\s*([^<]+)<|<PackageLicenseExpression>\s*([^<]+)<", text
    )
    return _any_of([found[1] or found[2]]) if found else ""


def of_cabal(text: str) -> str:
    """Haskell's Cabal."""
    found = re.search(r"^license:\s*(.+)$", text, re.MULTILINE | re.IGNORECASE)
    return _any_of([found[1]]) if found else ""


_DEBIAN_NAMES = {"expat": "MIT", "gpl": "", "lgpl": "", "public-domain": ""}


def of_debian_copyright(text: str) -> str:
    """A machine-readable ``copyright`` of Debian: the licence of ``Files: *``."""
    if not text.lstrip().startswith(("Format:", "Format-Specification:")):
        return ""
    found = re.search(r"^Files:[ \t]*\*[ \t]*$(.*?)^License:[ \t]*([^\n]+)", text, re.MULTILINE | re.DOTALL)
    if not found or re.search(r"^Files:", found[1], re.MULTILINE):
        return ""
    words = [_debian_name(word) for word in found[2].split()]
    expression = spdx_of(" ".join(words))
    return "" if expression == UNKNOWN else expression


def _debian_name(word: str) -> str:
    if word.lower() in ("and", "or", "with"):
        return word.upper()
    if word.lower() in _DEBIAN_NAMES:
        return _DEBIAN_NAMES[word.lower()] or word
    numbered = re.fullmatch(r"((?:L|A)?GPL)-(\d)(\+?)", word, re.IGNORECASE)
    if numbered:
        return f"{numbered[1].upper()}-{numbered[2]}.0{'-or-later' if numbered[3] else '-only'}"
    return word


def _of_classifiers(lines: Iterable[Any]) -> str:
    named = [
        line.rpartition("::")[2].strip() for line in map(str, lines) if line.strip().startswith("License ::")
    ]
    return _any_of(named[:1]) if len(named) == 1 else ""


def _any_of(names: Iterable[str]) -> str:
    """Return a choice between names; empty when one of them is not known."""
    expressions = [spdx_of(name) for name in names if name.strip()]
    if not expressions or UNKNOWN in expressions:
        return ""
    return spdx_of(" OR ".join(f"({expression})" for expression in expressions))


def _names(value: Any) -> list[str]:
    """Return the names in a text, in a mapping with a ``type``, or in a list of either."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return _names(value.get("type"))
    return [name for item in value for name in _names(item)] if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(text: str) -> dict[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}
