"""How fast a training goes: from what was measured here, else from what others published.

Owns the published rows and what is made of them. No row is ours yet: each answer says where it comes from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts.planning.gpus import GPUS

PUBLISHED = "published, not measured by us"
ASSUMED = "assumed: nobody published this GPU and size, measure it"
MEASURED = "measured on this machine"
SMALLEST_PUBLISHED = 60_000_000
"""Parameters below which a GPU waits for launches, and no published row says how long."""
SPREAD_LOW, SPREAD_HIGH = 0.75, 1.15
"""Of rows of one size on one GPU: H100 at 7 to 8 billion 33 % (torchtitan) to 46 % (LLM Foundry), 124M 40 % (llm.c) and
41 to 46 % (nanochat)."""
LOSS_A_DOUBLING = 0.007
"""MFU lost with each doubling of GPUs beyond eight: LLM Foundry's 1.3B, 41.8 % at 8 and 40.6 % at 128 H100."""

Rows = tuple[tuple[float, float], ...]
_H100: Rows = ((124e6, 0.401), (760e6, 0.349), (1.316e9, 0.418), (2.65e9, 0.437), (7e9, 0.464))
_A100: Rows = ((125e6, 0.448), (350e6, 0.516), (760e6, 0.569), (1.0e9, 0.599), (3e9, 0.621), (7e9, 0.642))
_ROWS: Mapping[str, Rows] = {
    "H100": _H100,
    "H200": _H100,
    "H800": _H100,
    "GH200": _H100,
    "A100": _A100,
    "A800": _A100,
}
"""Parameters and MFU: LLM Foundry's benchmarks (scripts/train/benchmarking, T = 2,048, bf16); llm.c: 124M on H100."""
_ANY_GPU = (0.20, 0.30, 0.45)


@dataclass(frozen=True)
class Throughput:
    """Tokens a second over all processes: one time in ten below ``low``, one in ten above ``high``."""

    low: float
    likely: float
    high: float
    origin: str
    start_s: float = 0.0
    """From the command to the first step, and from the last step to the result."""
    base_bytes: int = 0
    """What a process holds besides the plan's own arithmetic, where it was measured."""

    def over(self, factor: float) -> Throughput:
        """Return it for more or fewer processes."""
        return Throughput(
            self.low * factor,
            self.likely * factor,
            self.high * factor,
            self.origin,
            self.start_s,
            self.base_bytes,
        )


def published(gpu: str, num_gpus: int, parameters: int, flops_a_token: int) -> Throughput | None:
    """Return what others say of a GPU (torch's name) and a size; None below what anybody published."""
    if parameters < SMALLEST_PUBLISHED:
        return None
    rows = next((rows for family, rows in _ROWS.items() if family in gpu.replace("-", " ").split()), None)
    low, likely, high = _ANY_GPU
    if rows is not None:
        likely = interpolated(rows, parameters)
        low, high = likely * SPREAD_LOW, likely * SPREAD_HIGH
    speed = GPUS[gpu].flops / flops_a_token * num_gpus * scaling(num_gpus)
    return Throughput(low * speed, likely * speed, high * speed, PUBLISHED if rows is not None else ASSUMED)


def interpolated(rows: Rows, parameters: float) -> float:
    """Return the MFU between two rows, along the logarithm of the parameters; the outermost rows hold beyond them.

    >>> interpolated(((1e8, 0.4), (1e10, 0.6)), 1e9)
    0.5
    """
    if parameters <= rows[0][0]:
        return rows[0][1]
    for (few, low), (many, high) in itertools.pairwise(rows):
        if parameters <= many:
            share = math.log(parameters / few) / math.log(many / few)
            return low + share * (high - low)
    return rows[-1][1]


def scaling(num_gpus: int) -> float:
    """Return the share of its own speed that each of so many GPUs keeps.

    >>> scaling(8), round(scaling(128), 3)
    (1.0, 0.972)
    """
    return max(0.5, 1.0 - LOSS_A_DOUBLING * math.log2(max(1.0, num_gpus / 8)))
