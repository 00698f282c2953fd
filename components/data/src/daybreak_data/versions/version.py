"""One version of a data set as it is compared: a documents artifact, and the shards made of it if there are any.

Owns which columns are read, and how in bounded memory: ids as hashes, a share of them at a time. Reads no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts import shards as layout
from daybreak_data.tables import reading
from daybreak_data.tokenizer.sample import Hashes, Longs, scrambled
from daybreak_data.versions.pairing import Keys

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_PASS = 4_000_000
"""Documents whose keys are held at once, about 24 bytes each; more than that and the ids are read again."""
KeyFilter = Callable[[Longs, Hashes], npt.NDArray[np.bool_]]
KEYS = ["path_id", "document_id", "size_bytes", "num_redactions"]


@dataclass(frozen=True)
class Version:
    """A documents artifact, and the shards that count its tokens (None: nobody did)."""

    documents: str
    manifest: artifacts.Manifest
    shards: str | None
    shard_manifest: artifacts.Manifest | None

    def files(self, table: str) -> list[str]:
        """Return the files of a table of the documents artifact."""
        return reading.files_of(self.documents, self.manifest, table)

    @property
    def tokenizer(self) -> str:
        """Digest of the tokenizer that tokens are counted by; empty without shards."""
        return "" if self.shard_manifest is None else self.shard_manifest.inputs.get("tokenizer", "")


def open_version(documents: str, shards: str | None = None) -> Version:
    """Return the version of these artifacts; one of another step is a UserError."""
    manifest = artifacts.load(documents)
    if manifest.step != names.STEP_DOCUMENTS:
        raise UserError(f"{documents}: is an artifact of the step {manifest.step}, name one of documents")
    return Version(documents, manifest, shards, None if shards is None else artifacts.load(shards))


def count_rows(version: Version) -> int:
    """Return the number of documents."""
    return sum(batch.num_rows for batch in reading.scan(version.files(reading.DOCUMENTS), ["path_id"]))


def num_passes(num_rows: int) -> int:
    """Return in how many shares the keys of so many documents are compared.

    >>> [num_passes(rows) for rows in (0, 4_000_000, 4_000_001)]
    [1, 1, 2]
    """
    return max(1, -(-num_rows // ROWS_A_PASS))


def keys_by_place(version: Version, share: int, shares: int) -> Keys:
    """Return the keys of those documents whose place falls in a share."""
    return _keys(version, lambda places, _: chosen(places, share, shares))


def keys_by_content(version: Version, share: int, shares: int) -> Keys:
    """Return the keys of those documents whose content falls in a share."""
    return _keys(version, lambda _, contents: contents % np.uint64(shares) == np.uint64(share))


def chosen(places: Longs, share: int, shares: int) -> npt.NDArray[np.bool_]:
    """Tell for each place whether it falls in a share."""
    return np.asarray(places.view(np.uint64) % np.uint64(shares) == np.uint64(share))


def _keys(version: Version, wanted: KeyFilter) -> Keys:
    rows, places, contents = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    begin = 0
    for batch in reading.scan(version.files(reading.DOCUMENTS), KEYS):
        place, content = longs(batch, "path_id"), contents_of(batch)
        keep = wanted(place, content)
        rows.append(begin + np.flatnonzero(keep))
        places.append(place[keep])
        contents.append(content[keep])
        begin += batch.num_rows
    return Keys(np.concatenate(rows), np.concatenate(places), np.concatenate(contents))


def contents_of(batch: pa.RecordBatch) -> Hashes:
    """Return a hash of each document's text: of the original one, and of what was replaced in it.

    ``document_id`` is of the text before personal data was replaced; size and number of replacements tell apart what
    other rules made of it.
    """
    short = "".join(value[:16] for value in batch.column("document_id").to_pylist())
    ids = np.frombuffer(bytes.fromhex(short), ">u8").astype(np.uint64)
    return ids ^ scrambled(longs(batch, "size_bytes"), 2) ^ scrambled(longs(batch, "num_redactions"), 3)


def longs(batch: pa.RecordBatch, column: str) -> Longs:
    """Return a column of whole numbers."""
    return np.asarray(batch.column(column).to_numpy(zero_copy_only=False), np.int64)


def token_counts(version: Version) -> Iterator[tuple[Longs, Longs]]:
    """Yield places and lengths in tokens of the documents in the shards, held-out ones too."""
    if version.shards is None or version.shard_manifest is None:
        return
    listed = [entry.path for entry in version.shard_manifest.files]
    files = [
        storage.join(version.shards, path) for path in listed if path.endswith(f"/{layout.DOCUMENTS_FILE}")
    ]
    for batch in reading.scan(files, ["path_id", layout.NUM_TOKENS]):
        yield longs(batch, "path_id"), longs(batch, layout.NUM_TOKENS)
