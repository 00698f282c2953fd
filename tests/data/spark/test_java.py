"""Finding a Java runtime: which one is taken, which versions are understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_data.spark.java import Java, find_java, parse_version, require_java


def make_java(home: Path, version: str, release: bool = True) -> Path:
    """A runtime whose command only tells its version."""
    (home / "bin").mkdir(parents=True)
    binary = home / "bin" / "java"
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param('JAVA_VERSION="17.0.15"', 17, id="a-release-file"),
        pytest.param('openjdk version "21" 2023-09-19', 21, id="a-first-release-without-dots"),
        pytest.param('java version "1.8.0_392"', 8, id="the-old-numbering"),
        pytest.param('JAVA_VERSION_DATE="2025-04-15"', None, id="a-date-is-not-a-version"),
        pytest.param("command not found", None, id="no-version-at-all"),
    ],
)
def test_version_in_what_java_says(text: str, version: int | None) -> None:
    assert parse_version(text) == version


def test_java_home_wins_over_the_path(tmp_path: Path) -> None:
    chosen, other = make_java(tmp_path / "a", "17.0.1"), make_java(tmp_path / "b", "21.0.1")
    environment = {"JAVA_HOME": str(chosen), "PATH": str(other / "bin")}
    assert find_java(environment, ()) == Java(chosen, 17)


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old, new = make_java(tmp_path / "old", "11.0.2"), make_java(tmp_path / "jvm" / "new", "17.0.1")
    environment = {"JAVA_HOME": str(old), "PATH": ""}
    assert find_java(environment, (str(tmp_path / "jvm"),)) == Java(new, 17)


def test_a_runtime_that_was_installed_into_the_home_folder_is_found(tmp_path: Path) -> None:
    home = make_java(tmp_path / ".jre" / "jdk-17.0.1-jre", "17.0.1")
    assert find_java({"HOME": str(tmp_path), "PATH": ""}, ()) == Java(home, 17)


def test_without_a_release_file_the_command_is_asked(tmp_path: Path) -> None:
    home = make_java(tmp_path / "java", "19.0.2", release=False)
    assert find_java({"JAVA_HOME": str(home)}, ()) == Java(home, 19)


def test_only_an_old_java_counts_as_none(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "11.0.2")
    assert find_java({"JAVA_HOME": str(old), "PATH": ""}, ()) is None


def test_a_machine_with_java_gives_it(tmp_path: Path) -> None:
    home = make_java(tmp_path / "java", "17.0.9")
    assert require_java({"JAVA_HOME": str(home)}).binary == home / "bin" / "java"


def test_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="apt-get install default-jre-headless"):
        require_java({"PATH": str(tmp_path)}, ())
