"""Tokenizer and shards on the environment's own code: training, compression, encoding, writing, the whole step.

Peers work on the same text with the same vocabulary: `tokenizers` and `streaming.MDSWriter` of the lock, `tiktoken` in
an environment of its own.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from daybreak_contracts import artifacts, names
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import ShardArgs
from daybreak_data.shards import mds
from daybreak_data.shards import step as shards
from daybreak_data.tokenizer import encoding
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.vocabulary import token_bytes
from tests.bench.row import Row

TRAIN_BYTES = 50_000_000
ENCODE_BYTES = 100_000_000
VOCABULARY = 32_768
PROCESSES = 2
CONTEXT = 2048
SUFFIXES = {".py": "python", ".h": "c", ".hpp": "cpp", ".js": "javascript", ".pyi": "python"}
PEER = """
import json, sys, time, tiktoken
from pathlib import Path
ranks = {bytes.fromhex(word): place for word, place in json.loads(Path(sys.argv[1]).read_text())}
texts = json.loads(Path(sys.argv[2]).read_text())
coder = tiktoken.Encoding("peer", pat_str=sys.argv[3], mergeable_ranks=ranks, special_tokens={})
coder.encode_ordinary_batch(texts[:20], num_threads=2)
start = time.perf_counter()
found = coder.encode_ordinary_batch(texts, num_threads=2)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "tokens": sum(map(len, found)), "version": tiktoken.__version__}))
"""


def corpus(limit: int) -> list[tuple[str, str, str]]:
    """Return language, repository and text of files of the environment, in a seeded order, up to ``limit`` bytes."""
    root = Path(json.__file__).parents[1]
    packages = Path(np.__file__).parents[1]
    paths = [
        path for folder in (root, packages) for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES
    ]
    random.Random(0).shuffle(paths)
    found, size = [], 0
    for path in paths:
        if size >= limit:
            break
        if path.is_file() and path.stat().st_size < 1_000_000:
            text = path.read_bytes().decode("utf-8", "ignore")
            size += len(text.encode())
            found.append((SUFFIXES[path.suffix], path.parent.name, text))
    return found


def measure() -> list[Row]:
    """Return every figure of this room."""
    documents = corpus(ENCODE_BYTES)
    texts = [text for _, _, text in documents]
    sample: list[str] = []
    while sum(map(len, sample)) < TRAIN_BYTES:
        sample.append(texts[len(sample)])
    held_out = texts[len(sample) :][:400]
    training, trained = _training(sample)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return [
            training,
            _compression(sample, held_out, trained),
            *_encoding(texts, trained, folder),
            _writing(folder),
            *_step(documents, trained, folder),
        ]


def _megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def _training(sample: list[str]) -> tuple[Row, str]:
    start = time.perf_counter()
    trained = tokenizer.padded(tokenizer.train(iter(sample), VOCABULARY).to_str())
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    note = (
        f"{_megabytes(sample):.0f} MB, vocabulary {VOCABULARY:,}, {memory:.1f} GB peak of the whole process"
    )
    return Row("tokenizer training", _megabytes(sample) / seconds, "MB/s", "3.5", note=note), trained


def _starcoder_style(sample: list[str]) -> Any:
    """StarCoder's pre-tokenizer (single digits, then GPT-2's pattern) at the same vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    peer = Tokenizer(models.BPE())
    digits, pattern = (
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    )
    peer.pre_tokenizer = pre_tokenizers.Sequence([digits, pattern])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    peer.train_from_iterator(iter(sample), trainer)
    return peer


