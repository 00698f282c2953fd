"""Parquet files as sources: columns by name, ids that stay unique, row groups as tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import ParquetSource
from daybreak_data.sources import SourceEntry, read
from daybreak_data.sources.parquet import list_parquet


def write(path: Path, columns: dict[str, list[Any]], group: int = 2) -> Path:
    """A Parquet file with small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


STACK = {
    "content": ["a\n", "b\n", "c\n"],
    "max_stars_repo_path": ["x.py", "y.py", "x.py"],
    "max_stars_repo_name": ["o/one", "o/one", "o/two"],
    "max_stars_repo_licenses": [["MIT"], ["MIT", "Apache-2.0"], []],
    "lang": ["Python", "Python", None],
}
COLUMNS = {
    "path_column": "max_stars_repo_path",
    "language_column": "lang",
    "licence_column": "max_stars_repo_licenses",
    "repository_column": "max_stars_repo_name",
}


def rows(source: ParquetSource) -> list[tuple[str, ...]]:
    """What a source gives: repository, path, licence, language, text; or the reason of a refusal."""
    found = []
    for item in read(list_parquet("s", source).expand().refs):
        if isinstance(item, SourceEntry):
            found.append((item.repository, item.path, item.licence, item.language, item.load().decode()))
        else:
            found.append((item.repository, item.path, item.reason))
    return found


def test_the_columns_of_the_stack(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", STACK)
    assert rows(ParquetSource(uri=str(path), **COLUMNS)) == [
        ("o/one", "x.py", "MIT", "Python", "a\n"),
        ("o/one", "y.py", "MIT AND Apache-2.0", "Python", "b\n"),
        ("o/two", "x.py", "", "", "c\n"),
    ]


def test_row_groups_are_separate_tasks_in_a_fixed_order(tmp_path: Path) -> None:
    write(tmp_path / "b" / "2.parquet", STACK)
    write(tmp_path / "b" / "1.parquet", STACK)
    listing = list_parquet("s", ParquetSource(uri=str(tmp_path / "b"), **COLUMNS))
    refs = listing.expand().refs
    assert [(Path(ref.location).name, ref.path) for ref in refs] == [
        ("1.parquet", "row-group-0"),
        ("1.parquet", "row-group-1"),
        ("2.parquet", "row-group-0"),
        ("2.parquet", "row-group-1"),
    ]


def test_the_same_path_of_the_same_repository_is_taken_once(tmp_path: Path) -> None:
    columns = {"content": ["a", "b", "c"], "path": ["x.py", "x.py", "x.py"], "repo": ["r", "q", "r"]}
    path = write(tmp_path / "a.parquet", columns)
    assert rows(ParquetSource(uri=str(path), repository_column="repo")) == [
        ("r", "x.py", "", "", "a"),
        ("q", "x.py", "", "", "b"),
        ("r", "x.py", "same-path"),
    ]


def test_without_repositories_every_row_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"content": ["a", "b", "c"], "path": ["x.py", "x.py", "y.py"]})
    assert [row[:2] for row in rows(ParquetSource(uri=str(path)))] == [
        ("a/0", "x.py"),
        ("a/1", "x.py"),
        ("a/2", "y.py"),
    ]


def test_content_may_be_bytes_or_missing(tmp_path: Path) -> None:
    columns = {"content": pa.array([b"\xff\xfe", None], pa.binary()), "path": ["a.py", "b.py"]}
    path = write(tmp_path / "a.parquet", columns)
    first, second = read(list_parquet("s", ParquetSource(uri=str(path))).expand().refs)
    assert isinstance(first, SourceEntry)
    assert first.load() == b"\xff\xfe"
    assert getattr(second, "reason", "") == "no-content"


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"text": ["a"], "path": ["x"]})
    with pytest.raises(UserError, match=r"no column 'content' \(parquet.contentColumn\); it has text, path"):
        list_parquet("s", ParquetSource(uri=str(path)))


@pytest.mark.parametrize(
    ("prepare", "match"),
    [
        pytest.param(lambda path: None, "does not exist", id="missing"),
        pytest.param(
            lambda path: (path / "x").mkdir(parents=True), "holds no .parquet|does not exist", id="empty"
        ),
        pytest.param(lambda path: path.write_text("PAR1 no"), "not a readable Parquet", id="not-parquet"),
    ],
)
def test_a_bad_place_is_named(tmp_path: Path, prepare, match: str) -> None:
    prepare(tmp_path / "data")
    with pytest.raises(UserError, match=match):
        list_parquet("s", ParquetSource(uri=str(tmp_path / "data")))


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", {"content": pa.array([], pa.string()), "path": pa.array([], pa.string())}
    )
    with pytest.raises(UserError, match="has no rows"):
        list_parquet("s", ParquetSource(uri=str(path))).expand()
