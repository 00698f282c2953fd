"""The archive of classes that Spark sessions share: where it lies and how Java is told of it. Starts nothing.

Java then maps Spark's classes, checked and laid out, in place of reading them from 300 packages: a third of a small
step's processor time (docs/benchmarks.md, All tests). Set-up makes the archive (``class_archive``) in the environment
whose packages it is of; without one a session only starts more slowly. Java itself leaves aside an archive of other
packages or of another Java ("Application Class-Data Sharing", JEP 310 and 350).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from daybreak_data.spark.java import Java

NAME = "spark-classes-{}.jsa"


def archive_of(java: Java, environment: Path) -> Path:
    """Return where the archive lies that this Java shares in the Python environment of this folder (``sys.prefix``)."""
    release = java.home / "release"
    build = release.read_bytes() if release.is_file() else b""
    key = hashlib.sha256(f"{java.home.resolve()} {java.version} ".encode() + build).hexdigest()[:12]
    return environment / NAME.format(key)


def shared(archive: Path) -> tuple[str, ...]:
    """Return Java's options that let it share this archive where there is one."""
    return (f"-XX:SharedArchiveFile={archive}",) if archive.is_file() else ()


def recorded(archive: Path) -> tuple[str, ...]:
    """Return Java's options that make it write this archive when it ends."""
    return (f"-XX:ArchiveClassesAtExit={archive}",)
