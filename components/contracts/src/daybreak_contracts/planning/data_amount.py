"""How far so much data goes: epochs, what is left out of each, what repeated tokens are worth, which size it carries.

Owns the thresholds and their words. Counts no data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from daybreak_contracts.planning.recipe import TOKENS_PER_PARAMETER
from daybreak_contracts.planning.sizes import SIZES, num_parameters

GOOD_EPOCHS = 4
"""Up to so many, repeated tokens are about as good as new ones (Muennighoff et al. 2023, arXiv 2305.16264)."""
USEFUL_EPOCHS = 16
"""Beyond so many they add next to nothing (the same, section 5)."""
REPETITION_DECAY = 15.39
"""``R*_D`` of the same paper: repetitions after which a token's worth has fallen by 1 - 1/e."""


@dataclass(frozen=True)
class DataAmount:
    """What there is to train on in one pass."""

    tokens: int
    samples: int
    """Of one context length each."""
    origin: str
    """How it is known, in words."""
    unique_tokens: int | None = None
    """Those that are no repetition, where a mixture repeats some; None: all of them."""

    @property
    def unique(self) -> int:
        """Tokens without the repetitions that a mixture makes."""
        return self.tokens if self.unique_tokens is None else self.unique_tokens


@dataclass(frozen=True)
class DataUse:
    """What a training makes of its data."""

    tokens: int
    """Unique ones, of the data."""
    samples: int
    epochs: float | None
    """How often a unique token is trained on, on average; None as long as nobody knows how long training lasts."""
    left_out: int
    """Samples of each pass that fill no whole batch and are not trained on in it."""
    worth: float | None
    """How many new tokens all that is trained on is worth."""
    carries: str
    """Largest named size that this data trains well; empty when it is too little for any."""
    tokens_per_pass: int | None = None
    """Tokens of one pass, where a mixture repeats some; None: ``tokens``."""


def use_of(
    data: DataAmount, trained_tokens: float | None, samples_per_step: int, vocabulary_size: int
) -> DataUse:
    """Return what training on so many tokens, repeated or not, makes of the data."""
    per_epoch = max(1, data.samples // samples_per_step) * samples_per_step
    used = min(data.unique, round(data.unique * per_epoch / max(1, data.samples)))
    epochs = None if trained_tokens is None else trained_tokens / max(1, used)
    return DataUse(
        tokens=data.unique,
        samples=data.samples,
        epochs=None if epochs is None else round(epochs, 3),
        left_out=max(0, data.samples - per_epoch),
        worth=None if epochs is None else worth(used, epochs),
        carries=carried_size(data.unique, vocabulary_size),
        tokens_per_pass=data.unique_tokens and data.tokens,
    )


def worth(tokens: float, epochs: float) -> float:
    """Return how many new tokens so many epochs over ``tokens`` are worth: ``U + U R* (1 - exp(-R / R*))``.

    >>> round(worth(100, 1)), round(worth(100, 4)), round(worth(100, 40)), round(worth(100, 1000))
    (100, 373, 1517, 1639)
    """
    repeated = max(0.0, epochs - 1.0)
    fresh = min(epochs, 1.0) * tokens
    return fresh + tokens * REPETITION_DECAY * (1.0 - math.exp(-repeated / REPETITION_DECAY))


def carried_size(tokens: int, vocabulary_size: int) -> str:
    """Return the largest named size that gets 20 tokens a parameter within four epochs; empty when none does.

    >>> carried_size(1_400_000, 4096), carried_size(40_000_000, 32_768), carried_size(1, 4096)
    ('', '1m', '')
    """
    enough = [
        size
        for size, dims in SIZES.items()
        if TOKENS_PER_PARAMETER * num_parameters(dims, vocabulary_size) <= GOOD_EPOCHS * tokens
    ]
    return enough[-1] if enough else ""


def repeats_too_often(epochs: float) -> bool:
    """Tell whether more of the same data would teach less than new data; lengths are rounded up to whole steps."""
    return epochs > 1.05 * GOOD_EPOCHS


def advice(use: DataUse, size: str) -> str | None:
    """Return the warning of a training that repeats its data too often; None when it does not."""
    if use.epochs is None or not repeats_too_often(use.epochs):
        return None
    carries = (
        f"this much data carries size {use.carries}" if use.carries else "this is too little for any size"
    )
    loud = (
        f"beyond {USEFUL_EPOCHS} epochs next to nothing is learnt"
        if use.epochs > USEFUL_EPOCHS
        else f"up to {GOOD_EPOCHS} epochs are about as good as new data, more are not"
    )
    return (
        f"{use.tokens:,} tokens of data are {use.epochs:,.0f} epochs for {size}: {loud}, {carries}; "
        "add data, or give a smaller model or fewer tokens"
    )


def in_words(use: DataUse) -> str:
    """Return tokens, epochs and what is left out, in one sentence without warning."""
    epochs = (
        "an unknown number of" if use.epochs is None else f"{use.epochs:,.{1 if use.epochs < 10 else 0}f}"
    )
    carries = f"carries size {use.carries}" if use.carries else "too little for any size"
    mixed = (
        ""
        if use.tokens_per_pass in (None, use.tokens)
        else f" ({use.tokens_per_pass:,} a pass, as the mixture repeats some)"
    )
    return (
        f"{use.tokens:,} tokens of data{mixed}, {epochs} epochs, "
        f"{use.left_out:,} of {use.samples:,} samples left out of each, {carries}"
    )


KEPT_SHARE = 0.75
"""Of the bytes in the wanted languages, what is left without duplicates and bad files: 60.5 of 78 MB of a Python
environment's code (docs/benchmarks.md, the whole). Code that nobody has cleaned before loses more."""
TRAINED_SHARE = 0.98
"""The rest is held out (``ShardArgs.held_out_share``)."""


def estimated(code_bytes: float, vocabulary_size: int, context_length: int, origin: str) -> DataAmount:
    """Return what so many bytes of code in the wanted languages will become."""
    tokens = round(code_bytes * KEPT_SHARE * TRAINED_SHARE / bytes_per_token(vocabulary_size))
    return DataAmount(tokens, max(1, tokens // context_length), origin)


def bytes_per_token(vocabulary_size: int) -> float:
    """Return the bytes of code that a token stands for: 3.2 measured at 4,096 tokens, 3.9 at 32,768.

    >>> round(bytes_per_token(4096), 2), round(bytes_per_token(32_768), 2)
    (3.2, 3.9)
    """
    return max(2.0, 3.2 + 0.7 * (math.log2(vocabulary_size) - 12) / 3)
