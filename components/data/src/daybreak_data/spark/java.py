"""Finds the Java runtime that Spark needs. Installs none, starts no Spark.

``python -m daybreak_data.spark.java`` tells what it found; the standard library is enough for it: set-up asks it first.
Spark 4.3 wants Java 17 or newer (its "Downloading" page).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts import errors

MINIMUM_VERSION = 17
DEBIAN_PACKAGE = "default-jre-headless"
# The usual places of Linux distributions, of runtimes below the home folder, and of macOS.
USUAL_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines")
OWN_FOLDERS = (".jre", ".jdk")


@dataclass(frozen=True)
class Java:
    """A Java runtime: its home folder and its major version."""

    home: Path
    version: int

    @property
    def binary(self) -> Path:
        """The ``java`` command of this runtime."""
        return self.home / "bin" / "java"


def find_java(environment: Mapping[str, str], usual_folders: tuple[str, ...] = USUAL_FOLDERS) -> Java | None:
    """Return the first runtime that is new enough: JAVA_HOME, then PATH, then the usual folders; else None."""
    for home in _homes(environment, usual_folders):
        version = _version_of(home)
        if version is not None and version >= MINIMUM_VERSION:
            return Java(home, version)
    return None


def _homes(environment: Mapping[str, str], usual_folders: tuple[str, ...]) -> Iterator[Path]:
    if environment.get("JAVA_HOME"):
        yield Path(environment["JAVA_HOME"])
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path is not None:
        yield Path(on_path).resolve().parent.parent
    own = [str(Path(environment["HOME"]) / name) for name in OWN_FOLDERS] if environment.get("HOME") else []
    for folder in (*own, *usual_folders):
        for home in sorted(Path(folder).glob("*")):
            yield home / "Contents" / "Home" if (home / "Contents" / "Home").is_dir() else home


def _version_of(home: Path) -> int | None:
    binary = home / "bin" / "java"
    if not os.access(binary, os.X_OK):
        return None
    release = home / "release"
    if release.is_file():
        version = parse_version(release.read_text(errors="replace"))
        if version is not None:
            return version
    try:
        said = subprocess.run(
            [str(binary), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(said.stderr + said.stdout)


def parse_version(text: str) -> int | None:
    """Return the major version in a ``release`` file or in what ``java -version`` says ("1.8.0" is 8)."""
    found = re.search(r'(?:JAVA_VERSION=|version )"(\d+)(?:\.(\d+))?', text)
    if found is None:
        return None
    major = int(found.group(1))
    return int(found.group(2) or 0) if major == 1 else major


def require_java(environment: Mapping[str, str], usual_folders: tuple[str, ...] = USUAL_FOLDERS) -> Java:
    """Return a runtime or raise a UserError that names the remedy."""
    java = find_java(environment, usual_folders)
    if java is None:
        raise errors.UserError(
            f"Spark needs a Java runtime of version {MINIMUM_VERSION} or newer and none was found "
            f"(looked at JAVA_HOME, PATH and the usual folders): install one (Debian, Ubuntu: "
            f"sudo apt-get install {DEBIAN_PACKAGE}), or set JAVA_HOME"
        )
    return java


def main() -> int:
    """Say in one line which Java there is and exit with 0, or what to install and exit with 2."""
    try:
        java = require_java(os.environ)
    except errors.UserError as error:
        print(f"setup: {error}", file=sys.stderr)
        return errors.EXIT_USER
    print(f"setup: Java {java.version} at {java.home}")
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
