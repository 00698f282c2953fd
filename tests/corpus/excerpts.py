"""What of a file a person must see to judge a verdict: the place it is about, with a few lines around it."""

from __future__ import annotations

import difflib
import re

AROUND = 4
MAX_LINES = 14
MAX_COLUMNS = 160
_LINE = re.compile(r"\bline (\d+)")


def excerpt(text: str, detail: str) -> str:
    """Return the lines around the line that the detail names; else some from its second quarter, behind any header."""
    lines = text.splitlines()
    found = _LINE.search(detail)
    first = (
        max(0, int(found[1]) - 1 - AROUND) if found else max(0, min(len(lines) // 4, len(lines) - MAX_LINES))
    )
    shown = lines[first : first + (2 * AROUND + 1 if found else MAX_LINES)]
    return "\n".join(f"{first + number:>6} | {line[:MAX_COLUMNS]}" for number, line in enumerate(shown, 1))


def difference(kept: str, dropped: str) -> str:
    """Return the first lines in which a dropped file differs from the file that is kept for it."""
    lines = difflib.unified_diff(kept.splitlines(), dropped.splitlines(), "kept", "dropped", lineterm="", n=1)
    shown = [line[:MAX_COLUMNS] for _, line in zip(range(2 * MAX_LINES), lines, strict=False)]
    return "\n".join(f"       | {line}" for line in shown) or "       | (the same text)"
