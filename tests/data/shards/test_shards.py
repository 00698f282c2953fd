"""The shards step with real Spark and a real reader: nothing lost, nothing moved, the same bytes after a kill."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.data import MixtureRow
from daybreak_contracts.steps import ShardArgs
from daybreak_data.shards import step as shards
from daybreak_data.shards import writer
from daybreak_data.shards.mixture import Mixture
from daybreak_data.tables import reading
from daybreak_data.tokenizer import encoding
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.repository_context import Layout
from daybreak_model.vocabulary import token_bytes
from daybreak_train.replay.documents import documents_of

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WriteDocuments = Callable[..., str]
CONTEXT = 64
END, PAD = names.SPECIAL_TOKENS.index(names.END_OF_TEXT), names.SPECIAL_TOKENS.index(names.FIM_PAD)


def module_rows() -> list[dict[str, Any]]:
    """Small modules of the standard library, each folder one repository."""
    root = Path(json.__file__).parent.parent
    paths = [path for path in sorted(root.glob("*/*.py")) if path.stat().st_size < 20_000]
    known = [path for path in paths if "site-packages" not in path.parts]
    return [
        {
            "repository": path.parent.name,
            "path": path.name,
            "text": path.read_bytes().decode("utf-8", "ignore"),
        }
        for path in known[::3]
    ]


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    texts = (row["text"] for row in module_rows()[::4])
    return tokenizer.padded(tokenizer.train(texts, 1000).to_str())


@pytest.fixture
def tokenizer_uri(tokenizer_json: str, tmp_path: Path) -> str:
    digest = artifacts.digest_of("tokenizer")
    uri = artifacts.uri_of(str(tmp_path / "out"), names.STEP_TOKENIZER, digest)
    staging = artifacts.staging_folder(uri, str(tmp_path))
    tokenizer.save(tokenizer_json, staging)
    artifacts.commit(uri, staging, step=names.STEP_TOKENIZER, digest=digest, inputs={}, result={})
    return uri


def shard_args(documents: str, tokenizer_uri: str, tmp_path: Path, **changes: Any) -> ShardArgs:
    fixed = {
        "output": str(tmp_path / "out"),
        "work_dir": str(tmp_path / "work"),
        "documents": documents,
        "tokenizer": tokenizer_uri,
        "context_length": CONTEXT,
        "held_out_share": 0.1,
    }
    return ShardArgs(**{**fixed, **changes})


@pytest.fixture
def read_back() -> Iterator[Callable[[Path], np.ndarray]]:
    """Read an MDS dataset with the library's own reader, in the order in which it was written."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()

    def read(folder: Path) -> np.ndarray:
        dataset = StreamingDataset(local=str(folder), shuffle=False, batch_size=1)
        return np.stack([dataset[place]["tokens"] for place in range(dataset.num_samples)])

    yield read
    clean_stale_shared_memory()


def documents_in(stream: np.ndarray) -> list[list[int]]:
    """Cut a stream of tokens at the ends of documents; what is behind the last is padding."""
    ends = np.flatnonzero(stream == END)
    assert (stream[ends[-1] + 1 :] == PAD).all()
    pieces = np.split(stream[: ends[-1] + 1], ends + 1)
    return [piece[:-1].tolist() for piece in pieces if len(piece)]


