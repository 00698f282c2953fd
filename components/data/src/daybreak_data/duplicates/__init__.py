"""Duplicates: files that are equal, and files that nearly are.

Owns which files form a cluster and which one of them is kept. Does not read or write artifacts; the caller
persists signatures and drops what is not kept.
"""

from __future__ import annotations

from daybreak_data.duplicates.clusters import CLUSTER_COLUMNS, find_exact_duplicates, find_near_duplicates
from daybreak_data.duplicates.signatures import (
    CODE_VERSION,
    DEFAULT_THRESHOLD,
    MIN_TOKENS,
    SIGNATURE_COLUMNS,
    optimal_bands,
    signature_batches,
)

__all__ = [
    "CLUSTER_COLUMNS",
    "CODE_VERSION",
    "DEFAULT_THRESHOLD",
    "MIN_TOKENS",
    "SIGNATURE_COLUMNS",
    "find_exact_duplicates",
    "find_near_duplicates",
    "optimal_bands",
    "signature_batches",
]
