"""Counter-based randomness: a draw depends on seed, purpose and counter alone, never on what was drawn before.

So the bytes of a sample do not depend on workers, ranks or resumes.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def raw_draws(seed: int, purpose: str, counter: tuple[int, int, int], count: int) -> NDArray[np.uint64]:
    """Return ``count`` integers below 2^64 that depend on the arguments alone.

    Philox 4x64 (Salmon et al. 2011) keyed by BLAKE2b of seed and purpose; numpy promises its raw stream for good.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
    words = np.array([0, *counter], dtype=np.uint64)  # the lowest word counts the blocks of one caller
    return np.random.Philox(counter=words, key=key).random_raw(count)


def draws(seed: int, purpose: str, counter: tuple[int, int, int], count: int = 4) -> list[int]:
    """Return the first of ``raw_draws`` as Python's integers, which do not overflow."""
    return [int(raw) for raw in raw_draws(seed, purpose, counter, count)]


def below(raw: int, bound: int) -> int:
    """Map a 64-bit draw to 0 .. bound - 1 (Lemire's multiplication; bias below bound / 2^64)."""
    return (raw * bound) >> 64