def _compression(sample: list[str], held_out: list[str], trained: str) -> Row:
    peer = _starcoder_style(sample[: len(sample) // 2])
    ours = tokenizer.train(iter(sample[: len(sample) // 2]), VOCABULARY)
    size = _megabytes(held_out) * 1e6

    def rate(coder: Any) -> float:
        rows = coder.encode_batch_fast(held_out, add_special_tokens=False)
        return size / sum(len(row.ids) for row in rows)

    return Row(
        "compression of held-out code", rate(ours), "bytes/token", "not below StarCoder's", "StarCoder's pattern",
        rate(peer), "both trained on the same 25 MB",
    )  # fmt: skip


def encode_half(arguments: tuple[str, str, int]) -> tuple[float, int]:
    """Encode every second text of a file once, cold, and return seconds and tokens."""
    trained, file, half = arguments
    texts = json.loads(Path(file).read_text())[half::PROCESSES]
    encoder = encoding.load_encoder(trained)
    start = time.perf_counter()
    tokens = 0
    for place in range(0, len(texts), 200):
        tokens += sum(map(len, encoding.encode_texts(encoder, texts[place : place + 200])))
    return time.perf_counter() - start, tokens


def _encoding(texts: list[str], trained: str, folder: Path) -> Iterator[Row]:
    size = _megabytes(texts)
    (folder / "texts.json").write_text(json.dumps(texts))
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        work = [(trained, str(folder / "texts.json"), half) for half in range(PROCESSES)]
        done = list(pool.map(encode_half, work))
    speed, tokens = size / max(seconds for seconds, _ in done), sum(count for _, count in done)
    reference = encoding.load_encoder(trained, encoding.REFERENCE).reference
    part = texts[: len(texts) // 8]
    start = time.perf_counter()
    reference.encode_batch_fast(part, add_special_tokens=False)
    theirs = _megabytes(part) / (time.perf_counter() - start)
    version = __import__("tokenizers").__version__
    note = f"{size:.0f} MB once, cold, {PROCESSES} processes, checked byte for byte"
    yield Row(
        "encoding", speed, "MB/s", "10 (goal 60)", f"tokenizers {version}, encode_batch_fast", theirs, note
    )
    found = _tiktoken(trained, folder)
    same = (
        "the same tokens" if found["tokens"] == tokens else f"{found['tokens']:,} tokens against {tokens:,}"
    )
    yield Row(
        "encoding", speed, "MB/s", "10 (goal 60)", f"tiktoken {found['version']}, 2 threads", size / found["seconds"],
        f"same vocabulary, {same}",
    )  # fmt: skip


def _tiktoken(trained: str, folder: Path) -> dict[str, Any]:
    home = Path(".cache/peers/tiktoken")
    if not (home / "bin" / "python").exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
        install = ["uv", "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), "tiktoken"]
        subprocess.run(install, check=True)
    table = token_bytes(trained, special_as_text=True)
    first = len(names.SPECIAL_TOKENS)
    (folder / "ranks.json").write_text(
        json.dumps([(table[place].hex(), place) for place in range(first, len(table))])
    )
    command = [
        str(home / "bin" / "python"),
        "-c",
        PEER,
        str(folder / "ranks.json"),
        str(folder / "texts.json"),
    ]
    done = subprocess.run(
        [*command, tokenizer.SPLIT_PATTERN], check=True, capture_output=True, text=True, timeout=170
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _writing(folder: Path) -> Row:
    from streaming import MDSWriter

    samples = np.random.default_rng(0).integers(0, VOCABULARY, (40_000, CONTEXT)).astype(np.uint16)
    size = samples.nbytes / 1e6
    (folder / "ours").mkdir()
    start = time.perf_counter()
    writer = mds.MdsWriter(folder / "ours", "uint16", CONTEXT)
    for place in range(0, len(samples), 1000):
        writer.write(samples[place : place + 1000])
    writer.finish()
    ours = size / (time.perf_counter() - start)
    start = time.perf_counter()
    columns = {"tokens": "ndarray:uint16"}
    with MDSWriter(columns=columns, out=str(folder / "theirs"), hashes=["xxh64"]) as peer:
        for sample in samples:
            peer.write({"tokens": sample})
    theirs = size / (time.perf_counter() - start)
    version = __import__("streaming").__version__
    note = f"{size:.0f} MB of samples of {CONTEXT} tokens, hashed, one core; equal bytes"
    return Row("writing shards", ours, "MB/s", "100", f"streaming {version}, MDSWriter", theirs, note)


def _step(documents: list[tuple[str, str, str]], trained: str, folder: Path) -> Iterator[Row]:
    """The whole step, Spark and all, from Parquet to the committed artifact."""
    args = ShardArgs(
        output=str(folder / "out"),
        work_dir=str(folder / "work"),
        documents=_documents_artifact(documents, folder),
        tokenizer=_tokenizer_artifact(trained, folder),
        context_length=CONTEXT,
        cores=min(PROCESSES, len(os.sched_getaffinity(0))),
    )
    size = _megabytes([text for _, _, text in documents])
    gc.collect()
    with open(os.devnull, "w") as quiet:  # noqa: PTH123
        start = time.perf_counter()
        result = shards.run_shards(args, Progress("shards", stream=quiet))
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        shards.run_shards(args, Progress("shards", stream=quiet))
        again = time.perf_counter() - start
    tokens = (result.num_train_tokens + result.num_held_out_tokens) * 2 / 1e6
    note = f"{size:.0f} MB of text, {tokens:.0f} MB of tokens, {args.cores} cores, Spark's start included"
    yield Row("the shards step, text in", size / seconds, "MB/s", "", note=note)
    yield Row(
        "the shards step again, nothing changed", again, "s", "", note="digests of all files are checked"
    )


def _documents_artifact(documents: list[tuple[str, str, str]], folder: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = artifacts.uri_of(str(folder / "out"), names.STEP_DOCUMENTS, "d" * 64)
    staging = artifacts.staging_folder(uri, str(folder))
    (staging / "documents").mkdir()
    for part in range(4):
        rows = documents[part::4]
        columns = {
            "path_id": [
                int.from_bytes(hashlib.sha256(f"{part}/{place}".encode()).digest()[:8], "big", signed=True)
                for place in range(len(rows))
            ],
            "source": ["environment"] * len(rows),
            "repository": [repository for _, repository, _ in rows],
            "path": [f"{part}/{place}" for place in range(len(rows))],
            "language": [language for language, _, _ in rows],
            "licence": [""] * len(rows),
            "size_bytes": [len(text.encode()) for _, _, text in rows],
            "text": [text for _, _, text in rows],
        }
        pq.write_table(pa.table(columns), staging / "documents" / f"{part}.parquet", compression="zstd")
    artifacts.commit(uri, staging, step=names.STEP_DOCUMENTS, digest="d" * 64, inputs={}, result={})
    return uri


def _tokenizer_artifact(trained: str, folder: Path) -> str:
    uri = artifacts.uri_of(str(folder / "out"), names.STEP_TOKENIZER, "e" * 64)
    staging = artifacts.staging_folder(uri, str(folder))
    tokenizer.save(trained, staging)
    artifacts.commit(uri, staging, step=names.STEP_TOKENIZER, digest="e" * 64, inputs={}, result={})
    return uri