@pytest.mark.slow
def test_every_document_is_read_back_whole_and_held_out_repositories_are_not_trained_on(
    spark: SparkSession,
    write_documents: WriteDocuments,
    tokenizer_uri: str,
    tokenizer_json: str,
    tmp_path: Path,
    read_back: Callable[[Path], np.ndarray],
) -> None:
    hostile = {
        "repository": "json",
        "path": "marks.py",
        "text": f"x = '{names.END_OF_TEXT}{names.FIM_PAD}\u00e9'\n",
    }
    rows = [*module_rows(), hostile, {"repository": "json", "path": "empty.py", "text": ""}]
    result = shards.run_shards(shard_args(write_documents(rows), tokenizer_uri, tmp_path), Progress("test"))

    table = token_bytes(tokenizer_json, special_as_text=True)
    found: dict[str, list[str]] = {}
    repositories: dict[str, set[str]] = {}
    told = json.loads((Path(result.uri) / "documents.json").read_text())
    for side in ("train", "held_out"):
        samples = read_back(Path(result.uri) / side)
        assert samples.dtype == np.uint16
        assert samples.shape == (getattr(result, f"num_{side}_samples"), CONTEXT)
        found[side] = [
            encoding.decode_bytes(table, ids).decode() for ids in documents_in(samples.reshape(-1))
        ]
        assert getattr(result, f"num_{side}_tokens") == sum(entry["tokens"] for entry in told[side])
        provenance = pq.read_table(Path(result.uri) / side / "part-00000" / "documents.parquet").to_pydict()
        repositories[side] = set(provenance["repository"])
        stream = samples.reshape(-1)
        for first, count, text in zip(
            provenance["first_token"], provenance["num_tokens"], found[side], strict=True
        ):
            assert stream[first + count - 1] == END
            assert encoding.decode_bytes(table, stream[first : first + count - 1]).decode() == text
        parts = documents_of(result.uri, range(len(samples)), side)
        begun = [part.path for sample in range(len(samples)) for part in parts[sample] if not part.offset]
        assert begun == provenance["path"], "whoever asks for a sample's documents finds them"
    assert sorted(found["train"] + found["held_out"]) == sorted(row["text"] for row in rows)
    assert repositories["train"].isdisjoint(repositories["held_out"])
    assert repositories["held_out"]
    assert found["train"] != [row["text"] for row in rows if row["repository"] in repositories["train"]], (
        "shuffled"
    )
    assert not list((tmp_path / "out" / "shards").glob(".parts-*")), "scratch is gone"


@pytest.mark.slow
def test_bytes_do_not_depend_on_order_or_layout_of_the_documents(
    spark: SparkSession, write_documents: WriteDocuments, tokenizer_uri: str, tmp_path: Path
) -> None:
    rows = module_rows()[:60]
    first = shard_args(write_documents(rows, files=1), tokenizer_uri, tmp_path)
    second = shard_args(write_documents(rows[::-1], files=3, folder="b"), tokenizer_uri, tmp_path)
    made = [shards.run_shards(args, Progress("test")) for args in (first, second)]
    contents = [artifacts.load(result.uri).content_digest for result in made]
    assert contents[0] == contents[1]
    again = shards.run_shards(first, Progress("test"))
    assert again == made[0].model_copy(update={"cached": True})

    mixture = (MixtureRow(source="here", epochs="2"), MixtureRow(language="c", epochs="0"))
    rows = [
        {**row, "source": ("here", "there")[number % 2], "language": ("python", "c")[number % 5 == 0]}
        for number, row in enumerate(rows)
    ]
    mixed = [
        shards.run_shards(
            shard_args(
                write_documents(given, files=files, folder=f"m{files}"), tokenizer_uri, tmp_path, **asked
            ),
            Progress("test"),
        )
        for given, files, asked in (
            (rows, 1, {"mixture": mixture}),
            (rows[::-1], 3, {"mixture": mixture[::-1], "output": str(tmp_path / "elsewhere")}),
        )
    ]
    contents = [artifacts.load(result.uri).content_digest for result in mixed]
    assert contents[0] == contents[1]
    tables = {
        side: pq.read_table(Path(mixed[0].uri) / side / "part-00000" / "documents.parquet").to_pylist()
        for side in ("train", "held_out")
    }
    held_out = Counter(row["path_id"] for row in tables["held_out"])
    plain = pq.read_table(Path(made[0].uri) / "held_out" / "part-00000" / "documents.parquet").to_pylist()
    assert {(row["repository"], row["path"]) for row in tables["held_out"]} == {
        (row["repository"], row["path"]) for row in plain
    }
    assert set(held_out.values()) == {1}
    trained = Counter((row["path_id"], row["source"], row["language"]) for row in tables["train"])
    assert {(source, language): times for (_, source, language), times in trained.items()} == {
        ("here", "python"): 2,
        ("there", "python"): 1,
    }
    assert mixed[0].num_train_tokens == sum(row["num_tokens"] for row in tables["train"])
    once = {row["path_id"]: row["num_tokens"] for row in tables["train"]}
    assert mixed[0].unique_train_tokens == sum(once.values()) < mixed[0].num_train_tokens
    shares = {(share.kind, share.name): share for share in mixed[0].mixture}
    assert shares["language", "c"].epochs == shares["language", "c"].asked_epochs == 0
    assert shares["source", "here"].epochs == shares["source", "here"].asked_epochs
    packed = [
        shards.run_shards(
            shard_args(uri, tokenizer_uri, tmp_path, layout="Repository", mixture=mixture[:1], output=output),
            Progress("test"),
        )
        for uri, output in (
            (write_documents(rows, files=1, folder="r1"), str(tmp_path / "r1")),
            (write_documents(rows[::-1], files=3, folder="r3"), str(tmp_path / "r3")),
        )
    ]
    assert artifacts.load(packed[0].uri).content_digest == artifacts.load(packed[1].uri).content_digest
    table = pq.read_table(Path(packed[0].uri) / "train" / "part-00000" / "documents.parquet").to_pylist()
    runs = [
        (name, [row["path"] for row in files])
        for name, files in itertools.groupby(table, lambda row: row["repository"])
    ]
    assert len(runs) > len({name for name, _ in runs}), "the second copy of a repository lies elsewhere"
    assert all(paths == sorted(set(paths)) for _, paths in runs), "each is in the order of its paths"
    assert packed[0].layout == "Repository"
    assert packed[0].num_train_tokens == table[-1]["first_token"] + table[-1]["num_tokens"]
    assert packed[0].mixture[0].epochs == packed[0].mixture[0].asked_epochs == 2

    assert json.loads((Path(mixed[0].uri) / "documents.json").read_text())["mixture"] == [
        share.model_dump() for share in mixed[0].mixture
    ]


