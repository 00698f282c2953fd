"""What a file is that holds no code of its own, by its name or its first bytes: rows, archives, pointers. Pure."""

from __future__ import annotations

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""How the file begins that git-lfs leaves in a repository in the place of a large one."""
PACKED = (".gz", ".zst", ".bz2", ".xz")
ROW_FILES = (".parquet", ".pq", *[f".{kind}{packed}" for kind in ("jsonl", "ndjson") for packed in PACKED])
LINE_FILES = (".jsonl", ".ndjson")
"""Text, and JSON to everybody; only one that is too large for a source file is taken for rows."""
ARCHIVES = (".tar", *[f".tar{packed}" for packed in PACKED], ".tgz", ".zip", ".whl", ".jar", ".deb")


def is_pointer(data: bytes) -> bool:
    """Tell whether the content lies outside the repository."""
    return data.startswith(LFS_POINTER)


def remedy_for(path: str) -> str:
    """Return which source reads what is inside a file, by its name; empty for a file that is a source file itself."""
    name = path.lower()
    if name.endswith((*ROW_FILES, *LINE_FILES)):
        return "rows of a data set: name it as a source of kind jsonl or parquet"
    if name.endswith(ARCHIVES):
        return "files in an archive: name it as a source of kind archives"
    return ""


def reason_and_detail(path: str, reason: str) -> tuple[str, str]:
    """Say of a file that is no text what it is where its name tells: rows and archives have their own sources."""
    remedy = remedy_for(path)
    if reason == "empty" or not remedy:
        return reason, ""
    return ("archive" if path.lower().endswith(ARCHIVES) else "data-set"), remedy
