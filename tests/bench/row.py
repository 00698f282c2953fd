"""One measured line of docs/benchmarks.md: ours beside a peer, on the same machine in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure, its unit, the target of the design and what the peer reached."""

    what: str
    ours: float
    unit: str
    target: str
    peer: str = ""
    """Name and version of the peer; empty where there is none."""
    peer_figure: float | None = None
    note: str = ""