def start_command(args: ShardArgs, tmp_path: Path) -> subprocess.Popen[bytes]:
    (tmp_path / "args.json").write_text(args.model_dump_json())
    command = [sys.executable, "-m", "daybreak_data", "shards", "--args-file", str(tmp_path / "args.json")]
    return subprocess.Popen([*command, "--result", str(tmp_path / "result.json")], start_new_session=True)


def run_command(args: ShardArgs, tmp_path: Path) -> dict[str, Any]:
    assert start_command(args, tmp_path).wait(timeout=300) == 0
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())["result"]
    return result


@pytest.mark.slow
def test_a_killed_run_on_one_core_goes_on_where_it_was_and_ends_in_the_bytes_of_two(
    spark: SparkSession, write_documents: WriteDocuments, tokenizer_uri: str, tmp_path: Path
) -> None:
    block = "".join(row["text"] for row in module_rows())[:200_000]
    texts = [f"# {number}\n{block}" for number in range(150)]
    rows = [{"repository": f"r{i % 17}", "path": f"{i}.py", "text": text} for i, text in enumerate(texts)]
    documents = write_documents(rows)
    args = shard_args(documents, tokenizer_uri, tmp_path, cores=1)
    running = start_command(args, tmp_path)
    parts = tmp_path / "out" / "shards"
    deadline = time.monotonic() + 240
    while not (done := list(parts.glob(".parts-*/*-part-*/part.json"))):
        assert running.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = {path: path.stat().st_ino for path in done[0].parent.glob("*.mds")}
    assert not [path for path in parts.iterdir() if not path.name.startswith(".")], "nothing is committed"
    result = run_command(args, tmp_path)
    elsewhere = shards.run_shards(args.model_copy(update={"output": str(tmp_path / "two")}), Progress("test"))
    kept = {path.stat().st_ino for path in Path(result["uri"]).rglob("*.mds")}
    assert set(before.values()) <= kept, "what was finished before the kill was used, not written again"
    contents = [artifacts.load(uri).content_digest for uri in (result["uri"], elsewhere.uri)]
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["File", "Repository"])
def test_this_process_writes_the_bytes_that_tasks_of_spark_write(
    spark: SparkSession, write_documents: WriteDocuments, tokenizer_json: str, tmp_path: Path, layout: Layout
) -> None:
    rows = [
        {**row, "language": ("python", "c")[number % 5 == 0], "repository": f"über {number % 7}"}
        for number, row in enumerate(module_rows())
    ]
    uri = write_documents(rows, files=3)
    files = reading.files_of(uri, artifacts.load(uri), reading.DOCUMENTS)
    mixture = Mixture((MixtureRow(language="python", epochs="2.5"),))
    plan = dataclasses.replace(shards.read_plan(files, 0.1, 0, mixture, layout), num_train=4, num_held_out=2)
    assert plan.num_bytes > sum(len(row["text"].encode()) for row in rows), "copies count"
    found = []
    for place in ("tasks", "here"):
        parts = tmp_path / place
        parts.mkdir()
        job = writer.ShardTask(
            tokenizer_json, "uint16", CONTEXT, str(parts), str(tmp_path), 20_000, layout=layout
        )
        every = list(range(plan.num_partitions))
        if place == "tasks":
            shards.write_missing(spark, files, plan, job, every, Progress("test"))
        else:
            shards.write_missing_here(files, plan, job, every, Progress("test"))
        found.append({folder.name: read_folder(folder) for folder in parts.iterdir()})
    assert found[0] == found[1]
    assert len(found[0]) > 3, "one that gets no repository is not written"


