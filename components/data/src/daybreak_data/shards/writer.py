"""One partition of shards: text to packed samples, written aside and made visible by its last file.

Runs inside Spark's Python workers. A partition is a folder of MDS shards, the table of its documents and
``part.json``; it is complete when ``part.json`` is there and agrees with the files. Owns no split and no order.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts import shards as layout
from daybreak_data.shards import mds
from daybreak_data.shards.shares import Group, Written, summed
from daybreak_data.tokenizer import encoding
from daybreak_model.repository_context import ALONE, FileMarks, Layout, one_line, path_line

if TYPE_CHECKING:
    import pyarrow as pa

PART_FILE = "part.json"
PARITY_DOCUMENTS = 8
"""Documents of each partition that are encoded by both engines before the fast one is trusted with the rest."""
ENCODE_BYTES = 8 << 20
OPENED_AGAIN = 4 << 20
"""Characters after which a repository's name is said again: longer than any context, so that nothing is lost by it."""


@dataclass(frozen=True)
class ShardTask:
    """What every partition of a run needs; small enough to travel with each task, but for the tokenizer."""

    tokenizer_json: str = field(repr=False)
    dtype: str
    context_length: int
    parts: str
    """URI below which finished partitions go."""
    work_dir: str
    """Local scratch folder of the machine that writes."""
    size_limit: int = mds.SIZE_LIMIT
    layout: Layout = ALONE


@dataclass
class RepositoryStream:
    """Says where a repository begins among files that are sorted by theirs."""

    current: tuple[str, int] | None = None
    num_characters: int = 0

    def opens(self, repository: str, copy: int, num_characters: int) -> bool:
        """Tell whether the next file begins a repository: another one, another copy, or a long one anew."""
        is_new = (repository, copy) != self.current or self.num_characters >= OPENED_AGAIN
        self.num_characters = num_characters + (0 if is_new else self.num_characters)
        self.current = (repository, copy)
        return is_new


@functools.lru_cache(maxsize=1)
def _encoder(tokenizer_json: str) -> encoding.Encoder:
    return encoding.load_encoder(tokenizer_json)


