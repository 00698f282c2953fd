"""Near-duplicates from Parquet to clusters, beside datatrove and datasketch; and how many planted copies are found.

Ours reads documents from Parquet, persists signatures as Parquet and computes the clusters, on two local Spark
threads; the session is up before (every data step shares one). datatrove reads and writes JSONL with two workers.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from daybreak_data import duplicates
from daybreak_data.spark.session import open_session
from tests.bench.data.corpus import environment_code
from tests.bench.peer import run_peer
from tests.bench.row import Row
from tests.data.duplicates import test_signatures as quality

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CORPUS_BYTES = 100_000_000
SLOW_PEER_BYTES = 20_000_000
CORES = 2
NUM_PARTS = 8


DATATROVE = ("datatrove[io]==0.10.1", "spacy", "regex", "nltk", "tokenizers", "xxhash<4")


def measure() -> list[Row]:
    """Measure end to end on two cores; quality on planted copies of standard library files."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        whole = _write(environment_code(CORPUS_BYTES), home / "whole")
        few = _write(environment_code(SLOW_PEER_BYTES), home / "few")
        with open_session("bench", CORES, str(home / "spark")) as spark:
            runs = [
                _find(spark, corpus.home) for corpus in (few, whole)
            ]  # the first starts the Python workers
        peer_args = (str(few.home / "jsonl"), str(home / "datatrove"), str(CORES))
        trove = run_peer("datatrove 0.10.1", DATATROVE, "datatrove_minhash.py", *peer_args)
        sketch = run_peer("datasketch", ["datasketch"], "datasketch_minhash.py", peer_args[0])
    gone = (
        f"of {few.num_files} files ours removes {runs[0].removed}, the peer {few.num_files - trove['kept']}"
    )
    rates = (few.megabytes / trove["seconds"] / CORES, few.megabytes / trove["cpu_seconds"])
    return [
        *_rows_beside_datatrove(whole, runs[1], rates, f"the peer saw {few.megabytes:.0f} MB: {gone}"),
        Row(
            "signatures alone",
            whole.megabytes / runs[1].signing_cpu_s,
            "MB per CPU second",
            "",
            "datasketch, MinHash and LSH",
            few.megabytes / sketch["seconds"],
            f"Parquet to Parquet; the peer is all in memory and saw {few.megabytes:.0f} MB on one core",
        ),
        *_quality_rows(),
    ]


@dataclass(frozen=True)
class Corpus:
    """A folder with the same documents as Parquet and as JSONL."""

    home: Path
    num_files: int
    megabytes: float


def _rows_beside_datatrove(whole: Corpus, run: Run, rates: tuple[float, float], note: str) -> list[Row]:
    return [
        Row(
            "near-duplicates, end to end",
            whole.megabytes / run.wall_s / CORES,
            "MB/s/core",
            ">= 3, goal 6",
            "datatrove 0.10.1",
            rates[0],
            f"{whole.megabytes:.0f} MB by the clock on the wall; {note}",
        ),
        Row(
            "near-duplicates, work done",
            whole.megabytes / run.cpu_s,
            "MB per CPU second",
            "",
            "datatrove 0.10.1",
            rates[1],
            "all processes together: what is left of the above when the machine is busy otherwise",
        ),
    ]


def _write(corpus: list[tuple[str, str]], home: Path) -> Corpus:
    (home / "documents").mkdir(parents=True)
    (home / "jsonl").mkdir()
    rows = [
        {
            "document_id": hashlib.sha256(text.encode()).hexdigest(),
            "path_id": number,
            "source": "environment",
            "repository": path.split("site-packages/")[-1].split("/")[0],
            "path": path,
            "language": "",
            "licence": "",
            "size_bytes": len(text.encode()),
            "text": text,
        }
        for number, (path, text) in enumerate(corpus)
    ]
    for part in range(NUM_PARTS):
        chunk = rows[part::NUM_PARTS]
        pq.write_table(
            pa.Table.from_pylist(chunk), home / "documents" / f"{part}.parquet", compression="zstd"
        )
        with (home / "jsonl" / f"{part}.jsonl").open("w") as file:
            file.writelines(json.dumps({"id": str(r["path_id"]), "text": r["text"]}) + "\n" for r in chunk)
    return Corpus(home, len(rows), sum(row["size_bytes"] for row in rows) / 1e6)


@dataclass(frozen=True)
class Run:
    """Seconds on the wall and of all cores, the cores' seconds for the signatures, and how many files go."""

    wall_s: float
    cpu_s: float
    signing_cpu_s: float
    removed: int


def _cpu_s() -> float:
    """CPU seconds of this process and all below it, the JVM and its Python workers among them."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [me, *me.children(recursive=True)])


def _find(spark: SparkSession, home: Path) -> Run:
    began, cpu_began = time.monotonic(), _cpu_s()
    documents = spark.read.parquet(str(home / "documents"))
    texts = documents.select("path_id", "language", "text")
    signed = texts.mapInArrow(duplicates.signature_batches, duplicates.SIGNATURE_COLUMNS)
    signed.write.parquet(str(home / "signatures"))
    signing_cpu_s = _cpu_s() - cpu_began
    clusters = duplicates.find_near_duplicates(
        spark.read.parquet(str(home / "signatures")),
        documents,
        lambda path_ids: documents.where(documents.path_id.isin(path_ids.tolist()))["path_id", "text"],
    )
    removed = clusters.where("NOT kept").count()
    return Run(time.monotonic() - began, _cpu_s() - cpu_began, signing_cpu_s, removed)


def _quality_rows() -> list[Row]:
    pairs = quality.planted_pairs(random.Random(0))
    found = quality.are_found(pairs)
    scored = [(quality.jaccard(*pair), hit) for pair, hit in zip(pairs, found, strict=True)]
    high = [hit for similarity, hit in scored if similarity >= 0.8]
    middle = [hit for similarity, hit in scored if 0.7 <= similarity < 0.8]
    wrong = sum(hit for similarity, hit in scored if similarity < 0.7)
    note = f"{len(pairs)} planted copies of standard library files with changed, dropped and added lines"
    return [
        Row("recall at true Jaccard >= 0.8", sum(high) / len(high), "", ">= 0.95", note=note),
        Row("recall at true Jaccard 0.7 to 0.8", sum(middle) / len(middle), "", ">= 0.70", note=note),
        Row("pairs found with true Jaccard < 0.7", wrong / sum(found), "of found", "0", note=note),
    ]
