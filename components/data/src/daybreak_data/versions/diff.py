"""What ``daybreak diff`` finds: two versions in, counts and examples out, as JSON."""

from __future__ import annotations

from typing import Any

from daybreak_data.versions.compare import compare
from daybreak_data.versions.counts import count, described
from daybreak_data.versions.examples import examples
from daybreak_data.versions.version import Version


def diff(before: Version, after: Version, seed: int = 0) -> dict[str, Any]:
    """Return what is in the second version and not in the first, the other way round, changed and moved."""
    out, into = compare(before, after)
    return {
        "before": _named(before),
        "after": _named(after),
        **described(count(out), count(into)),
        "notes": notes(before, after),
        "examples": examples(out, into, seed),
    }


def _named(version: Version) -> dict[str, str]:
    return {"documents": version.documents, "digest": version.manifest.digest, "shards": version.shards or ""}


def notes(before: Version, after: Version) -> list[str]:
    """Return what keeps the numbers from being compared."""
    found = [
        f"{version.documents} has no shards here: its tokens are not counted"
        for version in (before, after)
        if version.shards is None
    ]
    if before.tokenizer and after.tokenizer and before.tokenizer != after.tokenizer:
        found.append(
            "the two were cut into tokens by different tokenizers: compare documents and bytes, not tokens"
        )
    return found
