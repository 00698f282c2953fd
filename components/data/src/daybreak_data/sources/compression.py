"""Packed streams: gzip, bzip2, xz and zstd, told by their first bytes and unpacked while they are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import Any, BinaryIO, cast

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
TORN_STREAM = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What the unpackers raise when a stream is cut or damaged."""


def packing_of(head: bytes) -> str:
    """Return gzip, bzip2, xz or zstd by a file's first bytes; empty when it is none of them."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def decompressed(file: BinaryIO, kind: str) -> BinaryIO:
    """Return a stream of what is inside a gzip, bzip2, xz or zstd file; any other kind as it is."""
    openers: dict[str, Any] = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}
    if kind in openers:
        opened = openers[kind](fileobj=file) if kind == "gzip" else openers[kind](file)
        return cast(BinaryIO, opened)
    if kind == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    return file
