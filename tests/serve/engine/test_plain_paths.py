"""Folders that Triton's shell would read otherwise have a link with a plain name."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_serve.engine.plain_paths import PlainPaths


@pytest.mark.parametrize(
    "name", ["a model", "a;b", "$(x)", "it's", 'the "first"', "a\nb", "Modèle", "~", "*"]
)
def test_a_link_stands_for_it_until_the_end(name: str, tmp_path: Path) -> None:
    folder, paths = tmp_path / name / "repository", PlainPaths()
    folder.mkdir(parents=True)
    plain = paths.of(folder)
    assert shlex.quote(str(plain)) == str(plain)
    assert plain.resolve() == folder
    assert paths.of(folder) == plain
    assert paths.of(folder.parent) != plain
    paths.close()
    assert not plain.parent.exists()
    assert folder.is_dir()


def test_a_plain_one_stays(tmp_path: Path) -> None:
    assert PlainPaths().of(tmp_path) == tmp_path


def test_without_a_plain_temporary_folder_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with pytest.raises(UserError, match="set TMPDIR"):
        PlainPaths().of(tmp_path / "a model")
    assert list((tmp_path / "a b").iterdir()) == []
