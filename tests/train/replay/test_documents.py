"""From sample ids to documents: every token has one, and what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError
from daybreak_train.replay.documents import DocumentPart, documents_of


def write_index(folder: Path, context: int, partitions: list[list[int]]) -> str:
    """Write the index of a training part whose partitions hold documents of these lengths."""
    told = []
    for number, lengths in enumerate(partitions):
        name = f"part-{number:05}"
        (folder / "train" / name).mkdir(parents=True)
        starts = [sum(lengths[:row]) for row in range(len(lengths))]
        paths = [f"{number}-{row}.py" for row in range(len(lengths))]
        columns: dict[str, Any] = {"source": ["s"] * len(lengths), "repository": ["r"] * len(lengths)}
        columns |= {"path": paths, "language": pa.array([None] * len(lengths), pa.string())}
        columns |= {"first_token": starts, "num_tokens": lengths}
        pq.write_table(pa.table(columns), folder / "train" / name / "documents.parquet")
        samples = -(-sum(lengths) // context)
        told.append({"partition": name, "samples": samples, "tokens": sum(lengths), "bytes": 1})
    described = {"contextLength": context, "dtype": "uint16", "split": {}, "train": told, "held_out": []}
    (folder / "documents.json").write_text(json.dumps(described))
    return str(folder)


def test_samples_are_counted_over_partitions_and_the_padding_is_nobodys(tmp_path: Path) -> None:
    shards = write_index(tmp_path, 8, [[3, 20, 4], [8, 5]])
    found = documents_of(shards, [0, 2, 3, 5])

    def part(path: str, at: int, length: int, offset: int, whole: int) -> DocumentPart:
        return DocumentPart("s", "r", path, "", at, length, offset, whole)

    assert found == {
        0: (part("0-0.py", 0, 3, 0, 3), part("0-1.py", 3, 5, 0, 20)),
        2: (part("0-1.py", 0, 7, 13, 20), part("0-2.py", 7, 1, 0, 4)),
        3: (part("0-2.py", 0, 3, 1, 4),),
        5: (part("1-1.py", 0, 5, 0, 5),),
    }
    assert found[5][0].name == "s/r/1-1.py"


@pytest.mark.slow
@given(
    partitions=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=3),
    context=st.integers(2, 16),
)
def test_every_token_of_every_document_is_in_one_sample(
    partitions: list[list[int]], context: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = write_index(tmp_path_factory.mktemp("index"), context, partitions)
    samples = sum(-(-sum(lengths) // context) for lengths in partitions)
    seen: dict[str, list[int]] = {}
    for parts in documents_of(shards, range(samples)).values():
        assert all(part.at + part.length <= context for part in parts)
        for part in parts:
            seen.setdefault(part.path, []).extend(range(part.offset, part.offset + part.length))
    assert seen == {
        f"{number}-{row}.py": list(range(length))
        for number, lengths in enumerate(partitions)
        for row, length in enumerate(lengths)
    }


def test_the_index_agrees_with_the_tokens(made: Any) -> None:
    found = documents_of(made.shards, range(3), "held_out")
    assert found[0][0].path == "src/file_0.py"
    assert all(sum(part.length for part in parts) == 64 for parts in found.values())


@pytest.mark.parametrize(
    ("damage", "sample", "message"),
    [
        pytest.param("", 6, "has no sample 6 in its train part", id="a sample beyond the last"),
        pytest.param("", -1, "has no sample -1", id="a sample before the first"),
        pytest.param("documents.json", 0, "the shards are not there any more", id="the artifact is gone"),
        pytest.param("train/part-00000/documents.parquet", 0, "missing, run the shard step", id="a table"),
    ],
)
def test_what_is_missing_is_said(damage: str, sample: int, message: str, tmp_path: Path) -> None:
    shards = write_index(tmp_path, 8, [[3, 20, 4], [8, 5]])
    if damage:
        storage.remove_file(storage.join(shards, damage))
    with pytest.raises(ArtifactError, match=message):
        documents_of(shards, [sample])


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    shards = write_index(tmp_path, 8, [[8]])
    text = (tmp_path / "documents.json").read_text()
    (tmp_path / "documents.json").write_text(text.replace("part-00000", "../../etc"))
    with pytest.raises(ArtifactError, match="not one of ours"):
        documents_of(shards, [0])
