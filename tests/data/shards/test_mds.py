"""Our shards are byte for byte those of `streaming.MDSWriter`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from daybreak_data.shards import mds


def theirs(folder: Path, samples: np.ndarray, dtype: str, size_limit: int) -> None:
    from streaming import MDSWriter

    columns = {"tokens": f"ndarray:{dtype}"}
    with MDSWriter(columns=columns, out=str(folder), hashes=["xxh64"], size_limit=size_limit) as writer:
        for sample in samples:
            writer.write({"tokens": sample})


def ours(folder: Path, samples: np.ndarray, dtype: str, size_limit: int, batch: int) -> None:
    folder.mkdir()
    writer = mds.MdsWriter(folder, dtype, samples.shape[1], size_limit)
    for start in range(0, len(samples), batch):
        writer.write(samples[start : start + batch])
    (folder / mds.INDEX_FILE).write_bytes(mds.index_bytes(writer.finish()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "context_length", "count", "size_limit", "batch"),
    [
        pytest.param("uint16", 7, 1, 1 << 26, 1, id="one-small-sample"),
        pytest.param("uint16", 64, 100, 4000, 7, id="several-shards-of-a-few-samples"),
        pytest.param("uint16", 300, 33, 10_000, 33, id="a-length-above-a-byte"),
        pytest.param("uint32", 255, 20, 5000, 3, id="a-large-vocabulary"),
        pytest.param("uint16", 70_000, 3, 1 << 20, 1, id="a-length-above-two-bytes"),
    ],
)
def test_bytes_equal_those_of_the_reference(
    dtype: str, context_length: int, count: int, size_limit: int, batch: int, tmp_path: Path
) -> None:
    samples = np.random.default_rng(0).integers(0, 60_000, (count, context_length)).astype(dtype)
    theirs(tmp_path / "theirs", samples, dtype, size_limit)
    ours(tmp_path / "ours", samples, dtype, size_limit, batch)
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "ours").iterdir())
    for name in names:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name


def test_an_index_one_folder_up_names_the_folder() -> None:
    entry = {
        "samples": 1,
        "raw_data": {"basename": "shard.00000.mds", "bytes": 3, "hashes": {}},
        "zip_data": None,
    }
    assert mds.moved([entry], "part-00002")[0]["raw_data"]["basename"] == "part-00002/shard.00000.mds"
    assert json.loads(mds.index_bytes([entry])) == {"version": 2, "shards": [entry]}
