"""A step waits for the device once, where its update is decided: by a copy, and never for a single value."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daybreak_contracts.resources.run import Objective
from daybreak_train.loop.shared_step import SharedStep, StepSums, reduced
from daybreak_train.pod.environment import ProcessPlacement

ON_A_CPU_ALONE = {"model.py:forward", "callbacks.py:_samples_of_all"}
"""Ask for a value only where the tensor is in main memory anyway."""


def test_no_step_asks_the_device_for_a_value(
    zygote: Any, made: Any, middle: Objective, tmp_path: Path
) -> None:
    found = []
    for steps in (4, 8):  # each with three looks at held-out data
        folder = tmp_path / str(steps)
        args = made.args(folder, tokens=steps * 4096, training={"objective": middle})
        zygote.run(args, folder, DAYBREAK_TEST_WAITS=str(tmp_path / "waits.json"))
        found.append(Counter(json.loads((tmp_path / "waits.json").read_text())))
    more = found[1] - found[0]
    assert {asker: count / 4 for asker, count in more.items() if asker not in ON_A_CPU_ALONE} == {}


def test_the_values_of_a_step_are_read_together() -> None:
    sums = StepSums()
    for loss, tokens in ((6.0, 2), (3.0, 1)):
        sums.add(torch.tensor(loss), torch.tensor(tokens))
    shared = reduced(SharedStep(0.25, 15, True), sums.take(torch.tensor(0.5)), ProcessPlacement())
    assert (shared.seconds, shared.signal, shared.checkpoint) == (0.25, 15, True)
    assert (shared.reading.loss, shared.reading.grad_norm) == (3.0, 0.5)


def test_a_norm_that_is_none_stays_none() -> None:
    sums = StepSums()
    sums.add(torch.tensor(float("nan")), torch.tensor(4))
    shared = reduced(SharedStep(0.0, 0, False), sums.take(torch.tensor(float("inf"))), ProcessPlacement())
    assert not np.isfinite(shared.loss_sum)
    assert not shared.reading.is_finite
