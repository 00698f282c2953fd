"""What vLLM is told of a model and of the machine, without vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daybreak_serve.engine.repository import EngineSettings, parameters
from daybreak_serve.engine.vllm.arguments import (
    EngineMachine,
    engine_arguments,
    environment,
    model_parameters,
    token_bytes,
)
from daybreak_serve.modelfolder import ModelFolder

CONFIG = {
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "hidden_size": 2048,
    "max_position_embeddings": 8192,
    "vocab_size": 32000,
}
COMMON = {
    "model": "/m",
    "served_model_name": "completion",
    "skip_tokenizer_init": True,
    "max_model_len": 256,
    "max_num_seqs": 8,
    "enable_prefix_caching": True,
    "load_format": "safetensors",
    "trust_remote_code": False,
    "disable_log_stats": False,
    "seed": 7,
    "hf_overrides": {"rope_theta": 10000.0},
}


@pytest.mark.parametrize(
    ("machine", "own"),
    [
        pytest.param(
            EngineMachine(is_cpu=True, num_gpus=0),
            {"dtype": "float32", "enforce_eager": True, "block_size": 32, "max_num_batched_tokens": 256},
            id="a processor",
        ),
        pytest.param(
            EngineMachine(is_cpu=False, num_gpus=2),
            {"dtype": "auto", "gpu_memory_utilization": 0.9, "tensor_parallel_size": 2},
            id="two GPUs",
        ),
    ],
)
def test_the_arguments_by_machine(model: ModelFolder, machine: EngineMachine, own: dict[str, Any]) -> None:
    found = parameters(model, EngineSettings(kind="TritonVLLM"))
    assert engine_arguments(Path("/m"), found, machine, seed=7) == {**COMMON, **own}


@pytest.mark.parametrize(
    ("rope", "theta"),
    [
        pytest.param(
            {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}, "500000.0", id="of 5"
        ),
        pytest.param({"rope_theta": 250000, "rope_scaling": None}, "250000.0", id="of 4"),
        pytest.param({}, "", id="none"),
    ],
)
def test_the_rotary_base_is_found_wherever_it_was_written(rope: dict[str, Any], theta: str) -> None:
    found = model_parameters({**CONFIG, **rope}, max_running=8)
    assert found["rope_theta"] == theta
    given = {**found, "max_running": "8", "prompt_piece": "256", "end_ids": "0"}
    arguments = engine_arguments(Path("/m"), given, EngineMachine(is_cpu=True, num_gpus=0), seed=1)
    assert arguments.get("hf_overrides") == ({"rope_theta": float(theta)} if theta else None)


@pytest.mark.parametrize(
    ("max_running", "gib"), [pytest.param(1, 2, id="one"), pytest.param(8, 14, id="eight")]
)
def test_a_processors_cache_holds_all_requests_whole(max_running: int, gib: int) -> None:
    assert token_bytes(CONFIG) == 2 * 28 * 8 * 128 * 4  # 224 KiB a token, 1.75 GiB for 8,192 of them
    assert model_parameters(CONFIG, max_running)["cpu_cache_gib"] == str(gib)


def test_a_small_model_gets_the_least_that_can_be_told(model: ModelFolder) -> None:
    assert parameters(model, EngineSettings(kind="TritonVLLM"))["cpu_cache_gib"] == "1"


def test_nothing_is_fetched_reported_or_kept_elsewhere() -> None:
    found = environment({"cpu_cache_gib": "1", "num_threads": "2"}, Path("/tmp/x"))
    assert found["HF_HUB_OFFLINE"] == found["VLLM_NO_USAGE_STATS"] == "1"
    assert found["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    caches = {name: value for name, value in found.items() if "CACHE" in name and "KVCACHE" not in name}
    assert len(caches) == 5
    assert all(value.startswith("/tmp/x") for value in caches.values())
