"""Rows of shards are read by their layout; what is none of ours, torn or not there is said."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from daybreak_contracts.errors import ArtifactError
from daybreak_model.token_rows import TokenRows

PLAIN = {"column_names": ["tokens"], "column_encodings": ["ndarray:uint16"], "compression": None}


def shards_of(folder: Path, *shards: list[list[int]]) -> TokenRows:
    """Write shards by the letter of the format: how many, offsets, and each row behind its size."""
    entries = []
    for number, rows in enumerate(shards):
        made = [bytes([1 << 2, len(row)]) + np.array(row, "<u2").tobytes() for row in rows]
        made = [struct.pack("<I", len(row)) + row for row in made]
        offsets = np.cumsum([4 + 4 * (len(made) + 1), *map(len, made)]).astype("<u4")
        name = f"shard.{number:05}.mds"
        (folder / name).write_bytes(struct.pack("<I", len(made)) + offsets.tobytes() + b"".join(made))
        entries.append({**PLAIN, "samples": len(rows), "raw_data": {"basename": name}})
    (folder / "index.json").write_text(json.dumps({"shards": entries}))
    return TokenRows(str(folder))


def test_rows_are_numbered_over_all_shards(tmp_path: Path) -> None:
    rows = shards_of(tmp_path, [[1, 2, 3], [4]], [[]], [[5, 65535]])
    assert len(rows) == 4
    assert [rows[number].tolist() for number in range(4)] == [[1, 2, 3], [4], [], [5, 65535]]


@pytest.mark.parametrize("number", [-1, 2])
def test_a_row_that_is_not_there_is_said(tmp_path: Path, number: int) -> None:
    with pytest.raises(ArtifactError, match=f"has no sample {number}"):
        shards_of(tmp_path, [[1], [2]])[number]


def test_a_torn_row_is_said(tmp_path: Path) -> None:
    rows = shards_of(tmp_path, [[1, 2, 3]])
    file = tmp_path / "shard.00000.mds"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="a row of 3 tokens is cut short"):
        rows[0]
    file.unlink()
    with pytest.raises(ArtifactError, match="the shard is not there any more"):
        rows[0]


@pytest.mark.parametrize(
    "entry",
    [
        {"column_names": ["text"], "column_encodings": ["str"], "compression": None},
        {"column_names": ["tokens"], "column_encodings": ["ndarray:uint16"], "compression": "zstd"},
    ],
)
def test_other_shards_are_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    document = {"shards": [{**entry, "samples": 1, "raw_data": {"basename": "a.mds"}}]}
    (tmp_path / "index.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"a\.mds"):
        TokenRows(str(tmp_path))


def test_an_index_that_is_not_there_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"index\.json"):
        TokenRows(str(tmp_path))
