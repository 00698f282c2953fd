"""GPUs by their exact names: another GPU's peak is never taken for one's own."""

from __future__ import annotations

import pytest

from daybreak_contracts.planning import gpus


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("Tesla T4", 65e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A800-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756.5e12),
        ("NVIDIA H20", 148e12),
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA GB200", 2500e12),
        ("NVIDIA B300 SXM6 AC", 2250e12),
        ("AMD Instinct MI355X", 2516.6e12),
        ("AMD Instinct MI300X", 1307.4e12),
        pytest.param("Quadro K620", None, id="a-gpu-without-tensor-cores"),
        pytest.param("NVIDIA L400", None, id="a-name-that-begins-like-another"),
        pytest.param("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None, id="a-part-of-a-gpu"),
        pytest.param("", None, id="no-name"),
    ],
)
def test_peaks_are_dense_ones_of_exact_names(name: str, peak: float | None) -> None:
    assert gpus.peak_flops(name) == peak


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NVIDIA L40", "NVIDIA L4"),
        ("NVIDIA L40", "NVIDIA L40S"),
        ("NVIDIA RTX A1000", "NVIDIA A100-SXM4-80GB"),
        ("NVIDIA H20", "NVIDIA H200"),
        ("NVIDIA A10", "NVIDIA A10G"),
        ("NVIDIA GB200", "NVIDIA B200"),
    ],
)
def test_names_that_contain_each_other_are_different_gpus(one: str, other: str) -> None:
    assert gpus.peak_flops(one) is not None
    assert gpus.peak_flops(one) != gpus.peak_flops(other)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("H100", "NVIDIA H100 80GB HBM3"),
        ("h200", "NVIDIA H200"),
        ("l40", "NVIDIA L40"),
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("nvidia a100 80gb pcie", "NVIDIA A100 80GB PCIe"),
        ("MI300X", "AMD Instinct MI300X"),
        ("H1000", None),
        # as clouds, their labels and those who rent GPUs out write them
        ("A100 80GB", "NVIDIA A100-SXM4-80GB"),
        ("a100-80gb", "NVIDIA A100-SXM4-80GB"),
        ("H100 SXM5", "NVIDIA H100 80GB HBM3"),
        ("H100_NVLINK_80GB", "NVIDIA H100 80GB HBM3"),
        ("V100-16GB", "Tesla V100-SXM2-16GB"),
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3"),
        ("nvidia-h100-mega-80gb", "NVIDIA H100 80GB HBM3"),
        ("nvidia-h200-141gb", "NVIDIA H200"),
        ("nvidia-tesla-t4", "Tesla T4"),
        ("nvidia-tesla-a100", "NVIDIA A100-SXM4-40GB"),
        ("nvidia-rtx-pro-6000", "NVIDIA RTX PRO 6000 Blackwell Server Edition"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("A6000", "NVIDIA RTX A6000"),
        ("Quadro RTX 6000", None),
        ("nvidia", None),
        ("", None),
    ],
)
def test_what_people_call_a_gpu(text: str, name: str | None) -> None:
    assert gpus.named(text) == name


def test_every_short_name_is_of_a_known_gpu() -> None:
    assert {*gpus.SHORT_NAMES.values(), *gpus.OTHER_NAMES.values()} <= set(gpus.GPUS)


@pytest.mark.parametrize("name", gpus.GPUS)
def test_torchs_own_name_is_that_gpu_however_it_is_written(name: str) -> None:
    for text in (name, name.upper(), name.replace(" ", "-"), name.replace(" ", "_").lower()):
        assert gpus.named(text) == name
