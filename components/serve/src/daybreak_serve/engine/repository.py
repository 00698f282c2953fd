"""A Triton model repository from a model folder: the Python backend on CPU, or the vLLM backend's layout.

Everything that lands in the repository is either listed in the model's manifest or written here from constants:
a repository is code, so it takes nothing that was not verified. Starts no server.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daybreak_contracts.errors import UserError
from daybreak_serve.engine.protocol import CHUNK, MODEL_NAME, OPTIONS, PROMPT_IDS
from daybreak_serve.modelfolder import ModelFolder

Kind = Literal["TritonPython", "TritonVLLM"]

MODEL_FOLDER = "model"
"""The verified model files, below the version's folder."""

BACKEND_CODE = '''"""Triton wants a file of this name beside the weights; the engine is ``daybreak_serve.engine``."""

from daybreak_serve.engine.backend import TritonPythonModel as TritonPythonModel
'''


@dataclass(frozen=True)
class EngineSettings:
    """How the Python backend runs a model."""

    num_threads: int = 1
    """Threads of torch; a model below 100 M parameters gains nothing from more."""
    max_running: int = 8
    """Requests that take turns; further ones wait."""
    prompt_piece: int = 256
    """Prompt tokens a turn, so that a long prompt does not stop the others."""
    kept_caches: int = 4
    """Caches of ended requests that a prompt with the same start may reuse."""


def build_repository(
    model: ModelFolder, target: Path, kind: Kind = "TritonPython", settings: EngineSettings | None = None
) -> Path:
    """Write the repository of a verified model and return its path. An older one at the target is replaced.

    Layout: ``completion/config.pbtxt``, ``completion/1/``. Files of the model are hard links where the disk
    allows it, else symbolic ones: a copy of the weights would double them.
    """
    settings = settings or EngineSettings()
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    version = staging / MODEL_NAME / "1"
    try:
        version.mkdir(parents=True)
        final_model = target.absolute() / MODEL_NAME / "1" / MODEL_FOLDER
        for name, text in texts(model, kind, settings, final_model).items():
            (staging / MODEL_NAME / name).write_text(text)
        for file in model.files:
            _link(model.path / file, version / MODEL_FOLDER / file)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def texts(model: ModelFolder, kind: Kind, settings: EngineSettings, model_path: Path) -> dict[str, str]:
    """Return the text files of a repository, by their path below the model's folder."""
    if kind == "TritonPython":
        return {"config.pbtxt": python_config(model, settings), "1/model.py": BACKEND_CODE}
    if kind == "TritonVLLM":
        arguments = vllm_arguments(model, model_path)
        return {"config.pbtxt": vllm_config(), "1/model.json": json.dumps(arguments, indent=2) + "\n"}
    raise UserError(f"runtime kind {kind!r} has no repository layout, use TritonPython or TritonVLLM")


def python_config(model: ModelFolder, settings: EngineSettings) -> str:
    """Return the config.pbtxt of the Python backend: decoupled, one instance that serves many requests."""
    parameters = {
        "model_folder": MODEL_FOLDER,
        "end_ids": ",".join(str(token) for token in sorted(model.end_ids)),
        "num_threads": str(settings.num_threads),
        "max_running": str(settings.max_running),
        "prompt_piece": str(settings.prompt_piece),
        "kept_caches": str(settings.kept_caches),
    }
    tensors = [
        f'input [\n  {{ name: "{PROMPT_IDS}" data_type: TYPE_INT32 dims: [ -1 ] }},',
        f'  {{ name: "{OPTIONS}" data_type: TYPE_STRING dims: [ 1 ] }}\n]',
        f'output [\n  {{ name: "{CHUNK}" data_type: TYPE_STRING dims: [ 1 ] }}\n]',
    ]
    return _config("python", "KIND_CPU", tensors, parameters)


def vllm_config() -> str:
    """Return the config.pbtxt of the vLLM backend, which completes its own inputs and outputs."""
    return _config("vllm", "KIND_MODEL", [], {"REPORT_CUSTOM_METRICS": "true"})


def vllm_arguments(model: ModelFolder, model_path: Path) -> dict[str, object]:
    """Return vLLM's AsyncEngineArgs. Statistics stay on: the custom metrics need them (vllm_backend README)."""
    return {
        "model": str(model_path),
        "served_model_name": MODEL_NAME,
        "max_model_len": model.context_length,
        "load_format": "safetensors",
        "dtype": "auto",
        "enable_prefix_caching": True,
        "gpu_memory_utilization": 0.9,
        "trust_remote_code": False,
        "disable_log_stats": False,
    }


def _config(backend: str, kind: str, tensors: Sequence[str], parameters: Mapping[str, str]) -> str:
    lines = [
        f'name: "{MODEL_NAME}"',
        f'backend: "{backend}"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        *tensors,
        f"instance_group [ {{ kind: {kind} count: 1 }} ]",
        *(
            f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
            for key, value in parameters.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, a read-only one, or one without hard links
        target.symlink_to(source.resolve())
