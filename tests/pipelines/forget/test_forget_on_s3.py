"""The same command on a run whose output lies in object storage, on a real S3 server."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts, storage
from daybreak_data.documents import forgotten
from tests.pipelines.forget import test_forget
from tests.pipelines.forget.test_forget import SECRET, asked, forget

pytestmark = pytest.mark.slow

output = test_forget.output
no_cluster = test_forget.no_cluster
NOW = "2030-01-01T00:00:00+00:00"


@pytest.fixture
def s3(bucket: str) -> str:
    return f"{bucket}/run"


def stored(uri: str) -> dict[str, bytes]:
    return {
        path: storage.read_bytes(storage.join(uri, path))
        for path in storage.list_files(uri)
        if not path.startswith(".work/")
    }


def test_it_takes_back_the_same_as_on_disk(output: Path, s3: str) -> None:
    storage.copy_tree(str(output), s3)
    said: list[str] = []
    assert forget([s3], asked(), lambda: NOW, said.append) == 0
    left = stored(s3)
    tables = [path for path in left if path.endswith(".parquet")]
    assert tables
    for path in tables:
        assert SECRET not in pq.read_table(io.BytesIO(left[path])).column("repository").to_pylist()
    for step in ("ingest", "documents", "tokenizer", "shards"):
        for uri in {
            storage.join(s3, "/".join(path.split("/")[:2])) for path in left if path.startswith(f"{step}/")
        }:
            if storage.exists(storage.join(uri, artifacts.MANIFEST)):
                artifacts.load(uri)
    assert [rule.repositories for rule in forgotten.read(s3)] == [(SECRET,)]
    assert any("cannot be mended without training again" in line for line in said)

    assert forget([str(output)], asked(), lambda: NOW, [].append) == 0
    on_disk = stored(str(output))
    shards = [
        path for path in on_disk if path.startswith("shards/") and path.endswith((".mds", "index.json"))
    ]
    assert shards
    assert {path: left[path] for path in shards} == {path: on_disk[path] for path in shards}


def test_a_dry_run_changes_nothing_there(output: Path, s3: str) -> None:
    storage.copy_tree(str(output), s3)
    before = stored(s3)
    said: list[str] = []
    assert forget([s3], asked(yes=False, dry_run=True), lambda: NOW, said.append) == 0
    assert stored(s3) == before
    assert any("documents" in line for line in said)
