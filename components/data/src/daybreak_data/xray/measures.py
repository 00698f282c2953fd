"""What the x-ray measures of each file: sizes, lines, kinds of characters, comments. Vectorised over Arrow batches.

Works on UTF-8 bytes and never makes a Python string. Owns the measures, not how they are summed up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

COLUMNS = [
    "path_id",
    "source",
    "repository",
    "language",
    "licence",
    "size_bytes",
    "quality",
    "num_redactions",
    "text",
]
COUNTS = (
    "characters",
    "lines",
    "blank_lines",
    "comment_lines",
    "longest_line",
    "letters",
    "digits",
    "spaces",
)
RATIO_STEPS = 20
LENGTHS = ("bytes", "lines", "longest_line", "mean_line")
RATIOS = ("letters_share", "digits_share", "spaces_share", "comments_share")
KEPT = [name for name in COLUMNS if name != "text"]
BINS = tuple(f"bin_{measure}" for measure in (*LENGTHS, *RATIOS))
SCHEMA = ", ".join(
    [
        f"{name} {'string' if name in ('source', 'repository', 'language', 'licence') else 'long'}"
        for name in (*KEPT, *COUNTS, *BINS)
    ]
)

# The first characters of a comment line. Documentation strings and lines inside a block without a star are not seen.
HASH = (
    *("python", "jupyter-notebook", "ruby", "shell", "yaml", "toml", "php", "perl", "r", "julia", "elixir"),
    *("makefile", "cmake", "dockerfile", "nix", "hcl", "powershell", "tcl", "awk"),
)
SLASHES = (
    *("javascript", "typescript", "java", "go", "c", "cpp", "rust", "csharp", "php", "css", "scss", "less"),
    *(
        "kotlin",
        "scala",
        "swift",
        "objective-c",
        "objective-c++",
        "dart",
        "groovy",
        "protocol-buffer",
        "cuda",
        "zig",
    ),
)
DASHES = ("sql", "lua", "haskell", "elm", "ada")
ANGLE = ("html", "xml", "markdown", "php", "vue", "svelte", "svg")


def measure(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the counts of each document of a batch with the columns ``COLUMNS``."""
    import pyarrow as pa

    data, offsets = buffers(batch.column("text"))
    counts = count(data, offsets, batch.column("language").to_pylist())
    counts |= bins(counts | {"bytes": np.diff(offsets)})
    columns = {name: batch.column(name) for name in KEPT}
    columns["num_redactions"] = columns["num_redactions"].cast(pa.int64())
    hundredths = np.rint(columns["quality"].to_numpy(zero_copy_only=False) * 100)
    columns["quality"] = pa.array(
        hundredths.astype(np.int64)
    )  # whole numbers: sums are the same in any order
    columns |= {name: pa.array(counts[name]) for name in (*COUNTS, *BINS)}
    return pa.RecordBatch.from_pydict(columns)


