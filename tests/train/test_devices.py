"""Whether a machine without a GPU that can be used is told why, in CUDA's words where it has some."""

from __future__ import annotations

import pytest
import torch

from daybreak_contracts.errors import UserError
from daybreak_train import devices, faults
from daybreak_train.pod.environment import ProcessPlacement

SCENE = faults.FaultScene("rank 0", "gpu-7", num_steps=0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(
            RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
            "gpusPerNode is 8 but this machine has no CUDA GPU: set it to 0",
            id="no-driver",
        ),
        pytest.param(
            RuntimeError("No CUDA GPUs are available"), "this machine has no CUDA GPU", id="none-is-shown"
        ),
        pytest.param(
            AssertionError("Torch not compiled with CUDA enabled"),
            "this torch is built without CUDA",
            id="cpu-build",
        ),
        pytest.param(
            RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."),
            "rank 0 on gpu-7: driver, GPU and this build of torch do not fit together",
            id="a-driver-that-is-too-old",
        ),
        pytest.param(
            RuntimeError("Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"),
            "fabric manager",
            id="a-node-that-is-not-ready",
        ),
    ],
)
def test_why_no_gpu_can_be_used(said: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise said

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(Exception, match=words), faults.explaining(lambda: SCENE):
        devices.check(8)
    devices.check(0)


def test_a_gpu_that_is_there_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    devices.check(1)


def test_this_machine_says_which_it_is() -> None:
    if torch.cuda.is_available():
        devices.check(1)
        return
    with pytest.raises(UserError, match="gpusPerNode is 1 but"):
        devices.check(1)


def test_processes_of_a_machine_share_its_cores() -> None:
    assert devices.threads(16, ProcessPlacement(local_world_size=4, world_size=8)) == 4
    assert devices.threads(2, ProcessPlacement(local_world_size=4, world_size=4)) == 1
    assert devices.threads(0, ProcessPlacement()) >= 1