@pytest.mark.slow
def test_only_missing_and_damaged_partitions_are_written(
    spark: SparkSession, write_documents: WriteDocuments, tokenizer_json: str, tmp_path: Path
) -> None:
    uri = write_documents(module_rows())
    files = reading.files_of(uri, artifacts.load(uri), reading.DOCUMENTS)
    plan = dataclasses.replace(shards.read_plan(files, 0.1, 0), num_train=4, num_held_out=2)
    (tmp_path / "parts").mkdir()
    job = writer.ShardTask(tokenizer_json, "uint16", CONTEXT, str(tmp_path / "parts"), str(tmp_path), 20_000)
    every = list(range(plan.num_partitions))
    shards.write_missing(spark, files, plan, job, every, Progress("test"))
    folders = {part: tmp_path / "parts" / shards.folder_of(plan, part) for part in every}
    first = {part: read_folder(folder) for part, folder in folders.items()}
    assert all(writer.finished(job.parts, folder.name) for folder in folders.values())

    with (folders[1] / "shard.00000.mds").open("r+b") as file:
        file.seek(100)
        file.write(b"\x00\x01")
    (folders[2] / "part.json").unlink()
    (folders[4] / "documents.parquet").unlink()
    (folders[5] / "part.json").write_text("{")
    damaged = [part for part in every if writer.finished(job.parts, folders[part].name) is None]
    assert damaged == [1, 2, 4, 5]
    untouched = {part: (folders[part] / "part.json").stat().st_ino for part in (0, 3)}
    shards.write_missing(spark, files, plan, job, damaged, Progress("test"))
    assert {part: read_folder(folder) for part, folder in folders.items()} == first
    assert {part: (folders[part] / "part.json").stat().st_ino for part in (0, 3)} == untouched
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted(
        f.name for f in folders.values()
    )
    result = shards.join(plan, job, tmp_path / "staging")
    assert result["num_train_samples"] + result["num_held_out_samples"] == sum(
        json.loads(data[b"part.json"])["samples"] for data in first.values()
    )
    (folders[3] / "part.json").unlink()
    with pytest.raises(RuntimeError, match=r"\d+ of \d+ documents are in the shards"):
        shards.join(plan, job, tmp_path / "other")


def read_folder(folder: Path) -> dict[bytes, bytes]:
    return {path.name.encode(): path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_single_repository_is_split_by_file_with_a_note(
    spark: SparkSession,
    write_documents: WriteDocuments,
    tokenizer_uri: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [{"path": f"{number}.py", "text": f"x = {number}\n" * 20} for number in range(20)]
    with caplog.at_level(logging.WARNING):
        args = shard_args(write_documents(rows), tokenizer_uri, tmp_path, context_length=100_000)
        result = shards.run_shards(args, Progress("test"))
    assert "only one repository (repo): held out by file" in caplog.text
    told = json.loads((Path(result.uri) / "documents.json").read_text())
    assert told["split"]["unit"] == "file"
    assert (told["train"][0]["documents"], told["held_out"][0]["documents"]) == (18, 2)
    assert (result.num_train_samples, result.num_held_out_samples) == (1, 1), (
        "a context longer than all packs"
    )
    assert told["train"][0]["padding"] == 100_000 - result.num_train_tokens


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        pytest.param([], {}, r"0 document\(s\) are left", id="no-document"),
        pytest.param([{"path": "a.py", "text": "x"}], {}, r"1 document\(s\) are left", id="one-document"),
        pytest.param([], {"context_length": 1}, "contextLength 1: at least 2", id="no-context"),
    ],
)
def test_what_cannot_be_sharded_says_why(
    rows: list[dict[str, Any]],
    changes: dict[str, Any],
    message: str,
    write_documents: WriteDocuments,
    tokenizer_uri: str,
    tmp_path: Path,
) -> None:
    args = shard_args(write_documents(rows), tokenizer_uri, tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        shards.run_shards(args, Progress("test"))


def test_a_tampered_tokenizer_is_refused(
    write_documents: WriteDocuments, tokenizer_uri: str, tmp_path: Path
) -> None:
    (Path(tokenizer_uri) / "tokenizer.json").write_text("{}")
    args = shard_args(write_documents(module_rows()[:5]), tokenizer_uri, tmp_path)
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: was changed after it was committed"):
        shards.run_shards(args, Progress("test"))
