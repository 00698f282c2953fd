"""The running environment as a source: what belongs to a package, what counts as source code."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import InstalledPackagesSource
from daybreak_data.sources import SourceEntry, read
from daybreak_data.sources.installed_packages import (
    current_folders,
    is_source,
    licence_of,
    list_installed_packages,
)


def install(site: Path, name: str, files: dict[str, str], about: str = "") -> None:
    """A distribution as an installer would leave it."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{about}\n")
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    lines = [f'"{path}",,' if "," in path else f"{path},sha256=x,1" for path in files]
    (folder / "RECORD").write_text(
        "\n".join([*lines, f"{folder.name}/METADATA,,", "../../../bin/tool,,"]) + "\n"
    )


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """A small environment with two packages and a standard library."""
    site = tmp_path / "lib" / "site-packages"
    install(
        site, "One_Two", {"one/a.py": "a = 1\n", "one/b,c.py": "b = 1\n", "one/x.so": "", "one/h.h": "int x;"}
    )
    install(site, "other", {"other.js": "let x;\n"}, "License-Expression: MIT")
    (site / "nobodys.py").write_text("x")
    (tmp_path / "lib" / "os.py").write_text("import sys\n")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").write_text("int y;\n")
    return {
        "stdlib": str(tmp_path / "lib"),
        "include": str(tmp_path / "include"),
        "purelib": str(site),
        "platlib": str(site),
    }


def names(wanted: InstalledPackagesSource, folders: dict[str, str]) -> list[tuple[str, str, str]]:
    """Repository, path and licence of everything."""
    refs = list_installed_packages("env", wanted, folders).expand().refs
    return [(ref.repository, ref.path, ref.licence) for ref in refs]


def test_packages_and_standard_library_are_repositories(folders: dict[str, str]) -> None:
    assert names(InstalledPackagesSource(), folders) == [
        ("one-two", "one/a.py", ""),
        ("one-two", "one/b,c.py", ""),
        ("one-two", "one/h.h", ""),
        ("other", "other.js", "MIT"),
        ("stdlib", "os.py", "PSF-2.0"),
        ("stdlib", "include/Python.h", "PSF-2.0"),
    ]


def test_only_the_named_packages(folders: dict[str, str]) -> None:
    assert names(InstalledPackagesSource(packages=("Other",)), folders) == [("other", "other.js", "MIT")]


def test_an_unknown_package_is_named_with_its_neighbours(folders: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"package 'one-too' is not installed .* nearest are one-two"):
        list_installed_packages("env", InstalledPackagesSource(packages=("one-too",)), folders)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("numpy/core/a.py", True, id="python"),
        pytest.param("torch/include/ATen/a.h", True, id="a-header"),
        pytest.param("a/__pycache__/b.cpython-311.py", False, id="a-cache"),
        pytest.param("a/lib.so", False, id="a-library"),
        pytest.param("a/lib.so.12", False, id="a-versioned-library"),
        pytest.param("a-1.0.dist-info/licenses/x.py", False, id="metadata"),
        pytest.param("../../bin/x.py", False, id="outside"),
    ],
)
def test_what_counts_as_source(path: str, expected: bool) -> None:
    assert is_source(path) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            [("License-Expression", "MIT OR Apache-2.0"), ("License", "x")], "MIT OR Apache-2.0", id="spdx"
        ),
        pytest.param([("License", "BSD")], "BSD", id="a-short-name"),
        pytest.param([("License", "y" * 300)], "", id="a-whole-text-is-not-a-name"),
        pytest.param(
            [("License", "UNKNOWN"), ("Classifier", "License :: OSI Approved :: MIT License")],
            "MIT License",
            id="classifiers",
        ),
        pytest.param([], "", id="nothing"),
    ],
)
def test_licence_in_the_metadata(headers: list[tuple[str, str]], expected: str) -> None:
    message = Message()
    for name, value in headers:
        message[name] = value
    assert licence_of(message) == expected  # type: ignore[arg-type]


@pytest.mark.slow
def test_this_environment_has_python_headers_and_javascript() -> None:
    wanted = InstalledPackagesSource(packages=("numpy", "mlflow-skinny", "stdlib", "moto"))
    refs = list_installed_packages("env", wanted, current_folders()).expand().refs
    suffixes = {ref.path.rpartition(".")[2] for ref in refs}
    assert {"py", "h", "js"} <= suffixes
    first = next(item for item in read(refs) if isinstance(item, SourceEntry))
    assert len(first.load()) == first.size
