"""A model folder before anything trusts it: local, unchanged since its commit, without pickles, readable.

Owns what serving must know of a model (context, end tokens, fill-in-the-middle). Loads no weights.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_model.fim import FimOrder, order_of
from daybreak_model.llama.config import ARCHITECTURES, OBJECTIVE_KEY
from daybreak_model.repository_context import ALONE, Layout, layout_of
from daybreak_model.vocabulary import special_ids

PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".msgpack", ".npy"}
)
"""Formats that run code when they are loaded, or may (`.npy` with objects)."""

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
"""One file, or several with a list of what lies in which."""
GOLDEN = "golden.json"
REQUIRED = ("config.json", WEIGHTS, "tokenizer.json")


@dataclass(frozen=True)
class Golden:
    """A recorded greedy completion: what the exported model answered when it was made, up to its end token."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class ModelFolder:
    """A verified model on the local disk."""

    path: Path
    digest: str
    """Digest of what made it, from its manifest."""
    files: tuple[str, ...]
    """What the manifest lists; nothing else is served."""
    context_length: int
    vocabulary_size: int
    end_ids: frozenset[int]
    golden: Golden | None
    fim: FimOrder
    """The order of a fill-in-the-middle prompt; None: the model never learned one."""
    layout: Layout = ALONE
    """Whether the model learned with other files of a repository in front."""


def open_model(uri: str, cache_dir: Path) -> ModelFolder:
    """Return the verified model at a URI; a remote one is copied below ``cache_dir`` first.

    Torn, changed, pickled or incomplete models are UserErrors.
    """
    manifest = artifacts.load(uri)
    refuse_pickles(uri, [entry.path for entry in manifest.files])
    if storage.is_remote(uri):
        path = _fetch(uri, manifest, cache_dir)
    else:
        path = storage.local_path(uri).absolute()
        artifacts.verify(str(path), manifest)
    return _described(uri, path, manifest)


def open_fetched(path: Path) -> tuple[ModelFolder, artifacts.Manifest]:
    """Return the model that `pod.fetch` laid here and its manifest.

    Every byte was hashed on its way into this pod; hashing 15 GB again would cost a start some 20 s, so only
    sizes are compared.
    """
    manifest = artifacts.load(str(path))
    refuse_pickles(str(path), [entry.path for entry in manifest.files])
    for entry in manifest.files:
        file = path / entry.path
        if not file.is_file() or file.stat().st_size != entry.size:
            raise UserError(f"{file}: is not what the manifest lists, fetch the model again")
    return _described(str(path), path.absolute(), manifest), manifest


def _described(uri: str, path: Path, manifest: artifacts.Manifest) -> ModelFolder:
    files = tuple(entry.path for entry in manifest.files)
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise UserError(f"{uri}: {', '.join(missing)} missing, serve the artifact of the export step")
    return _read(path, manifest.digest, files)


def refuse_pickles(uri: str, files: list[str]) -> None:
    """Refuse a model with files that may run code when they are loaded."""
    found = [name for name in files if PurePosixPath(name).suffix.lower() in PICKLE_SUFFIXES]
    if found:
        raise UserError(f"{uri}: {found[0]} may run code when it is loaded, export the model as safetensors")


def _fetch(uri: str, manifest: artifacts.Manifest, cache_dir: Path) -> Path:
    """Copy a remote artifact into the cache; a copy that is there and whole is used again."""
    target = cache_dir / "models" / manifest.digest[:16]
    if artifacts.find(str(target), manifest.digest) is not None:
        return target
    staging = cache_dir / "models" / f".staging-{uuid.uuid4().hex}"
    try:
        for name in [*(entry.path for entry in manifest.files), artifacts.MANIFEST]:
            storage.copy_file(storage.join(uri, name), str(staging / name))
        artifacts.verify(str(staging), manifest)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _read(path: Path, digest: str, files: tuple[str, ...]) -> ModelFolder:
    config = storage.read_json(str(path / "config.json"))
    architectures = config.get("architectures") or []
    if architectures != ARCHITECTURES:
        raise UserError(f"{path}/config.json: architectures must be {ARCHITECTURES}, got {architectures}")
    generation = {}
    if "generation_config.json" in files:
        generation = storage.read_json(str(path / "generation_config.json"))
    ends = end_ids(config, generation)
    return ModelFolder(
        path=path,
        digest=digest,
        files=files,
        context_length=int(config["max_position_embeddings"]),
        vocabulary_size=int(config["vocab_size"]),
        end_ids=ends,
        golden=read_golden(path, ends),
        fim=order_of(
            config.get(OBJECTIVE_KEY), special_ids((path / "tokenizer.json").read_text(encoding="utf-8"))
        ),
        layout=layout_of(config),
    )


def end_ids(config: Mapping[str, Any], generation: Mapping[str, Any]) -> frozenset[int]:
    """Return the ids that end a text: of the generation config, else of the model's config (may be a list)."""
    found = generation.get("eos_token_id", config.get("eos_token_id"))
    if found is None:
        return frozenset()
    return frozenset(found) if isinstance(found, list) else frozenset({int(found)})


def read_golden(folder: Path, ends: frozenset[int]) -> Golden | None:
    """Return the golden completion of a model folder, None where it has none.

    It was recorded to a fixed length; serving ends at the first end token, so what follows it is left out.
    """
    path = folder / GOLDEN
    if not path.exists():
        return None
    document = storage.read_json(str(path))
    prompt_ids, token_ids = (_ids_of(path, document, key) for key in ("promptTokens", "tokens"))
    length = next((place for place, token in enumerate(token_ids, 1) if token in ends), len(token_ids))
    return Golden(tuple(prompt_ids), tuple(token_ids[:length]))


def _ids_of(path: Path, document: Any, key: str) -> list[int]:
    ids = document.get(key) if isinstance(document, dict) else None
    if not isinstance(ids, list) or not ids or not all(isinstance(token, int) for token in ids):
        raise UserError(f"{path}: {key} must be a list of token ids, export the model again")
    return ids
