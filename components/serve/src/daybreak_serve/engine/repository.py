"""A Triton model repository from a model folder: Triton's Python backend around our own engine, or around vLLM.

Everything that lands in the repository is either listed in the model's manifest or written here from constants:
a repository is code, so it takes nothing that was not verified. Starts no server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_model.decoder.shape import shape_of
from daybreak_serve.engine.installation import Kind
from daybreak_serve.engine.protocol import CHUNK, MODEL_NAME, OPTIONS, PROMPT_IDS
from daybreak_serve.engine.vllm.arguments import model_parameters
from daybreak_serve.hubfolder import weight_names
from daybreak_serve.modelfolder import ModelFolder

MODEL_FOLDER = "model"
"""The verified model files, below the version's folder."""

BACKENDS: Mapping[Kind, tuple[str, str]] = {
    "TritonPython": ("daybreak_serve.engine.backend", "TritonPythonModel"),
    "TritonVLLM": ("daybreak_serve.engine.vllm.backend", "TritonVLLMModel"),
}
"""Module and class that answer, by runtime."""
BACKEND_CODE = '''"""Triton wants a file and a class of these names beside the weights; the engine is ``{module}``."""

from {module} import {name} as TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class EngineSettings:
    """How an engine runs a model."""

    kind: Kind = "TritonPython"
    num_threads: int = 1
    """Threads of torch; a model below 100 M parameters gains nothing from more."""
    max_running: int = 8
    """Requests that take turns; further ones wait."""
    prompt_piece: int = 256
    """Prompt tokens a turn, so that a long prompt does not stop the others."""
    kept_caches: int = 4
    """Caches of ended requests that a prompt with the same start may reuse."""


def build_repository(model: ModelFolder, target: Path, settings: EngineSettings | None = None) -> Path:
    """Write the repository of a verified model and return its path. An older one at the target is replaced.

    Layout: ``completion/config.pbtxt``, ``completion/1/``. Files of the model are hard links where the disk
    allows it, else symbolic ones: a copy of the weights would double them.
    """
    settings = settings or EngineSettings()
    refuse_unknown(model, settings.kind)
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    version = staging / MODEL_NAME / "1"
    try:
        version.mkdir(parents=True)
        for name, text in texts(model, settings).items():
            (staging / MODEL_NAME / name).write_text(text)
        for file in model.files:
            _link(model.path / file, version / MODEL_FOLDER / file)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def refuse_unknown(model: ModelFolder, kind: Kind) -> None:
    """Refuse a model that our own engine does not compute; what vLLM can run it knows itself, when it loads it."""
    with _missing_is_said(model):
        if kind != "TritonPython":
            model_parameters(model.config, 1)
            return
        shape = shape_of(model.config)
    present, last = weight_names(model.path, model.files), shape.layers - 1
    wanted = ["model.embed_tokens.weight", f"model.layers.{last}.self_attn.q_proj.weight"]
    if not shape.is_tied:
        wanted.append("lm_head.weight")
    missing = [name for name in wanted if name not in present]
    if missing:
        raise UserError(
            f"{model.path}: no weights of the name {missing[0]}, which {model.config['architectures'][0]} has: "
            "copy the model again, or save it by transformers"
        )


@contextlib.contextmanager
def _missing_is_said(model: ModelFolder) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise UserError(
            f"{model.path}/config.json: {error.args[0]} missing, without which a "
            f"{model.config['architectures'][0]} is not served: copy the model again"
        ) from error


def texts(model: ModelFolder, settings: EngineSettings) -> dict[str, str]:
    """Return the text files of a repository, by their path below the model's folder."""
    if settings.kind not in BACKENDS:
        raise UserError(f"runtime {settings.kind} has no repository layout, use {' or '.join(BACKENDS)}")
    module, name = BACKENDS[settings.kind]
    return {
        "config.pbtxt": config(model, settings),
        "1/model.py": BACKEND_CODE.format(module=module, name=name),
    }


def config(model: ModelFolder, settings: EngineSettings) -> str:
    """Return the config.pbtxt: decoupled, one instance that serves many requests. vLLM finds its GPUs by itself."""
    lines = [
        f'name: "{MODEL_NAME}"',
        'backend: "python"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        f'input [\n  {{ name: "{PROMPT_IDS}" data_type: TYPE_INT32 dims: [ -1 ] }},',
        f'  {{ name: "{OPTIONS}" data_type: TYPE_STRING dims: [ 1 ] }}\n]',
        f'output [\n  {{ name: "{CHUNK}" data_type: TYPE_STRING dims: [ 1 ] }}\n]',
        "instance_group [ { kind: KIND_CPU count: 1 } ]",
        *(
            f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
            for key, value in parameters(model, settings).items()
        ),
    ]
    return "\n".join(lines) + "\n"


def parameters(model: ModelFolder, settings: EngineSettings) -> dict[str, str]:
    """Return what the backend reads of its config.pbtxt."""
    found = {
        "model_folder": MODEL_FOLDER,
        "end_ids": ",".join(str(token) for token in sorted(model.end_ids)),
        "num_threads": str(settings.num_threads),
        "max_running": str(settings.max_running),
        "prompt_piece": str(settings.prompt_piece),
    }
    if settings.kind == "TritonPython":
        return {**found, "kept_caches": str(settings.kept_caches)}
    return {
        **found,
        **model_parameters(model.config, settings.max_running),
    }


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()  # a hub's cache has links
    try:
        os.link(source, target)
    except OSError:  # another disk, a read-only one, or one without hard links
        target.symlink_to(source)
