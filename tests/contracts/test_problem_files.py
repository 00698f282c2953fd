"""Files of problems: every way they are written, and a complaint that names file, line and field for every fault."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow, read_problems, rows_of

ROWS = [{"task_id": "a/0", "prompt": "x = \u2028"}, {"task_id": "a/1", "prompt": "y = "}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def as_parquet(folder: Path) -> bytes:
    parquet.write_table(pa.Table.from_pylist(ROWS), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("p.jsonl", LINES, id="lines"),
        pytest.param("p.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n"), id="from-windows"),
        pytest.param("p.jsonl.gz", gzip.compress(LINES), id="packed"),
        pytest.param("p.jsonl", gzip.compress(LINES), id="packed-under-another-name"),
        pytest.param("p.json", json.dumps(ROWS, indent=1).encode(), id="array"),
    ],
)
def test_rows_are_the_same_however_they_are_written(name: str, data: bytes) -> None:
    assert [row.values for row in rows_of(name, data)] == ROWS


def test_rows_of_parquet_are_the_same(tmp_path: Path) -> None:
    assert [row.values for row in rows_of("p.parquet", as_parquet(tmp_path))] == ROWS


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        pytest.param("p.jsonl", b"", "p.jsonl: no problem in it", id="empty"),
        pytest.param("p.jsonl", b"\n{", "p.jsonl, line 2: not JSON", id="torn-line"),
        pytest.param("p.jsonl", b'{"a": 1}\n7', "p.jsonl, line 2: must be a JSON object, got 7", id="number"),
        pytest.param("p.jsonl", b'{}\n{"a": "\xff"}', "p.jsonl, line 2: not UTF-8", id="latin-1"),
        pytest.param("p.json", b"[{}, 1]", "p.json, item 2: must be a JSON object", id="item"),
        pytest.param("p.json", b"[{}", "p.json: not JSON", id="torn-array"),
        pytest.param("p.gz", gzip.compress(LINES)[:-9], "p.gz: cannot be unpacked", id="torn-gz"),
        pytest.param("p.parquet", b"PAR1", "p.parquet: not Parquet", id="torn-parquet"),
        pytest.param("p.jsonl", b"[" * 100_000, "not JSON", id="deep"),
    ],
)
def test_a_torn_file_is_refused_by_its_place(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        rows_of(name, data)


def test_fields_are_checked_by_name() -> None:
    row = ProblemRow("p.jsonl, line 3", {"prompt": 7, "stop": ["a", 1], "none": None})
    with pytest.raises(
        UserError, match=r"p\.jsonl, line 3: field test is missing, it has none, prompt, stop"
    ):
        row.text("test")
    with pytest.raises(UserError, match=r"p\.jsonl, line 3: prompt must be text, got 7"):
        row.text("prompt")
    with pytest.raises(UserError, match=r"p\.jsonl, line 3: stop must be a list of texts"):
        row.texts("stop")
    assert row.optional_text("none") is None and row.optional_text("gone") is None and row.texts("gone") == ()


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(LINES)
    digest = hashlib.sha256(LINES).hexdigest()
    assert len(read_problems(str(file), f"sha256:{digest}")) == 2
    file.write_bytes(LINES + LINES)
    with pytest.raises(UserError, match=f"expected {digest}; the file has changed"):
        read_problems(str(file), digest)
