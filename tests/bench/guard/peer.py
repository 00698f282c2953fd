"""The rule of LLM Foundry's callback ``KillLossSpike``, from its published source (0.22.0), over a list of losses.

The package can't be installed beside this lock (torch < 2.7.1); the rule is a dozen lines. As shipped it waits for more
than ``patience`` outliers in a row; with a patience of 0 it is as quick as such a rule can be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import fmean

PATIENCE = 4
MULTIPLIER = 2.0
LEAST_WINDOW = 100
MAX_LOSS_CAP = 10.0


def alarms(losses: Sequence[float], total_steps: int, patience: int = PATIENCE) -> list[int]:
    """Return the steps (from 0) at which it would end the training; it looks on after each."""
    size = max(LEAST_WINDOW, round(0.05 * total_steps))
    window: deque[float] = deque(maxlen=size)
    cap, in_a_row, found = 0.0, 0, []
    for step, loss in enumerate(losses):
        window.append(loss)
        if step + 1 == size:
            cap = min(max(window), MAX_LOSS_CAP)
        if step + 1 <= size:
            continue
        in_a_row = in_a_row + 1 if loss >= MULTIPLIER * fmean(window) else 0
        high = step + 1 >= 2 * size and sum(one > cap for one in window) >= size / 2
        if in_a_row > patience or high:
            found.append(step)
    return found
