"""What a GPU can do at most and holds: one table by the exact name that ``torch.cuda.get_device_name`` gives.

A name that is not in the table is unknown: an MFU against another GPU's peak is worse than none. Sources:
docs/thresholds.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

GB = 10**9
_T = 1e12


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU: dense bf16 peak in FLOP/s (fp16 where there is no bf16), memory in bytes."""

    flops: float
    memory_bytes: int


def _gpu(teraflops: float, gigabytes: int) -> Gpu:
    return Gpu(teraflops * _T, gigabytes * GB)


GPUS: Mapping[str, Gpu] = {
    # Volta and Turing multiply in fp16, they have no bf16
    "Tesla V100-SXM2-16GB": _gpu(125, 16),
    "Tesla V100-SXM2-32GB": _gpu(125, 32),
    "Tesla V100-SXM3-32GB": _gpu(125, 32),
    "Tesla V100-PCIE-16GB": _gpu(112, 16),
    "Tesla V100-PCIE-32GB": _gpu(112, 32),
    "Tesla V100S-PCIE-32GB": _gpu(130, 32),
    "Tesla T4": _gpu(65, 16),
    # Ampere
    "NVIDIA A2": _gpu(18, 16),
    "NVIDIA A10": _gpu(125, 24),
    "NVIDIA A10G": _gpu(70, 24),
    "NVIDIA A30": _gpu(165, 24),
    "NVIDIA A40": _gpu(149.7, 48),
    "A100-SXM4-40GB": _gpu(312, 40),
    "A100-PCIE-40GB": _gpu(312, 40),
    "NVIDIA A100-SXM4-40GB": _gpu(312, 40),
    "NVIDIA A100-SXM4-80GB": _gpu(312, 80),
    "NVIDIA A100-PCIE-40GB": _gpu(312, 40),
    "NVIDIA A100 80GB PCIe": _gpu(312, 80),
    "NVIDIA A800-SXM4-40GB": _gpu(312, 40),
    "NVIDIA A800-SXM4-80GB": _gpu(312, 80),
    "NVIDIA A800 80GB PCIe": _gpu(312, 80),
    "NVIDIA GeForce RTX 3090": _gpu(71, 24),
    "NVIDIA GeForce RTX 3090 Ti": _gpu(80, 24),
    "NVIDIA RTX A1000": _gpu(26.9, 8),
    "NVIDIA RTX A4000": _gpu(76.7, 16),
    "NVIDIA RTX A4500": _gpu(94.6, 20),
    "NVIDIA RTX A5000": _gpu(111.1, 24),
    "NVIDIA RTX A5500": _gpu(136.4, 24),
    "NVIDIA RTX A6000": _gpu(154.8, 48),
    # Ada
    "NVIDIA L4": _gpu(121, 24),
    "NVIDIA L20": _gpu(119.5, 48),
    "NVIDIA L40": _gpu(181, 48),
    "NVIDIA L40S": _gpu(362, 48),
    "NVIDIA GeForce RTX 4080": _gpu(97.5, 16),
    "NVIDIA GeForce RTX 4090": _gpu(165.2, 24),
    "NVIDIA RTX 4000 Ada Generation": _gpu(106.9, 20),
    "NVIDIA RTX 5000 Ada Generation": _gpu(261.1, 32),
    "NVIDIA RTX 6000 Ada Generation": _gpu(364.2, 48),
    # Hopper
    "NVIDIA H20": _gpu(148, 96),
    "NVIDIA H100 80GB HBM3": _gpu(989.4, 80),
    "NVIDIA H100 PCIe": _gpu(756.5, 80),
    "NVIDIA H100 NVL": _gpu(835.5, 94),
    "NVIDIA H800": _gpu(989.4, 80),
    "NVIDIA H800 PCIe": _gpu(756.5, 80),
    "NVIDIA H200": _gpu(989.4, 141),
    "NVIDIA H200 NVL": _gpu(835.5, 141),
    "NVIDIA GH200 120GB": _gpu(989.4, 96),
    "NVIDIA GH200 480GB": _gpu(989.4, 96),
    "NVIDIA GH200 144G HBM3e": _gpu(989.4, 144),
    # Blackwell
    "NVIDIA B200": _gpu(2250, 180),
    "NVIDIA GB200": _gpu(2500, 186),
    "NVIDIA B300 SXM6 AC": _gpu(2250, 288),
    "NVIDIA GB300": _gpu(2500, 288),
    "NVIDIA GeForce RTX 5090": _gpu(209.5, 32),
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": _gpu(503.8, 96),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": _gpu(480, 96),
    # AMD; torch counts each half of an MI250X as one device
    "AMD Instinct MI210": _gpu(181, 64),
    "AMD Instinct MI250X": _gpu(191.5, 64),
    "AMD Instinct MI300A": _gpu(980.6, 128),
    "AMD Instinct MI300X": _gpu(1307.4, 192),
    "AMD Instinct MI300X VF": _gpu(1307.4, 192),
    "AMD Instinct MI325X": _gpu(1307.4, 256),
    "AMD Instinct MI350X": _gpu(2306.9, 288),
    "AMD Instinct MI355X": _gpu(2516.6, 288),
}

