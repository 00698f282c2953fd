"""Finds the Java runtime that Spark needs (17 or newer) and libpython for Triton's stub; installs them if it can.

``python -m daybreak_data.java`` exits 0 with one line when both are there. Owns no Spark; starts nothing else.
Spark 4.3 wants Java 17 or newer (its "Downloading" page).
"""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts import errors

MINIMUM_VERSION = 17
APT_JAVA = "openjdk-17-jre-headless"
APT_LIBPYTHON = "libpython3.11"
LIBPYTHON = "libpython3.11.so.1.0"
INSTALL_TIMEOUT_S = 600
# The usual places of Linux distributions, of install-jdk (below the home folder) and of macOS.
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
            "(looked at JAVA_HOME, PATH and the usual folders): run `make setup`, or set JAVA_HOME"
        )
    return java


def find_libpython(environment: Mapping[str, str]) -> Path | None:
    """Return the shared library of Python 3.11 that Triton's Python backend links to, or None."""
    library_folder = sysconfig.get_config_var("LIBDIR")
    own = str(Path(sys.base_prefix) / "lib")
    folders = [str(library_folder or ""), own, *environment.get("LD_LIBRARY_PATH", "").split(":")]
    for folder in filter(None, folders):
        if (Path(folder) / LIBPYTHON).is_file():
            return Path(folder) / LIBPYTHON
    known = ctypes.util.find_library("python3.11")
    return Path(known) if known else None


def _install_jdk() -> bool:
    """Get a runtime into the home folder through install-jdk; False when it cannot be reached."""
    program = "import jdk, socket; socket.setdefaulttimeout(20); print(jdk.install('17', jre=True))"
    return _succeeds([sys.executable, "-c", program])


def _apt_install(package: str) -> bool:
    if not _may_use_apt():
        return False
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    return _succeeds(command) or (_succeeds(["apt-get", "update", "--quiet"]) and _succeeds(command))


def _may_use_apt() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _succeeds(command: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def _provide_java() -> Java | None:
    found = find_java(os.environ)
    if found is not None:
        return found
    _say("no Java 17 or newer here, getting one")
    if not _install_jdk():
        _apt_install(APT_JAVA)
    found = find_java(os.environ)
    if found is None:
        _say(f"no Java could be installed: install the package {APT_JAVA} (apt-get install {APT_JAVA})")
    return found


def _provide_libpython() -> Path | None:
    found = find_libpython(os.environ)
    if found is not None:
        return found
    _say(f"no {LIBPYTHON} here (Triton's Python backend links to it), getting it")
    _apt_install(APT_LIBPYTHON)
    found = find_libpython(os.environ)
    if found is None:
        _say(
            f"{LIBPYTHON} could not be installed: install the package {APT_LIBPYTHON}, or use a shared Python 3.11"
        )
    return found


def main() -> int:
    """Provide both; exit code 0 when all is there, 2 when the user has to install something."""
    java, libpython = _provide_java(), _provide_libpython()
    if java is None or libpython is None:
        return errors.EXIT_USER
    print(f"setup: Java {java.version} at {java.home}, {libpython.name}")
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
