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
from daybreak_data.sources.entries import Tolerance
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
    for item in read(list_parquet("s", source, Tolerance("Fail")).expand().refs):
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
    listing = list_parquet("s", ParquetSource(uri=str(tmp_path / "b"), **COLUMNS), Tolerance("Fail"))
    refs = listing.expand().refs
    assert [(Path(ref.location).name, ref.path) for ref in refs] == [
        ("1.parquet", "row-group-0"),
        ("1.parquet", "row-group-1"),
        ("2.parquet", "row-group-0"),
        ("2.parquet", "row-group-1"),
    ]


def test_every_revision_of_a_path_is_a_file_with_its_number(tmp_path: Path) -> None:
    columns = {"content": ["a", "b", "c", "a"], "path": ["x.py"] * 4, "repo": ["r", "q", "r", "r"]}
    path = write(tmp_path / "a.parquet", columns)
    source = ParquetSource(uri=str(path), repository_column="repo")
    items = [
        item
        for item in read(list_parquet("s", source, Tolerance("Fail")).expand().refs)
        if isinstance(item, SourceEntry)
    ]
    assert [(item.repository, item.revision, item.load()) for item in items] == [
        ("r", 0, b"a"),
        ("q", 0, b"b"),
        ("r", 1, b"c"),
        ("r", 2, b"a"),
    ]


def test_folders_named_by_hive_are_columns(tmp_path: Path) -> None:
    for language, text in (("Python", "p"), ("C%2B%2B", "c"), ("__HIVE_DEFAULT_PARTITION__", "n")):
        columns = {"content": [text], "path": ["x"]}
        write(tmp_path / "t" / "year=2024" / f"lang={language}" / "part-0.parquet", columns)
    (tmp_path / "t" / "_temporary" / "0").mkdir(parents=True)
    (tmp_path / "t" / "_temporary" / "0" / "part-1.parquet").write_bytes(b"PAR1 half")
    (tmp_path / "t" / "_SUCCESS").touch()
    found = rows(ParquetSource(uri=str(tmp_path / "t"), language_column="lang"))
    assert {(row[3], row[4]) for row in found} == {("Python", "p"), ("C++", "c"), ("", "n")}
    assert len({row[:2] for row in found}) == 3  # equal file names in two folders are two files
    one = tmp_path / "t" / "year=2024" / "lang=Python" / "part-0.parquet"
    assert [row[3] for row in rows(ParquetSource(uri=str(one), language_column="lang"))] == ["Python"]


V2 = {
    "blob_id": ["ab12"], "directory_id": ["cd"], "path": ["/src/x.py"], "repo_name": ["o/one"],
    "detected_licenses": [["MIT", "BSD-3-Clause"]], "license_type": ["permissive"], "src_encoding": ["UTF-8"],
    "language": ["Python"], "filename": ["x.py"],
}  # fmt: skip
V2_COLUMNS = {
    "language_column": "language",
    "licence_column": "detected_licenses",
    "repository_column": "repo_name",
}


def test_the_stack_v2_has_no_text_and_is_told_how_to_get_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", V2)
    with pytest.raises(
        UserError, match=r"has no column 'content'.*blob_id from Software Heritage.*'content'"
    ):
        list_parquet("s", ParquetSource(uri=str(path), **V2_COLUMNS), Tolerance("Fail"))
    path = write(tmp_path / "b.parquet", {**V2, "content": ["x = 1\n"]})
    assert rows(ParquetSource(uri=str(path), **V2_COLUMNS)) == [
        ("o/one", "src/x.py", "MIT AND BSD-3-Clause", "Python", "x = 1\n")
    ]


def test_the_columns_of_the_stack_are_offered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", STACK)
    with pytest.raises(UserError, match="set pathColumn: max_stars_repo_path, repositoryColumn: max_stars"):
        list_parquet("s", ParquetSource(uri=str(path)), Tolerance("Fail"))


def torn(path: Path) -> Path:
    """A Parquet file whose footer is whole and whose first page is not."""
    data = bytearray(path.read_bytes())
    data[4:64] = b"\xff" * 60
    path.write_bytes(data)
    return path


def test_torn_pages_are_fatal_and_named(tmp_path: Path) -> None:
    columns = {"content": [f"{index} " * 400 for index in range(40)], "path": [f"{n}.py" for n in range(40)]}
    path = torn(write(tmp_path / "a.parquet", columns, group=10))
    contents = list_parquet("s", ParquetSource(uri=str(path)), Tolerance("Fail")).expand()
    refused = [item for item in read(contents.refs) if not isinstance(item, SourceEntry)]
    assert {(item.reason, item.fatal) for item in refused} == {("torn-file", True)}
    assert all(str(path) in item.detail and "onError: Skip" in item.detail for item in refused)
    assert len(list(read(contents.refs))) > 20  # the other row groups are read


def test_a_torn_file_beside_good_ones_is_skipped_when_the_source_says_so(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / "t" / f"{name}.parquet", {"content": [name], "path": ["x.py"]})
    bad = tmp_path / "t" / "b.parquet"
    bad.write_bytes(bad.read_bytes()[:-30])
    source = ParquetSource(uri=str(tmp_path / "t"))
    with pytest.raises(UserError, match=r"source s: .*b\.parquet is not a readable Parquet file"):
        list_parquet("s", source, Tolerance("Fail"))
    listing = list_parquet("s", source, Tolerance("Skip"))
    contents = listing.expand()
    assert [item.repository for item in read(contents.refs)] == ["a/0", "c/0"]
    assert [(item.reason, item.repository) for item in contents.refused] == [("torn-file", "b")]
    write(bad, {"content": ["b"], "path": ["x.py"]})
    assert list_parquet("s", source, Tolerance("Skip")).fingerprint != listing.fingerprint


def test_where_every_file_is_torn_nothing_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a readable Parquet"):
        list_parquet("s", ParquetSource(uri=str(tmp_path)), Tolerance("Skip"))


def test_json_lines_are_told_apart_from_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"content": "x"}\n')
    with pytest.raises(UserError, match="give it as jsonl instead of parquet"):
        list_parquet("s", ParquetSource(uri=str(tmp_path / "a.jsonl")), Tolerance("Fail"))


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
    first, second = read(list_parquet("s", ParquetSource(uri=str(path)), Tolerance("Fail")).expand().refs)
    assert isinstance(first, SourceEntry)
    assert first.load() == b"\xff\xfe"
    assert getattr(second, "reason", "") == "no-content"


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"text": ["a"], "path": ["x"]})
    with pytest.raises(UserError, match=r"no column 'content' \(parquet.contentColumn\); it has text, path"):
        list_parquet("s", ParquetSource(uri=str(path)), Tolerance("Fail"))


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
        list_parquet("s", ParquetSource(uri=str(tmp_path / "data")), Tolerance("Fail"))


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", {"content": pa.array([], pa.string()), "path": pa.array([], pa.string())}
    )
    with pytest.raises(UserError, match="has no rows"):
        list_parquet("s", ParquetSource(uri=str(path)), Tolerance("Fail")).expand()
