"""The corpus of the data benchmarks: code of this environment, the same files in the same order every time."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

SUFFIXES = frozenset(
    {".py", ".h", ".hpp", ".c", ".cpp", ".js", ".ts", ".json", ".yaml", ".toml", ".md", ".css"}
)
MAX_FILE_BYTES = 2_000_000


def environment_code(num_bytes: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return (path, text) of a seeded sample of about ``num_bytes`` bytes; what is no UTF-8 is left out."""
    roots = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib")}
    paths = sorted({p for root in roots for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file()})
    random.Random(seed).shuffle(paths)
    corpus: list[tuple[str, str]] = []
    total = 0
    for path in paths:
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else b"\xff"
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        corpus.append((str(path), text))
        total += len(data)
        if total >= num_bytes:
            break
    return corpus
