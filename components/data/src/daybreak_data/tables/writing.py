"""Writing the Parquet files of the ingest and documents artifacts: equal bytes for equal rows.

A part's bytes depend on its rows alone: fixed row groups, fixed codec, no time, no host, no batch borders.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from daybreak_data.tables.schemas import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 2000
GROUP_BYTES = 32 << 20
CODEC = "zstd"
CODEC_LEVEL = 3


class PartWriter:
    """Writes one Parquet file row by row; it exists, with its schema, even when no row comes."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(
            path, self._schema, compression=CODEC, compression_level=CODEC_LEVEL, store_schema=False
        )
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self.num_rows = 0

    def add(self, row: Mapping[str, Any], size: int = 0) -> None:
        """Add a row; ``size`` is that of its text in bytes, so that no row group outgrows the memory."""
        self._rows.append(row)
        self._bytes += size
        self.num_rows += 1
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add a batch of another part as a row group."""
        self._flush()
        self._writer.write_batch(batch.select(self._schema.names).cast(self._schema))
        self.num_rows += batch.num_rows

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
