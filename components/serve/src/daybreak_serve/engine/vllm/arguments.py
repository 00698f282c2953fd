"""What vLLM is told of a model: by its repository when that is written, and by the machine when it starts.

Owns every choice; imports no vLLM, so that all of them are tested without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daybreak_serve.engine.protocol import MODEL_NAME

GIB = 2**30
FLOAT32_BYTES = 4
CPU_BLOCK = 32
"""Tokens of a block of the cache, and so the grain in which prompts are reused; the smallest that its kernels like."""
GPU_MEMORY_SHARE = 0.9
"""Of a GPU's memory for weights and cache; vLLM's own default."""


@dataclass(frozen=True)
class EngineMachine:
    """What an engine starts on."""

    is_cpu: bool
    num_gpus: int


def model_parameters(config: Mapping[str, Any], max_running: int) -> dict[str, str]:
    """Return what the repository says of a model, from its ``config.json``.

    ``rope_theta`` is told apart: transformers 4, which this vLLM reads configs with, does not see it where
    transformers 5 writes it, and takes its own default without a word.
    """
    rotary = config.get("rope_parameters") or {}
    theta = rotary.get("rope_theta") or config.get("rope_theta")
    context_length = int(config["max_position_embeddings"])
    return {
        "context_length": str(context_length),
        "vocabulary_size": str(int(config["vocab_size"])),
        "rope_theta": "" if theta is None else str(float(theta)),
        "cpu_cache_gib": str(max(1, math.ceil(max_running * context_length * token_bytes(config) / GIB))),
    }


def token_bytes(config: Mapping[str, Any]) -> int:
    """Return what one token takes in the cache, in float32: a key and a value in every layer."""
    heads = int(config["num_attention_heads"])
    key_value_heads = int(config.get("num_key_value_heads") or heads)
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    return 2 * int(config["num_hidden_layers"]) * key_value_heads * head_size * FLOAT32_BYTES


def engine_arguments(
    folder: Path, parameters: Mapping[str, str], machine: EngineMachine, seed: int
) -> dict[str, Any]:
    """Return vLLM's AsyncEngineArgs for a model folder, the parameters of its config.pbtxt and this machine."""
    max_running = int(parameters["max_running"])
    found: dict[str, Any] = {
        "model": str(folder),
        "served_model_name": MODEL_NAME,
        "skip_tokenizer_init": True,  # it is given tokens and asked for tokens
        "max_model_len": int(parameters["context_length"]),
        "max_num_seqs": max_running,
        "enable_prefix_caching": True,
        "load_format": "safetensors",
        "trust_remote_code": False,
        "disable_log_stats": False,  # each step's statistics are the sign of life
        "seed": seed,
    }
    if parameters["rope_theta"]:
        found["hf_overrides"] = {"rope_theta": float(parameters["rope_theta"])}
    if machine.is_cpu:
        # float32 everywhere is what the golden completion was computed in; compiling wants a C++ compiler in the image
        found |= {"dtype": "float32", "enforce_eager": True, "block_size": CPU_BLOCK}
        found |= {"max_num_batched_tokens": max(int(parameters["prompt_piece"]), max_running)}
    else:
        found |= {"dtype": "auto", "gpu_memory_utilization": GPU_MEMORY_SHARE}
        found |= {"tensor_parallel_size": max(1, machine.num_gpus)}
    return found


def environment(parameters: Mapping[str, str], caches: Path) -> dict[str, str]:
    """Return what vLLM and its libraries read from the environment: nothing is fetched, reported or kept elsewhere.

    Its process is started anew, never forked: Triton's stub has threads.
    """
    return {
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_CPU_KVCACHE_SPACE": parameters["cpu_cache_gib"],
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # binding asks lscpu for cores that a container may not have
        "OMP_NUM_THREADS": parameters["num_threads"],
        "XDG_CACHE_HOME": str(caches),
        "VLLM_CACHE_ROOT": str(caches / "vllm"),
        "VLLM_CONFIG_ROOT": str(caches / "vllm-config"),
        "TRITON_CACHE_DIR": str(caches / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "NUMBA_CACHE_DIR": str(caches / "numba"),
    }