def length_edges() -> Longs:
    """Return where bins of lengths begin: 0, 1, 2, 3, 5, 7, 10, 15, 20, 30, ... six for each factor of ten."""
    decades = [10**power for power in range(10)]
    steps = {decade * factor // 10 for decade in decades for factor in (10, 15, 20, 30, 50, 70)}
    return np.array([0, *sorted(steps)], np.int64)


def bin_edges(measure: str, place: int) -> tuple[float, float]:
    """Return the lowest value in a bin and the first above it."""
    if measure in RATIOS:
        return place / RATIO_STEPS, (place + 1) / RATIO_STEPS
    edges = length_edges()
    return float(edges[place]), float(edges[place + 1])


def bins(counts: dict[str, Longs]) -> dict[str, Longs]:
    """Return the bin of each document for every measure. Whole numbers only: the same on every machine."""
    edges = length_edges()
    lengths = {name: counts[name] for name in ("bytes", "lines", "longest_line")}
    lengths["mean_line"] = counts["bytes"] // np.maximum(counts["lines"], 1)
    whole = {"comments_share": counts["lines"]}
    parts = {
        "letters_share": "letters",
        "digits_share": "digits",
        "spaces_share": "spaces",
        "comments_share": "comment_lines",
    }
    found = {
        f"bin_{name}": np.searchsorted(edges, value, side="right") - 1 for name, value in lengths.items()
    }
    for name, part in parts.items():
        total = np.maximum(whole.get(name, counts["characters"]), 1)
        found[f"bin_{name}"] = np.minimum(counts[part] * RATIO_STEPS // total, RATIO_STEPS - 1)
    return found


def buffers(texts: pa.StringArray) -> tuple[Octets, Longs]:
    """Return the joined UTF-8 bytes of the texts and where each begins, and the end."""
    import pyarrow as pa

    texts = texts.cast(pa.large_string())
    stored, raw = texts.buffers()[1], texts.buffers()[2]
    offsets = np.frombuffer(stored, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(raw, np.uint8) if raw is not None and raw.size else np.empty(0, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def count(data: Octets, offsets: Longs, languages: list[str]) -> dict[str, Longs]:
    """Return every count of ``COUNTS`` for each document.

    A letter is an ASCII letter or any character beyond ASCII; lines are ended by a line feed, the last one by the
    end of the text; a line's length is in bytes.
    """
    white = (data == 0x20) | ((data >= 0x09) & (data <= 0x0D))
    lower = data | 0x20
    letters = ((lower >= 0x61) & (lower <= 0x7A)) | (data >= 0xC0)
    found = {
        "characters": _per_document((data & 0xC0) != 0x80, offsets),
        "letters": _per_document(letters, offsets),
        "digits": _per_document((data >= 0x30) & (data <= 0x39), offsets),
        "spaces": _per_document(white, offsets),
    }
    return {**found, **_count_lines(data, offsets, white, languages)}


def _per_document(mask: Bools, offsets: Longs) -> Longs:
    before = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
    return np.asarray(before[offsets[1:]] - before[offsets[:-1]])


def _count_lines(data: Octets, offsets: Longs, white: Bools, languages: list[str]) -> dict[str, Longs]:
    feeds = np.flatnonzero(data == 0x0A)
    behind = feeds + 1
    filled = np.diff(offsets) > 0
    starts = np.unique(
        np.concatenate([offsets[:-1][filled], behind[~np.isin(behind, offsets, assume_unique=False)]])
    )
    owner = np.searchsorted(offsets, starts, side="right") - 1
    next_feed = np.append(feeds, len(data))[np.searchsorted(feeds, starts)]
    ends = np.minimum(next_feed, offsets[owner + 1])
    dark = np.append(np.flatnonzero(~white), len(data))
    first = dark[np.searchsorted(dark, starts)] if len(starts) else starts
    blank = first >= ends
    comment = ~blank & _comments(data, first, ends, owner, languages)
    number = len(offsets) - 1
    longest = np.zeros(number, np.int64)
    np.maximum.at(longest, owner, ends - starts)
    return {
        "lines": np.bincount(owner, minlength=number),
        "blank_lines": np.bincount(owner[blank], minlength=number),
        "comment_lines": np.bincount(owner[comment], minlength=number),
        "longest_line": longest,
    }


def _comments(data: Octets, first: Longs, ends: Longs, owner: Longs, languages: list[str]) -> Bools:
    """Tell for each line whether its first character that is not blank opens a comment in its file's language."""
    padded = np.concatenate([data, np.zeros(2, np.uint8)])
    one = padded[first]
    two = np.where(first + 1 < ends, padded[first + 1], 0)

    def of(family: tuple[str, ...]) -> Bools:
        return np.array([language in family for language in languages], bool)[owner]

    slash, star = one == ord("/"), one == ord("*")
    found = of(HASH) & (one == ord("#"))
    found |= of(SLASHES) & ((slash & ((two == ord("/")) | (two == ord("*")))) | star)
    found |= of(DASHES) & (one == ord("-")) & (two == ord("-"))
    found |= of(ANGLE) & (one == ord("<")) & (two == ord("!"))
    return np.asarray(found)
