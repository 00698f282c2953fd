"""The source code of the running Python environment: every installed distribution and the standard library.

A distribution is one repository, named as the package index does; its licence is what its metadata says.
Files that no distribution's RECORD names, compiled files and caches are not part of the source.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
import stat
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import InstalledPackagesSource
from daybreak_data.sources.entries import (
    VERSION_CONTROL_AND_CACHES,
    Contents,
    FileRef,
    Listing,
    Refused,
    displayable,
    fingerprint_of,
)
from daybreak_data.sources.tree import walk

STANDARD_LIBRARY = "stdlib"
STANDARD_LIBRARY_LICENCE = "PSF-2.0"
COMPILED_SUFFIXES = (
    ".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".a", ".o", ".lib", ".exe", ".jar", ".class", ".wasm",
    ".cubin", ".fatbin", ".ptx", ".bc", ".hsaco", ".co", ".gz", ".zip", ".whl", ".xz", ".bz2", ".npz", ".npy",
)  # fmt: skip
METADATA_FOLDER = ".dist-info/"
LONGEST_LICENCE = 64


def list_installed_packages(
    name: str, wanted: InstalledPackagesSource, folders: Mapping[str, str]
) -> Listing:
    """List this environment; ``folders`` are the paths of ``sysconfig.get_paths()``.

    A package that is not installed is a UserError with the nearest names.
    """
    found = _distributions([folders["purelib"], folders["platlib"]])
    _require_known(name, wanted.packages, {*found, STANDARD_LIBRARY})
    chosen = {canonical_name(package) for package in wanted.packages} or {*found, STANDARD_LIBRARY}
    refs: list[FileRef] = []
    refused: list[Refused] = []
    for package in sorted(chosen):
        items = (
            _standard_library(folders)
            if package == STANDARD_LIBRARY
            else _package_files(package, found[package])
        )
        licence = (
            STANDARD_LIBRARY_LICENCE if package == STANDARD_LIBRARY else licence_of(found[package].metadata)
        )
        for path, location in items:
            item = _look(name, package, licence, path, location)
            if isinstance(item, FileRef):
                refs.append(item)
            else:
                refused.append(item)
    if not refs:
        raise UserError(
            f"source {name}: {', '.join(sorted(chosen))} have no source files, name other packages"
        )
    contents = Contents(tuple(refs), tuple(refused))
    return Listing(name, fingerprint_of(refs), lambda: contents, frozenset(chosen), True)


def current_folders() -> dict[str, str]:
    """Return the folders of the running interpreter."""
    return sysconfig.get_paths()


def canonical_name(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(folders: Iterable[str]) -> dict[str, metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions(path=sorted(set(folders))):
        found.setdefault(canonical_name(_stem(distribution)), distribution)
    return found


def _stem(distribution: metadata.Distribution) -> str:
    """Return the name from the metadata folder's name: parsing 300 METADATA files would cost a second."""
    folder = getattr(distribution, "_path", None)
    if folder is not None and str(folder).endswith(METADATA_FOLDER.rstrip("/")):
        return str(folder.name).removesuffix(METADATA_FOLDER.rstrip("/")).rpartition("-")[0]
    return distribution.metadata["Name"]


def _require_known(name: str, wanted: Iterable[str], known: set[str]) -> None:
    for package in wanted:
        if canonical_name(package) not in known:
            nearest = difflib.get_close_matches(canonical_name(package), known, n=3)
            hint = f", the nearest are {', '.join(nearest)}" if nearest else ""
            raise UserError(f"source {name}: package {package!r} is not installed in this environment{hint}")


def licence_of(description: metadata.PackageMetadata) -> str:
    """Return the licence expression, or the short licence text, or what the classifiers say; else empty."""
    expression = _field(description, "License-Expression")
    if expression:
        return expression
    text = _field(description, "License")
    if text and len(text) <= LONGEST_LICENCE and "\n" not in text and text.upper() != "UNKNOWN":
        return text
    classifiers = description.get_all("Classifier") or []
    named = [line.rpartition("::")[2].strip() for line in classifiers if line.startswith("License ::")]
    return " AND ".join(sorted(set(named)))


def _field(description: metadata.PackageMetadata, name: str) -> str:
    return str(description[name]).strip() if name in description else ""


def _package_files(package: str, distribution: metadata.Distribution) -> Iterator[tuple[str, str]]:
    record = distribution.read_text("RECORD") or ""
    root = str(distribution.locate_file(""))
    for row in sorted(csv.reader(record.splitlines())):
        if row and is_source(row[0]):
            yield row[0], f"{root}/{row[0]}"


def is_source(path: str) -> bool:
    """Tell whether a RECORD path stays inside site-packages and can be something that a person wrote."""
    if path.startswith(("/", "../")) or METADATA_FOLDER in path or path.endswith(COMPILED_SUFFIXES):
        return False
    parts = path.split("/")
    return ".." not in parts and VERSION_CONTROL_AND_CACHES.isdisjoint(parts) and ".so." not in path


def _standard_library(folders: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for prefix, root in (("", folders["stdlib"]), ("include/", folders["include"])):
        for item in walk(Path(root), enters=lambda path: path.partition("/")[0] != "site-packages"):
            if not item.problem and is_source(item.path):
                yield prefix + item.path, f"{root}/{item.path}"


def _look(name: str, package: str, licence: str, path: str, location: str) -> FileRef | Refused:
    try:
        status = os.lstat(location)
    except OSError as error:
        return Refused(package, displayable(path), 0, "unreadable", error.strerror or "")
    if not stat.S_ISREG(status.st_mode):
        reason = "symbolic-link" if stat.S_ISLNK(status.st_mode) else "special-file"
        return Refused(package, displayable(path), 0, reason)
    return FileRef(
        kind="file",
        source=name,
        repository=package,
        path=displayable(path),
        licence=licence,
        size=status.st_size,
        fingerprint=f"{status.st_size}:{status.st_mtime_ns}",
        location=location,
    )
