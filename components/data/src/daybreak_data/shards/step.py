"""The shards step: documents and a tokenizer to packed token samples, training and held-out apart.

Owns the order of the work (plan, write what is missing, join) and the artifact's layout; ``plan`` decides,
``writer`` writes one partition. Killed at any moment, the finished partitions are used again.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts import shards as layout
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.data import MixtureRow
from daybreak_contracts.steps import ShardArgs, ShardResult
from daybreak_data.shards import mds, writer
from daybreak_data.shards.mixture import Mixture
from daybreak_data.shards.plan import NO_MIXTURE, Documents, ShardPlan, make_plan
from daybreak_data.shards.shares import Group, Written, realised, summed
from daybreak_data.spark.session import open_session, watched
from daybreak_data.tables import reading
from daybreak_data.tokenizer.step import TOKENIZER_FILE, vocabulary_size
from daybreak_model.repository_context import ALONE, Layout

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CODE_VERSION = 1
SMALLEST_CONTEXT = 2
SMALL_BYTES = 64 << 20
"""Text that this process writes in less time than Spark needs to start."""
ORDER: Mapping[Layout, tuple[str, ...]] = {
    "File": ("part", "place", "path_id"),
    "Repository": ("part", "place", "repository", "copy", "path", "path_id"),
}
"""What the rows of a partition are sorted by."""
KNOWN_BEFORE = ("repository", "source", "language", "path_id")
COLUMNS = [*layout.PROVENANCE, "text"]
SORTED = "part int, place long, copy int, path_id long, " + ", ".join(
    f"{name} string" for name in COLUMNS[1:]
)

log = logging.getLogger(__name__)


def run_shards(args: ShardArgs, progress: Progress) -> ShardResult:
    """Write the MDS datasets. Fewer than two documents, or a context below two tokens, is a UserError."""
    if args.context_length < SMALLEST_CONTEXT:
        raise UserError(f"contextLength {args.context_length}: at least {SMALLEST_CONTEXT} tokens are needed")
    documents, tokenizer = artifacts.load(args.documents), artifacts.load(args.tokenizer)
    digest = artifacts.digest_of(
        {
            "step": names.STEP_SHARDS,
            "code": CODE_VERSION,
            "context_length": args.context_length,
            "held_out_share": args.held_out_share,
            "seed": args.seed,
            "documents": documents.digest,
            "tokenizer": tokenizer.digest,
            **({"mixture": _said(args.mixture)} if args.mixture else {}),
            **_layout(args.layout),
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_SHARDS, digest)
    parts = storage.join(args.output, names.STEP_SHARDS, f".parts-{digest[:16]}")

    def write(staging: Path) -> dict[str, Any]:
        artifacts.verify(args.documents, documents)
        artifacts.verify(args.tokenizer, tokenizer)
        return _write(args, documents, parts, staging, progress)

    manifest, cached = artifacts.produce(
        uri,
        step=names.STEP_SHARDS,
        digest=digest,
        inputs={"documents": documents.digest, "tokenizer": tokenizer.digest},
        work_dir=args.work_dir,
        write=write,
    )
    storage.remove_tree(parts)
    return ShardResult.model_validate({**manifest.result, "uri": uri, "digest": digest, "cached": cached})


def _said(rows: tuple[MixtureRow, ...]) -> list[dict[str, Any]]:
    """Return a mixture without the order of its rows."""
    return sorted((row.model_dump(mode="json", exclude_none=True) for row in rows), key=str)


def _write(
    args: ShardArgs, documents: artifacts.Manifest, parts: str, staging: Path, progress: Progress
) -> dict[str, Any]:
    files = reading.files_of(args.documents, documents, reading.DOCUMENTS)
    progress.report("planning")
    plan = read_plan(files, args.held_out_share, args.seed, Mixture(args.mixture), args.layout)
    if plan.split.note:
        log.warning("%s", plan.split.note)
    tokenizer_json = storage.read_bytes(storage.join(args.tokenizer, TOKENIZER_FILE)).decode()
    dtype = "uint16" if vocabulary_size(tokenizer_json) <= 1 << 16 else "uint32"
    work_dir = Path(args.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    job = writer.ShardTask(
        tokenizer_json, dtype, args.context_length, parts, str(work_dir.absolute()), layout=args.layout
    )
    missing = [
        part for part in range(plan.num_partitions) if writer.finished(parts, folder_of(plan, part)) is None
    ]
    if missing and not args.executors and plan.num_bytes <= SMALL_BYTES:
        write_missing_here(files, plan, job, missing, progress)
    elif missing:
        with open_session("shards", args.cores, args.work_dir, args.executors) as session:
            write_missing(session, files, plan, job, missing, progress)
    return join(plan, job, staging)


def folder_of(plan: ShardPlan, part: int) -> str:
    """Return the folder of a partition below the folder of finished ones."""
    return "-".join(plan.name(part))


def read_plan(
    files: list[str], share: float, seed: int, mixture: Mixture = NO_MIXTURE, layout: Layout = ALONE
) -> ShardPlan:
    """Return the plan for the documents in these files."""
    repositories: list[str] = []
    sources: list[str] = []
    languages: list[str] = []
    path_ids, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in reading.scan(files, [*KNOWN_BEFORE, "size_bytes"]):
        for column, values in enumerate((repositories, sources, languages)):
            values.extend(name and sys.intern(name) for name in batch.column(column).to_pylist())
        path_ids.append(batch.column(3).to_numpy(zero_copy_only=False))
        sizes.append(batch.column(4).to_numpy(zero_copy_only=False))
    documents = Documents(repositories, sources, languages, np.concatenate(path_ids))
    return make_plan(documents, np.concatenate(sizes), share, seed, mixture=mixture, layout=layout)


def write_missing(
    session: SparkSession,
    files: list[str],
    plan: ShardPlan,
    job: writer.ShardTask,
    missing: list[int],
    progress: Progress,
) -> None:
    """Write these partitions, one Spark task each, sorted by a key that only seed and path id make."""
    folders = [folder_of(plan, part) for part in range(plan.num_partitions)]

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return writer.write_partitions(batches, job, folders)

    rows = placed(session, files, plan, frozenset(missing))
    by_part = rows.repartitionById(plan.num_partitions, rows.part)
    ordered = by_part.sortWithinPartitions(*ORDER[plan.layout])
    with watched(session, progress, "writing shards"):
        ordered.mapInArrow(write, "part int").collect()


def write_missing_here(
    files: list[str], plan: ShardPlan, job: writer.ShardTask, missing: list[int], progress: Progress
) -> None:
    """Write these partitions in this process, one after another: the bytes that Spark's tasks write."""
    import pyarrow as pa

    folders = [folder_of(plan, part) for part in range(plan.num_partitions)]
    order = [(name, "ascending") for name in ORDER[plan.layout]]
    for done, part in enumerate(missing):
        progress.report("writing shards", done, len(missing))
        rows = [placed_rows(plan, batch, frozenset([part])) for batch in reading.scan(files, COLUMNS)]
        batches = pa.Table.from_batches(rows).sort_by(order).to_batches(reading.BATCH_ROWS)
        for _ in writer.write_partitions(iter(batches), job, folders):
            pass