SHORT_NAMES: Mapping[str, str] = {
    "T4": "Tesla T4",
    "V100": "Tesla V100-SXM2-32GB",
    "A100-40": "NVIDIA A100-SXM4-40GB",
    "A100": "NVIDIA A100-SXM4-80GB",
    "A800": "NVIDIA A800-SXM4-80GB",
    "RTX-4090": "NVIDIA GeForce RTX 4090",
    "RTX-6000-Ada": "NVIDIA RTX 6000 Ada Generation",
    "H100": "NVIDIA H100 80GB HBM3",
    "H100-PCIe": "NVIDIA H100 PCIe",
    "H100-NVL": "NVIDIA H100 NVL",
    "H200-NVL": "NVIDIA H200 NVL",
    "GH200": "NVIDIA GH200 480GB",
    "MI300X": "AMD Instinct MI300X",
    "MI325X": "AMD Instinct MI325X",
    "MI350X": "AMD Instinct MI350X",
    "MI355X": "AMD Instinct MI355X",
    "B300": "NVIDIA B300 SXM6 AC",
    **{
        name.removeprefix("NVIDIA "): name
        for name in GPUS
        if name.startswith("NVIDIA ") and " " not in name.removeprefix("NVIDIA ")
    },
}
"""What people call them, in a command; torch's own names are taken as well."""

OTHER_NAMES: Mapping[str, str] = {
    # with their memory or their socket, as those who rent them out say it
    "V100-16GB": "Tesla V100-SXM2-16GB",
    "V100-32GB": "Tesla V100-SXM2-32GB",
    "A100-40GB": "NVIDIA A100-SXM4-40GB",
    "A100-80GB": "NVIDIA A100-SXM4-80GB",
    "A100-80": "NVIDIA A100-SXM4-80GB",
    "A100-SXM": "NVIDIA A100-SXM4-80GB",
    "A100-SXM4": "NVIDIA A100-SXM4-80GB",
    "A100-NVLINK-80GB": "NVIDIA A100-SXM4-80GB",
    "A100-PCIE-80GB": "NVIDIA A100 80GB PCIe",
    "H100-80GB": "NVIDIA H100 80GB HBM3",
    "H100-SXM": "NVIDIA H100 80GB HBM3",
    "H100-SXM5": "NVIDIA H100 80GB HBM3",
    "H100-NVLINK-80GB": "NVIDIA H100 80GB HBM3",
    "H100-mega-80GB": "NVIDIA H100 80GB HBM3",
    "H200-SXM": "NVIDIA H200",
    "H200-141GB": "NVIDIA H200",
    "B300": "NVIDIA B300 SXM6 AC",
    "RTX-6000-Ada": "NVIDIA RTX 6000 Ada Generation",
    "RTX-PRO-6000": "NVIDIA RTX PRO 6000 Blackwell Server Edition",
    # values of cloud.google.com/gke-accelerator that mean another one than the name alone
    "nvidia-tesla-v100": "Tesla V100-SXM2-16GB",
    "nvidia-tesla-a100": "NVIDIA A100-SXM4-40GB",
}
"""Names that clouds and their labels use."""


def peak_flops(device_name: str) -> float | None:
    """Return the dense bf16 peak of a GPU in FLOP/s; None for one that is not in the table.

    >>> peak_flops("NVIDIA L40") == peak_flops("NVIDIA L4"), peak_flops("NVIDIA L400")
    (False, None)
    """
    gpu = GPUS.get(device_name)
    return None if gpu is None else gpu.flops


def named(text: str) -> str | None:
    """Return the GPU that a person means, by torch's name; None when nothing fits.

    >>> named("h100"), named("NVIDIA L40"), named("L400")
    ('NVIDIA H100 80GB HBM3', 'NVIDIA L40', None)
    """
    for said in (_folded(text), _bare(text)):
        if said in _NAMED:
            return _NAMED[said]
    return None


def _folded(text: str) -> str:
    """Return a name as it is compared: ``RTX 4090``, ``rtx-4090`` and ``rtx_4090`` are one."""
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def _bare(text: str) -> str:
    """Return it without its maker and family."""
    return re.sub(r"^(nvidia|amd|tesla|instinct|geforce|quadro|rtx(?!pro))+", "", _folded(text))


_NAMED = {
    **{_bare(name): name for name in GPUS},
    **{form(short): name for short, name in SHORT_NAMES.items() for form in (_bare, _folded)},
    **{_folded(other): name for other, name in OTHER_NAMES.items()},
    **{_folded(name): name for name in GPUS},
}
