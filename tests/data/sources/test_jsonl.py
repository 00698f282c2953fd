"""JSON Lines as sources: plain and packed, in ranges, with every line read once and no broken one in silence."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import JsonLinesSource
from daybreak_data.sources import Refused, SourceEntry, jsonl, read
from daybreak_data.sources.entries import Tolerance
from daybreak_data.sources.jsonl import list_jsonl


def zstd(data: bytes) -> bytes:
    """One zstd frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def lines(*rows: Any) -> bytes:
    """Rows as JSON Lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


ROWS = (
    {"content": "a = 1\n", "path": "x.py", "repo": "o/one", "licence": ["MIT", "ISC"], "lang": "Python"},
    {"content": "b = 2\n", "path": "dir/y.py", "repo": "o/one", "licence": None, "lang": None},
    {"path": "z.py", "repo": "o/two", "more": {"deep": [1]}},
)
COLUMNS = {"repository_column": "repo", "licence_column": "licence", "language_column": "lang"}
EXPECTED = [
    ("o/one", "x.py", "MIT AND ISC", "Python", "a = 1\n"),
    ("o/one", "dir/y.py", "", "", "b = 2\n"),
    ("o/two", "z.py", "no-content"),
]


def found(uri: Path, **columns: str) -> list[tuple[str, ...]]:
    """What a source gives: repository, path, licence, language, text; or the reason of a refusal."""
    contents = list_jsonl("s", JsonLinesSource(uri=str(uri), **columns), Tolerance("Fail")).expand()
    taken: list[tuple[str, ...]] = []
    for item in [*contents.refused, *read(contents.refs)]:
        if isinstance(item, SourceEntry):
            text = item.load().decode()
            taken.append((item.repository, item.path, item.licence, item.language, text))
        else:
            taken.append((item.repository, item.path, item.reason))
    return taken


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        pytest.param("a.jsonl", bytes, id="plain"),
        pytest.param("a.jsonl.gz", gzip.compress, id="gz"),
        pytest.param("a.jsonl.zst", zstd, id="zst"),
        pytest.param("a.ndjson.bz2", bz2.compress, id="bz2"),
        pytest.param("a.jsonl.xz", lzma.compress, id="xz"),
        pytest.param("a.jsonl", gzip.compress, id="packed-without-saying-so"),
        pytest.param("a.json", bytes, id="another-name"),
        pytest.param(
            "a.jsonl", lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n\r\n"), id="windows"
        ),
        pytest.param("a.jsonl", lambda data: data[:-1], id="no-last-line-end"),
    ],
)
def test_rows_become_files(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(pack(lines(*ROWS)))
    assert found(tmp_path / name, **COLUMNS) == EXPECTED


def test_a_folder_gives_all_its_files_and_the_columns_of_its_folders(tmp_path: Path) -> None:
    for language, pack, suffix in (("Go", bytes, ""), ("Python", gzip.compress, ".gz")):
        folder = tmp_path / f"lang={language}"
        folder.mkdir()
        row = {"content": language, "path": "x"}
        (folder / f"part-0.jsonl{suffix}").write_bytes(pack(lines(row)))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "README.md").write_text("about")
    rows = found(tmp_path, language_column="lang")
    assert [row[3:] for row in rows] == [("Go", "Go"), ("Python", "Python")]
    assert len({row[:2] for row in rows}) == 2


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(1, 90), st.booleans())
def test_every_line_is_read_once_whatever_the_ranges(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], step: int, ended: bool
) -> None:
    file = tmp_path_factory.mktemp("ranges") / "a.jsonl"
    data = b"".join(
        json.dumps({"content": text, "path": "x"}, ensure_ascii=False).encode() + b"\n" for text in texts
    )
    file.write_bytes(data if ended else data[:-1])
    before = jsonl.RANGE_BYTES
    jsonl.RANGE_BYTES = step
    try:
        rows = found(file)
    finally:
        jsonl.RANGE_BYTES = before
    assert [row[4] for row in rows] == texts
    assert len({row[:2] for row in rows}) == len(texts)


def test_revisions_are_numbered_over_files_and_ranges(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2"), ("c", "1")):
        row = {"content": text, "path": "x.py", "repo": "r"}
        (tmp_path / f"{name}.jsonl").write_bytes(lines(row, {**row, "path": "only.py", "repo": name}))
    contents = list_jsonl(
        "s", JsonLinesSource(uri=str(tmp_path), repository_column="repo"), Tolerance("Fail")
    ).expand()
    items = [item for item in read(contents.refs) if isinstance(item, SourceEntry)]
    numbers = [(item.load(), item.revision) for item in items if item.path == "x.py"]
    assert numbers == [(b"1", 0), (b"2", 1), (b"1", 2)]
    assert {item.revision for item in items if item.path == "only.py"} == {0}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        pytest.param(b"no json\n", "the line at byte 0 is not JSON", id="text"),
        pytest.param(b"[1]\n", "the line at byte 0 is not a JSON object", id="a-list"),
        pytest.param(
            b'{"text": "a", "path": "x"}\n', "no column 'content' .*; it has text, path", id="names"
        ),
        pytest.param(b"PAR1 and more", "is Parquet, give it as parquet instead of jsonl", id="parquet"),
        pytest.param(b"", "has no lines", id="empty"),
        pytest.param(gzip.compress(lines(*ROWS))[:12], "torn", id="torn-at-once"),
        pytest.param(b"[" * 100_000, "is not JSON", id="deep"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(UserError, match=f"source s: .*a.jsonl.*{match}"):
        found(tmp_path / "a.jsonl")


def test_problems_whose_licence_forbids_training_are_refused(tmp_path: Path) -> None:
    row = dict.fromkeys(("name", "prompt", "doctests", "prompt_terminology", "tests"), "x") | {
        "stop_tokens": []
    }
    (tmp_path / "a.jsonl").write_bytes(lines(row))
    source = JsonLinesSource(uri=str(tmp_path), content_column="prompt")
    with pytest.raises(
        UserError, match=r"a\.jsonl holds MultiPL-E's problems, whose licence forbids training"
    ):
        list_jsonl("s", source, Tolerance("Fail"))


def test_a_bad_line_is_fatal_with_its_place_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines(ROWS[0]) + b'{"content": "cut\n' + lines(ROWS[1]) + b"\xff\n")
    items = list(read(list_jsonl("s", JsonLinesSource(uri=str(file)), Tolerance("Fail")).expand().refs))
    assert [type(item) for item in items] == [SourceEntry, Refused, SourceEntry, Refused]
    bad = [item for item in items if isinstance(item, Refused)]
    assert all(item.fatal and item.reason == "torn-file" for item in bad)
    assert f"{file}: the line at byte {len(lines(ROWS[0]))} is not JSON" in bad[0].detail


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zstd, lzma.compress, bz2.compress])
def test_a_torn_packed_file_is_fatal_and_gives_what_comes_before(tmp_path: Path, pack: Any) -> None:
    import random

    noise = [{"content": random.Random(n).randbytes(3000).hex(), "path": f"{n}.py"} for n in range(200)]
    data = pack(lines(*noise))
    (tmp_path / "a.jsonl.gz").write_bytes(data[: len(data) * 3 // 4])
    contents = list_jsonl("s", JsonLinesSource(uri=str(tmp_path / "a.jsonl.gz")), Tolerance("Fail")).expand()
    items = list(read(contents.refs))
    assert isinstance(items[-1], Refused)
    assert items[-1].fatal
    assert "torn" in items[-1].detail
    assert len({item.path for item in items}) == len(items)


@pytest.mark.slow
def test_a_bomb_ends_at_the_ratio(tmp_path: Path) -> None:
    row = lines({"content": "x" * 1_000_000, "path": "x.py"})
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        for _ in range(150):
            file.write(row)
    items = list(
        read(
            list_jsonl("s", JsonLinesSource(uri=str(tmp_path / "a.jsonl.gz")), Tolerance("Fail"))
            .expand()
            .refs
        )
    )
    assert len(items) < 120
    assert "unpacks to more than 200 times its size" in getattr(items[-1], "detail", "")


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 100)
    rows = [{"content": "y", "path": "a.py"}, {"content": "x" * 5000, "path": "b.py"}]
    (tmp_path / "a.jsonl").write_bytes(lines(rows[0], rows[1], rows[0]))
    assert [row[-1] for row in found(tmp_path / "a.jsonl")] == ["y", "too-large", "y"]


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"content": "\\ud800", "path": "a\\ud800\\u0000\\n.py", "repo": "r"}\n'
    )
    contents = list_jsonl(
        "s", JsonLinesSource(uri=str(tmp_path / "a.jsonl"), repository_column="repo"), Tolerance("Fail")
    )
    (item,) = read(contents.expand().refs)
    assert item.path == "a\\ud800\\x00\n.py"
    item.path.encode()