def placed(session: SparkSession, files: list[str], plan: ShardPlan, wanted: frozenset[int]) -> DataFrame:
    """Return the documents of the wanted partitions, a row for each copy, with its partition and its place in it."""

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        return placed_rows(plan, batch, wanted)

    return reading.read_through(session, files, COLUMNS, place, SORTED)


def placed_rows(plan: ShardPlan, batch: pa.RecordBatch, wanted: frozenset[int]) -> pa.RecordBatch:
    """Return the rows of the wanted partitions with ``part``, ``place`` and ``copy`` in front, a row for each copy."""
    import pyarrow as pa

    repositories, sources, languages = (batch.column(name).to_pylist() for name in KNOWN_BEFORE[:-1])
    path_ids = batch.column("path_id").to_numpy(zero_copy_only=False)
    found = plan.place(Documents(repositories, sources, languages, path_ids))
    here = np.isin(found.parts, list(wanted))
    keys = [pa.array(values[here]) for values in (found.parts, found.places, found.copies)]
    chosen = batch.take(pa.array(found.rows[here]))
    return pa.RecordBatch.from_arrays(
        [*keys, *chosen.columns], ["part", "place", "copy", *batch.schema.names]
    )


def join(plan: ShardPlan, job: writer.ShardTask, staging: Path) -> dict[str, Any]:
    """Lay the finished partitions out as the artifact, with one index a side, and return the step's result."""
    groups: list[tuple[Group, Written]] = []
    told: dict[str, list[dict[str, Any]]] = {layout.TRAIN: [], layout.HELD_OUT: []}
    indexes: dict[str, list[dict[str, Any]]] = {layout.TRAIN: [], layout.HELD_OUT: []}
    for part in range(plan.num_partitions):
        side, name = plan.name(part)
        state = writer.finished(job.parts, folder_of(plan, part))
        if state is None:
            continue  # the hash gave it no document; the sum below tells if one was lost
        _take(storage.join(job.parts, folder_of(plan, part)), state, staging / side / name)
        told[side].append({"partition": name, **writer.state_json(state)})
        indexes[side] += mds.moved(state["shards"], name)
        groups += writer.groups_of(state) if side == layout.TRAIN else ()
    written = sum(entry["documents"] for side in told.values() for entry in side)
    if written != plan.num_documents:
        raise RuntimeError(f"{written} of {plan.num_documents} documents are in the shards")
    for side, shards in indexes.items():
        (staging / side / mds.INDEX_FILE).write_bytes(mds.index_bytes(shards))
    split = {"unit": plan.split.unit, "note": plan.split.note}
    mixed = _mixed(plan, summed(groups))
    description = {
        "contextLength": job.context_length,
        "dtype": job.dtype,
        "split": split,
        **_layout(plan.layout),
    }
    description |= told
    if mixed:
        description["mixture"] = mixed["mixture"]
    storage.write_json(str(staging / layout.DESCRIPTION_FILE), description)
    return {
        "dtype": job.dtype,
        **_layout(plan.layout),
        **{
            f"num_{side}_{what}": sum(entry[what] for entry in told[side])
            for side in told
            for what in ("tokens", "samples")
        },
        **mixed,
    }


def _layout(layout: Layout) -> dict[str, str]:
    """Return the layout where it is not the one that was there first: what is made by that stays what it was."""
    return {} if layout == "File" else {"layout": layout}


def _mixed(plan: ShardPlan, written: Mapping[Group, Written]) -> dict[str, Any]:
    """Return what a mixture came to; nothing where there is none."""
    if not plan.mixture.rows:
        return {}
    shares = realised(plan.mixture, plan.available, written)
    return {
        "num_unique_train_tokens": sum(group.unique_tokens for group in written.values()),
        "mixture": [share.model_dump(mode="json") for share in shares],
    }


def _take(source: str, state: dict[str, Any], target: Path) -> None:
    """Bring a finished partition's files into the artifact; on one disk without copying them."""
    target.mkdir(parents=True)
    for entry in state["files"]:
        location = storage.join(source, entry["path"])
        if storage.is_remote(source):
            storage.copy_file(location, str(target / entry["path"]))
        else:
            _link(storage.local_path(location), target / entry["path"])


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
