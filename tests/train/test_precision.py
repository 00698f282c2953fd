"""What products are computed in is measured once in a run's life, and kept over resumes."""

from __future__ import annotations

import pytest
import torch

from daybreak_model.llama.sizes import SIZES, Dimensions, num_parameters
from daybreak_train import precision
from daybreak_train.loop.train_state import Trained, TrainingOutcome, restore, snapshot_of
from daybreak_train.model import Llama, ModelConfig
from daybreak_train.pod.environment import ProcessPlacement

WITH_BF16 = "flags : avx2 avx512_bf16"


@pytest.mark.parametrize(
    ("flags", "gain", "expected"),
    [
        pytest.param(WITH_BF16, 1.5, "bfloat16", id="faster"),
        pytest.param(WITH_BF16, 0.6, "float32", id="the processor has it and is slower"),
        pytest.param("flags : avx2", 9.9, "float32", id="the processor lacks it"),
    ],
)
def test_bf16_is_used_where_it_is_faster(
    flags: str, gain: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(precision, "_bf16_gain", lambda: gain)
    parameters = num_parameters(SIZES["1m"], 4096)
    found = precision.chosen_precision(parameters, torch.device("cpu"), ProcessPlacement())
    assert found == expected


def test_the_gain_is_measured() -> None:
    assert 0.01 < precision._bf16_gain() < 100


def test_a_checkpoint_keeps_the_answer() -> None:
    llama = Llama(ModelConfig(Dimensions(16, 1, 2, 1, 16), 64, 16))
    trained = Trained(llama, torch.optim.AdamW(llama.parameters()))
    snapshot = snapshot_of(trained, TrainingOutcome(step=1, computes_in="bfloat16"), {}, b"")
    assert restore(snapshot, trained).computes_in == "bfloat16"