class PartitionWriter:
    """Packs the documents of one partition, in the order in which they come."""

    def __init__(self, task: ShardTask, name: str) -> None:
        self._task = task
        self._name = name
        self._encoder: encoding.Encoder | None = None
        self._folder = _scratch(task, name)
        self._mds = mds.MdsWriter(self._folder, task.dtype, task.context_length, task.size_limit)
        self._rest = np.empty(0, task.dtype)
        self._num_bytes = 0
        self._rows: list[pa.Table] = []
        self._lengths: list[int] = []
        """Tokens of each document, so that they cover the stream without a gap."""
        self._repositories = RepositoryStream() if task.layout == "Repository" else None
        self._groups: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch with a ``text`` and a ``copy`` column and the columns of ``layouts.shards.PROVENANCE``."""
        import pyarrow as pa

        texts: list[str] = batch.column("text").to_pylist()
        if self._encoder is None:
            self._encoder = encoding.check_parity(
                _encoder(self._task.tokenizer_json), texts[:PARITY_DOCUMENTS]
            )
        start = 0
        for some in _slices(texts):
            encoded = encoding.encode_texts(self._encoder, some)
            if self._repositories is None:
                self._lengths.extend(len(ids) + 1 for ids in encoded)
                self._pack([piece for ids in encoded for piece in (ids, self._end)])
            else:
                self._add_files(batch.slice(start, len(some)), some, encoded)
            start += len(some)
        self._rows.append(pa.Table.from_batches([batch]).select(list(layout.PROVENANCE)))
        sizes = [len(text.encode()) for text in texts]
        self._num_bytes += sum(sizes)
        groups = pa.Table.from_batches([batch]).select(["source", "language", "copy"])
        self._groups.append(groups.append_column("size", pa.array(sizes)))

    def _add_files(
        self, batch: pa.RecordBatch, texts: Sequence[str], encoded: Sequence[encoding.Ids]
    ) -> None:
        """Lay files out behind what is open of their repository; what ends that belongs to the file before."""
        assert self._repositories is not None
        assert self._encoder is not None
        owners, paths = (batch.column(name).to_pylist() for name in ("repository", "path"))
        copies = batch.column("copy").to_pylist()
        sizes = [len(text) for text in texts]
        opens = [
            self._repositories.opens(owner or "", copy, size)
            for owner, copy, size in zip(owners, copies, sizes, strict=True)
        ]
        heads = [one_line(owner or "") if is_new else "" for owner, is_new in zip(owners, opens, strict=True)]
        named = encoding.encode_texts(self._encoder, heads)
        lines = encoding.encode_texts(self._encoder, [path_line(path or "") for path in paths])
        pieces: list[encoding.Ids] = []
        for is_new, name, line, ids in zip(opens, named, lines, encoded, strict=True):
            if is_new and self._lengths:
                pieces.append(self._end)
                self._lengths[-1] += 1
            opening = self._marks.opening(name.tolist()) if is_new else []
            head = np.array([*opening, *self._marks.file_opening(line.tolist())], np.uint32)
            pieces += [head, ids]
            self._lengths.append(len(head) + len(ids))
        self._pack(pieces)

    @functools.cached_property
    def _marks(self) -> FileMarks:
        return FileMarks.of(self._task.tokenizer_json)

    @functools.cached_property
    def _end(self) -> encoding.Ids:
        return np.array([names.SPECIAL_TOKENS.index(names.END_OF_TEXT)], np.uint32)

    def _pack(self, pieces: Sequence[encoding.Ids]) -> None:
        stream = np.concatenate([self._rest, *(piece.astype(self._task.dtype) for piece in pieces)])
        length = self._task.context_length
        whole = len(stream) // length * length
        self._rest = stream[whole:]
        if whole:
            self._mds.write(stream[:whole].reshape(-1, length))

    def _documents(self) -> pa.Table:
        """Return the rows of all documents with their place in the stream."""
        import pyarrow as pa

        counts = np.array(self._lengths, np.int64)
        first, start, tables = np.cumsum(counts) - counts, 0, []
        for table in self._rows:
            here = slice(start, start + table.num_rows)
            start = here.stop
            placed = table.append_column(layout.FIRST_TOKEN, pa.array(first[here]))
            tables.append(placed.append_column(layout.NUM_TOKENS, pa.array(counts[here])))
        return pa.concat_tables(tables)

    def _written(self) -> dict[Group, Written]:
        lengths = iter(self._lengths)
        return summed(
            (
                (source, language),
                Written(size, (length := next(lengths)), 0 if copy else length),
            )
            for table in self._groups
            for source, language, copy, size in zip(
                *(column.to_pylist() for column in table.columns), strict=True
            )
        )

    def finish(self) -> None:
        """Fill up the last sample with padding, which is never trained on, and make the partition visible."""
        import pyarrow.parquet as pq

        if self._repositories is not None:
            self._pack([self._end])
            self._lengths[-1] += 1
        num_tokens = sum(self._lengths)
        padding = -num_tokens % self._task.context_length
        pad = names.SPECIAL_TOKENS.index(names.FIM_PAD)
        if padding:
            filled = np.concatenate([self._rest, np.full(padding, pad, self._task.dtype)])
            self._mds.write(filled.reshape(1, -1))
        shards = self._mds.finish()
        rows = self._documents()
        pq.write_table(rows, self._folder / layout.DOCUMENTS_FILE, compression="zstd")
        state = {
            "documents": rows.num_rows,
            "bytes": self._num_bytes,
            "tokens": num_tokens,
            "padding": padding,
            "samples": sum(entry["samples"] for entry in shards),
            "groups": [[*group, *dataclasses.astuple(written)] for group, written in self._written().items()],
            "shards": shards,
            "files": _files(self._folder),
        }
        _publish(self._folder, storage.join(self._task.parts, self._name), state)

    def discard(self) -> None:
        """Remove what was written and not finished."""
        shutil.rmtree(self._folder, ignore_errors=True)


def groups_of(state: dict[str, Any]) -> Iterator[tuple[Group, Written]]:
    """Yield what a finished partition holds of each source and language."""
    for source, language, *numbers in state["groups"]:
        yield (source, language), Written(*numbers)


def _slices(texts: list[str]) -> Iterator[list[str]]:
    """Yield runs of texts of about 8 MiB: an engine holds text, bytes and ids of a whole batch at once."""
    run: list[str] = []
    size = 0
    for text in texts:
        run.append(text)
        size += len(text)
        if size >= ENCODE_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run


def _scratch(task: ShardTask, name: str) -> Path:
    """Return a fresh folder: beside the target when that is local, so that a rename publishes it."""
    parent = Path(task.work_dir) if storage.is_remote(task.parts) else storage.local_path(task.parts)
    folder = parent / f".{name}.{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


def _files(folder: Path) -> list[dict[str, Any]]:
    return [
        {"path": path.name, "size": path.stat().st_size, "xxh64": xxhash.xxh64_hexdigest(path.read_bytes())}
        for path in sorted(folder.iterdir())
    ]


def _publish(folder: Path, target: str, state: dict[str, Any]) -> None:
    if storage.is_remote(target):
        for entry in state["files"]:
            storage.copy_file(str(folder / entry["path"]), storage.join(target, entry["path"]))
        storage.write_json(storage.join(target, PART_FILE), state)
        shutil.rmtree(folder)
        return
    storage.write_json(str(folder / PART_FILE), state)
    storage.remove_tree(target)  # only ever an incomplete one: complete ones are not written again
    folder.rename(storage.local_path(target))


def finished(parts: str, name: str) -> dict[str, Any] | None:
    """Return the state of a partition that is complete and has its bytes, else None."""
    folder = storage.join(parts, name)
    if not storage.exists(storage.join(folder, PART_FILE)):
        return None
    try:
        state: dict[str, Any] = storage.read_json(storage.join(folder, PART_FILE))
        for entry in state["files"]:
            data = storage.read_bytes(storage.join(folder, entry["path"]))
            if (len(data), xxhash.xxh64_hexdigest(data)) != (entry["size"], entry["xxh64"]):
                return None
    except (UserError, KeyError, TypeError):
        return None  # torn: written anew
    return state


def write_partitions(
    batches: Iterator[pa.RecordBatch], task: ShardTask, folders: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Write the partitions whose documents come in ``batches``, sorted by their column ``part``; yield their numbers.

    ``folders`` gives the name of each partition's folder.
    """
    import pyarrow as pa

    writer, current = None, -1
    try:
        for batch in batches:
            for part, rows in _runs(batch):
                if part != current or writer is None:
                    if writer is not None:
                        writer.finish()
                    writer, current = PartitionWriter(task, folders[part]), part
                writer.add(rows)
        if writer is not None:
            writer.finish()
            writer = None
    finally:
        if writer is not None:
            writer.discard()
    yield pa.RecordBatch.from_pydict({"part": pa.array([] if current < 0 else [current], pa.int32())})


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    parts = batch.column("part").to_numpy(zero_copy_only=False)
    starts = (
        np.flatnonzero(np.concatenate([[True], parts[1:] != parts[:-1]])) if len(parts) else np.empty(0, int)
    )
    for start, end in zip(starts, [*starts[1:], len(parts)], strict=True):
        yield int(parts[start]), batch.slice(start, end - start)


def state_json(state: dict[str, Any]) -> dict[str, Any]:
    """Return what the artifact's ``documents.json`` says of a partition."""
    return {key: state[key] for key in ("documents", "bytes", "tokens", "padding", "samples")}
