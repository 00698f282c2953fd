"""The same shards when documents, tokenizer and output are on a real S3 server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybreak_contracts import artifacts, names, steps, storage
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import ShardArgs
from daybreak_data.shards import step as shards
from daybreak_data.tokenizer import step as tokenizer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.slow
def test_shards_on_s3_are_those_on_disk(
    bucket: str, spark: SparkSession, write_documents: Callable[..., str], tmp_path: Path
) -> None:
    texts = [f"def f{number}(x):\n    return x + {number}\n" * 30 for number in range(40)]
    rows = [
        {"repository": f"r{place % 8}", "path": f"{place}.py", "text": text}
        for place, text in enumerate(texts)
    ]
    local = write_documents(rows)
    digest = artifacts.digest_of("tokenizer")
    made = str(tmp_path / "out" / "tokenizer" / "0")
    staging = artifacts.staging_folder(made, str(tmp_path))
    tokenizer.save(tokenizer.padded(tokenizer.train(iter(texts), 400).to_str()), staging)
    artifacts.commit(made, staging, step=names.STEP_TOKENIZER, digest=digest, inputs={}, result={})
    for name, uri in (("documents", local), ("tokenizer", made)):
        storage.copy_tree(uri, storage.join(bucket, "run", name))

    def args(output: str, documents: str, learned: str) -> ShardArgs:
        return ShardArgs(
            output=output,
            work_dir=str(tmp_path / "work"),
            documents=documents,
            tokenizer=learned,
            context_length=64,
        )

    # A process of its own: Spark's workers have the environment that Spark was started in.
    remote = args(f"{bucket}/run", f"{bucket}/run/documents", f"{bucket}/run/tokenizer")
    (tmp_path / "args.json").write_text(remote.model_dump_json())
    command = [sys.executable, "-m", "daybreak_data", "shards", "--args-file", str(tmp_path / "args.json")]
    subprocess.run([*command, "--result", str(tmp_path / "result.json")], check=True, timeout=400)
    there = steps.read_result(tmp_path / "result.json", steps.ShardResult)
    here = shards.run_shards(args(str(tmp_path / "here"), local, made), Progress("test"))
    assert there.digest == here.digest
    assert artifacts.load(there.uri).content_digest == artifacts.load(here.uri).content_digest
    found = storage.list_files(f"{bucket}/run/shards")
    assert not [name for name in found if ".parts-" in name], "scratch is gone"
