"""The documents step as a whole: what it keeps, what it accounts for, what it does not do again."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts
from daybreak_contracts.errors import UserError
from daybreak_contracts.steps import DocumentsResult
from daybreak_data.tables import schemas

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("spark")
COLUMNS = {
    "documents": [*schemas.DOCUMENTS],
    "drops": [*schemas.DROPS],
    "personal_data": [*schemas.PERSONAL_DATA],
    "clusters": [*schemas.CLUSTERS],
}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession, play_at: Any
) -> tuple[Any, DocumentsResult]:
    """One run over good files and every kind of trouble; several tests look at it."""
    play = play_at(tmp_path_factory.mktemp("made"))
    play.write_world(play.root / "code")
    play.write_trouble(play.root / "code")
    return play, play.run(play.directory("code"))


def reasons(play: Any, result: DocumentsResult) -> dict[str, set[str]]:
    """Reason to the names of the files that were dropped for it."""
    found: dict[str, set[str]] = {}
    for row in play.table(result.uri, "drops").to_pylist():
        found.setdefault(row["reason"], set()).add(Path(row["path"]).name)
    return found


def test_every_file_is_a_document_or_a_counted_drop(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    dropped = Counter(row["reason"] for row in play.table(result.uri, "drops").to_pylist())
    assert dict(dropped) == result.dropped
    assert play.table(result.uri, "documents").num_rows == result.num_documents
    assert result.num_files == result.num_documents + sum(result.dropped.values())
    on_disk = [path for path in (play.root / "code").rglob("*") if not path.is_dir()]
    assert result.num_files == len(on_disk)
    assert result.num_bytes == sum(path.lstat().st_size for path in on_disk if not path.is_symlink())


def test_tables_have_the_columns_of_the_contract(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    assert {name: play.table(result.uri, name).column_names for name in COLUMNS} == COLUMNS


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("copy.py", "exact-duplicate", id="an-equal-file"),
        pytest.param("empty.py", "empty", id="an-empty-file"),
        pytest.param("nul.py", "binary", id="nul-bytes"),
        pytest.param("big.py", "too-large", id="eleven-megabytes"),
        pytest.param("link.py", "symbolic-link", id="a-link"),
    ],
)
def test_trouble_is_dropped_for_its_reason(made: tuple[Any, DocumentsResult], name: str, reason: str) -> None:
    assert name in reasons(*made)[reason]


def test_other_trouble_is_dropped_by_the_rules(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    stages: dict[str, str] = {
        Path(row["path"]).name: row["stage"] for row in play.table(result.uri, "drops").to_pylist()
    }
    expected = {
        "notes.txt": "language",
        "generated.py": "generated",
        "minified.js": "filter",
        "broken.py": "syntax",
        "copy.py": "duplicate",
    }
    assert {name: stages.get(name) for name in expected} == expected


def test_one_of_two_nearly_equal_files_is_kept_and_named(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    clusters = [row for row in play.table(result.uri, "clusters").to_pylist() if row["kind"] == "Near"]
    assert {(Path(row["path"]).name, row["kept"]) for row in clusters} == {
        ("nearly.py", True),
        ("nearly_too.py", False),
    }
    (drop,) = [
        row for row in play.table(result.uri, "drops").to_pylist() if row["reason"] == "near-duplicate"
    ]
    assert re.fullmatch(r"Jaccard 0\.\d\d to code/trouble/nearly\.py", drop["detail"])


def test_personal_data_is_replaced_and_noted(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    (row,) = [row for row in play.table(result.uri, "documents").to_pylist() if row["path"] == "mail.py"]
    assert "jane.roe@corp-mail.net" not in row["text"]
    assert row["num_redactions"] == 1
    (note,) = play.table(result.uri, "personal_data").to_pylist()
    original = (play.root / "code" / "trouble" / "mail.py").read_text()
    value = original[note["start"] : note["end"]]
    assert value == "jane.roe@corp-mail.net"
    assert note["value_sha256"] == hashlib.sha256(value.encode()).hexdigest()
    assert row["document_id"] == hashlib.sha256(original.encode()).hexdigest()
    assert row["size_bytes"] == len(row["text"].encode())


def test_documents_lie_in_the_order_of_their_ids(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    rows = play.table(result.uri, "documents").to_pylist()
    assert [row["path_id"] for row in rows] == sorted(
        schemas.path_id_of(row["source"], row["repository"], row["path"]) for row in rows
    )


def test_nothing_changed_is_found_without_spark(made: tuple[Any, DocumentsResult]) -> None:
    play, result = made
    play.progress.activities.clear()
    again = play.run(play.directory("code"))
    assert again == result.model_copy(update={"cached": True})
    assert "starting Spark" not in play.progress.activities


def test_touched_but_equal_files_give_the_same_artifact(play: Any) -> None:
    play.write_world(play.root / "code", repositories=1)
    result = play.run(play.directory("code"))
    for path in (play.root / "code").rglob("*.py"):
        os.utime(path, ns=(1, 1))
    again = play.run(play.directory("code"))
    assert again == result.model_copy(update={"cached": True})
    assert len(list((play.root / "out" / "ingest").iterdir())) == 2


def test_a_new_source_leaves_the_work_on_the_others_alone(play: Any) -> None:
    play.write_world(play.root / "one", repositories=1)
    play.write_world(play.root / "two", first=5000, repositories=1)
    play.put(play.root / "two" / "repo0" / "again.py", play.module(0))
    first = play.run(play.directory("one"))
    play.progress.activities.clear()
    both = play.run(play.directory("one"), play.directory("two"))
    assert "reading two" in play.progress.activities
    assert "reading one" not in play.progress.activities
    assert both.num_documents == 2 * first.num_documents
    assert both.dropped == {"exact-duplicate": 1}


def test_another_filter_profile_is_other_work(play: Any) -> None:
    play.write_world(play.root / "code", repositories=1)
    play.put(
        play.root / "code" / "repo0" / "gen.py", "# Automatically generated. Do not edit.\n" + play.module(7)
    )
    strict = play.run(play.directory("code"))
    free = play.run(play.directory("code"), data={"filters": {"profile": "None"}})
    assert strict.digest != free.digest


@pytest.mark.parametrize("step", ["ingest", "documents"])
def test_a_tampered_artifact_is_made_again(play: Any, step: str) -> None:
    play.write_world(play.root / "code", repositories=1)
    result = play.run(play.directory("code"))
    (folder,) = (play.root / "out" / step).iterdir()
    before = artifacts.load(str(folder))
    victim = folder / "documents" / "part-00000.parquet"
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    if step == "ingest":  # only looked at when it is needed
        artifacts.storage.remove_tree(result.uri)
    again = play.run(play.directory("code"))
    assert (again.digest, again.cached) == (result.digest, False)
    assert artifacts.load(str(folder)) == before
    artifacts.verify(str(folder), before)


def test_no_document_left_tells_why(play: Any) -> None:
    play.put(play.root / "code" / "r" / "a.txt", "words\n" * 50)
    play.put(play.root / "code" / "r" / "b.py", "")
    with pytest.raises(UserError, match=r"no document is left of 2 files \(.*empty 1.*sources \(code\)"):
        play.run(play.directory("code"))
    assert not (play.root / "out" / "documents").exists() or not list(
        (play.root / "out" / "documents").iterdir()
    )


def test_a_folder_of_data_sets_alone_tells_which_source_reads_them(play: Any) -> None:
    rows = json.dumps({"content": play.module(1), "path": "a.py"}).encode() + b"\n"
    play.put(play.root / "code" / "a.jsonl.gz", gzip.compress(rows * 9))
    play.put(play.root / "code" / "b.jsonl", rows * (11_000_000 // len(rows)))
    expected = r"no document is left of 2 files \(.*data-set 1.*needs a source of kind jsonl"
    with pytest.raises(UserError, match=expected):
        play.run(play.directory("code"))


def test_a_folder_of_foreign_code_at_the_top_is_known_by_its_name(play: Any) -> None:
    play.put(play.root / "code" / "node_modules" / "pad" / "index.py", play.module(7))
    play.put(play.root / "code" / "ours" / "index.py", play.module(8))
    result = play.run(play.directory("code"))
    assert result.dropped == {"generated": 1}
    assert [row["repository"] for row in play.table(result.uri, "documents").to_pylist()] == ["ours"]


def test_a_missing_source_is_named_before_any_work(play: Any) -> None:
    with pytest.raises(UserError, match=r"source code: .*/code does not exist"):
        play.run(play.directory("code"))
    assert not (play.root / "out").exists()


def test_a_sample_is_counted_and_keeps_to_its_bytes(play: Any) -> None:
    play.write_world(play.root / "code", repositories=4, files=10)
    result = play.run(play.directory("code", maxBytes=20_000))
    assert 0 < result.document_bytes <= 20_000
    assert result.num_files == 44 == result.num_documents + sum(result.dropped.values())
    assert play.table(result.uri, "drops").num_rows == 0
    other = play.run(play.directory("code", maxBytes=20_000), seed=1)
    assert other.digest != result.digest


@pytest.mark.parametrize(
    ("duplicates", "kept"),
    [
        pytest.param({"scope": "None"}, {"a.py", "same.py", "near.py"}, id="none"),
        pytest.param({"scope": "Exact"}, {"a.py", "near.py"}, id="exact"),
        pytest.param({"scope": "File"}, {"a.py"}, id="near-too"),
    ],
)
def test_scope_of_duplicates(play: Any, duplicates: dict[str, Any], kept: set[str]) -> None:
    text = play.module(1, 40)
    play.put(play.root / "code" / "r" / "a.py", text)
    play.put(play.root / "code" / "r" / "same.py", text)
    play.put(play.root / "code" / "r" / "near.py", text.replace("number 1.", "number one."))
    result = play.run(play.directory("code"), data={"duplicates": duplicates})
    rows = play.table(result.uri, "documents").to_pylist()
    assert {row["path"] for row in rows} == kept


def test_a_torn_archive_ends_the_step_with_its_name(play: Any) -> None:
    with tarfile.open(play.root / "lib.tgz", "w:gz") as archive:
        archive.add(play.write_world(play.root / "code"), "code")
    data = (play.root / "lib.tgz").read_bytes()
    play.put(play.root / "lib.tgz", data[: len(data) // 2])
    source = {"name": "vendored", "archives": {"uris": [str(play.root / "lib.tgz")]}}
    with pytest.raises(UserError, match=r"source vendored: .*lib.tgz: it is torn"):
        play.run(source)
    assert list((play.root / "out" / "ingest").iterdir()) == []


def test_a_repository_an_archive_and_rows_together(play: Any) -> None:
    code = play.write_world(play.root / "code", repositories=1)
    with tarfile.open(play.root / "lib.tgz", "w:gz") as archive:
        archive.add(code, "code")
        archive.add(play.put(play.root / "more.py", play.module(77)), "../more.py")
    rows = {"content": [play.module(50), play.module(0)], "path": ["x.py", "y.py"], "repo": ["o/r", "o/r"]}
    pq.write_table(pa.table(rows), play.root / "rows.parquet")
    result = play.run(
        {"name": "vendored", "archives": {"uris": [str(play.root / "lib.tgz")]}},
        {"name": "stack", "parquet": {"uri": str(play.root / "rows.parquet"), "repositoryColumn": "repo"}},
    )
    assert (result.num_files, result.num_documents) == (8, 6)
    assert result.dropped == {"exact-duplicate": 1, "path-outside-archive": 1}
    repositories = set(play.table(result.uri, "documents").column("repository").to_pylist())
    assert repositories <= {"lib", "o/r"}


def test_excluding_changes_only_the_sources_that_hold_it(play: Any) -> None:
    play.write_world(play.root / "one", repositories=2)
    play.write_world(play.root / "two", first=5000, repositories=1)
    sources = (play.directory("one"), play.directory("two"))
    before = play.run(*sources)
    victim = play.table(before.uri, "documents").to_pylist()[0]
    play.progress.activities.clear()
    exclude = {"repositories": ["repo1"], "paths": ["one-of-none.py"], "documentIds": [victim["document_id"]]}
    after = play.run(*sources, data={"exclude": exclude})
    assert "reading two" not in play.progress.activities
    assert "reading one" in play.progress.activities
    left = play.table(after.uri, "documents").to_pylist()
    assert not [row for row in left if row["repository"] == "repo1"]
    assert victim["document_id"] not in {row["document_id"] for row in left}
    drops = play.table(after.uri, "drops").to_pylist()
    assert {(row["stage"], row["reason"]) for row in drops} == {("exclusion", "excluded")}
    assert after.dropped == {"excluded": before.num_documents - after.num_documents}
    assert after.num_files == before.num_files


def test_rows_with_revisions_and_torn_parts(play: Any) -> None:
    rows = [
        {"content": play.module(1), "path": "a.py", "repo": "o/r"},
        {"content": play.module(1), "path": "a.py", "repo": "o/r"},
        {"content": play.module(2), "path": "a.py", "repo": "o/r"},
        {
            "content": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "path": "b.py",
            "repo": "o/r",
        },
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    play.put(play.root / "rows" / "a.jsonl", lines + '{"content": "cut')
    play.put(play.root / "rows" / "b.jsonl", "no rows at all\n")
    table = {"uri": str(play.root / "rows"), "repositoryColumn": "repo"}
    with pytest.raises(UserError, match=r"b\.jsonl: the line at byte 0 is not JSON .*onError: Skip"):
        play.run({"name": "rows", "jsonl": table})
    result = play.run({"name": "rows", "jsonl": table, "onError": "Skip"})
    kept = play.table(result.uri, "documents").to_pylist()
    assert [(row["repository"], row["path"]) for row in kept] == [("o/r", "a.py")] * 2
    assert len({row["path_id"] for row in kept}) == 2
    assert result.dropped == {"exact-duplicate": 1, "git-lfs-pointer": 1, "torn-file": 2}
    assert result.num_skipped == 2
    assert [name.rpartition("/")[2].partition(" ")[0] for name in result.skipped] == ["a.jsonl:", "b.jsonl:"]
