"""A base model's folder as a model hub has it: no manifest of ours, weights in several files, much beside them.

Owns which of its files are served, the manifest that stands for them, and the sentence for each folder that cannot be
served. Reads no weights; runs nothing that lies there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict

from daybreak_contracts import artifacts, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import UserError
from daybreak_model import marks
from daybreak_model.decoder.shape import WEIGHTS, WEIGHTS_INDEX
from daybreak_model.sentencepiece import vocabulary_of

HUB_STEP = "hub"
"""The manifest's step of such a folder: nothing of ours made it."""
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
GENERATION, TOKENIZER_CONFIG, TEMPLATE = (
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
SERVED = (CONFIG, GENERATION, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG)
PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".msgpack", ".npy"}
)
"""Formats that run code when they are loaded, or may (`.npy` with objects)."""
SAVE_TOKENIZER = 'AutoTokenizer.from_pretrained("...").save_pretrained("...") of transformers writes it'


NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
"""What a chat template may name."""
MAX_TEMPLATE = 256 << 10
"""Characters; published ones have at most some ten thousand."""


class ChatTemplate(BaseModel):
    """How a model's conversations are written: a Jinja template, and the tokens that it names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    template: str
    tokens: dict[str, str] = {}


def is_hub_folder(uri: str) -> bool:
    """Tell whether a folder without a manifest of ours is meant as a model: it has what only model folders have."""
    if storage.exists(storage.join(uri, artifacts.MANIFEST)):
        return False
    return any(storage.exists(storage.join(uri, name)) for name in (CONFIG, "adapter_config.json")) or (
        not storage.is_remote(uri) and any(storage.local_path(uri).glob("*.gguf"))
    )


def served_files(uri: str) -> tuple[str, ...]:
    """Return the files of a hub's folder that are served, sorted; a folder that cannot be served is a UserError."""
    names = {name for name in storage.list_files(uri) if "/" not in name}
    index = storage.read_json(storage.join(uri, WEIGHTS_INDEX)) if WEIGHTS_INDEX in names else None
    config = storage.read_json(storage.join(uri, CONFIG)) if CONFIG in names else None
    return chosen_files(uri, names, config, index)


def chosen_files(
    uri: str, names: Collection[str], config: Any, index: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Return the names that are served of those in a folder, by its ``config.json`` and its index. Pure."""
    if config is None and "adapter_config.json" in names:
        raise UserError(
            f"{uri}: is an adapter (LoRA) alone, merge it into its base model (merge_and_unload of peft) and save that"
        )
    weights = _weights(uri, names, index)
    if not isinstance(config, dict):
        raise UserError(f"{uri}: {CONFIG} missing or no object, take the whole folder of the model")
    if config.get("auto_map"):
        raise UserError(
            f"{uri}: its model is code of its own (auto_map in {CONFIG}), which is never run here: "
            "take a model of an architecture that transformers has"
        )
    if TOKENIZER not in names:
        raise UserError(f"{uri}: {TOKENIZER} missing: {SAVE_TOKENIZER}")
    return tuple(sorted({*(name for name in SERVED if name in names), *weights}))


def _weights(uri: str, names: Collection[str], index: Mapping[str, Any] | None) -> set[str]:
    if index is not None:
        found = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(found, dict) or not found:
            raise UserError(f"{uri}/{WEIGHTS_INDEX}: has no weight_map, take the whole folder of the model")
        files = set(found.values())
        missing = sorted(name for name in map(str, files) if name not in names)
        if missing:
            raise UserError(
                f"{uri}: {missing[0]} missing, which {WEIGHTS_INDEX} lists: copy all of its files"
            )
        return {WEIGHTS_INDEX, *files}
    if WEIGHTS in names:
        return {WEIGHTS}
    by_suffix = {PurePosixPath(name).suffix.lower(): name for name in sorted(names, reverse=True)}
    if ".gguf" in by_suffix:
        raise UserError(
            f"{uri}: {by_suffix['.gguf']} is GGUF, which is not served: take the model's folder with safetensors "
            "(llama.cpp serves GGUF)"
        )
    if ".safetensors" in by_suffix:
        raise UserError(
            f"{uri}: {by_suffix['.safetensors']} is not {WEIGHTS} and {WEIGHTS_INDEX} missing: "
            "copy all files of the model"
        )
    pickles = sorted(PICKLE_SUFFIXES & by_suffix.keys())
    if pickles:
        raise UserError(
            f"{uri}: {by_suffix[pickles[0]]} may run code when it is loaded, save the model as safetensors "
            "(save_pretrained of transformers)"
        )
    raise UserError(f"{uri}: {WEIGHTS} missing, take the whole folder of the model")


def manifest_of(entries: Collection[FileEntry]) -> Manifest:
    """Return the manifest that stands for a hub's folder: nothing made it, so its bytes are its name."""
    files = tuple(sorted(entries, key=lambda entry: entry.path))
    bare = Manifest(step=HUB_STEP, digest="", inputs={}, files=files, result={})
    return bare.model_copy(update={"digest": bare.content_digest})


def measured(folder: Path, names: Collection[str]) -> Manifest:
    """Return the manifest of a local folder's files; links, as a hub's cache has them, are followed."""
    return manifest_of(
        [
            FileEntry(
                path=name, size=(folder / name).stat().st_size, sha256=artifacts.digest_of_file(folder / name)
            )
            for name in names
        ]
    )


def begin_ids(tokenizer: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return what a tokenizer puts before every text, by its ``tokenizer.json`` and ``tokenizer_config.json``.

    A template in the ``post_processor`` says it; where there is none ``add_bos_token`` may, as for tokenizers that
    transformers 4 saved.
    """
    processor = tokenizer.get("post_processor") or {}
    for part in processor.get("processors", [processor]):
        if part.get("type") == "TemplateProcessing":
            found = []
            for piece in part["single"]:
                if "SpecialToken" not in piece:
                    break
                found += part["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
            return tuple(int(index) for index in found)
    if settings.get("add_bos_token"):
        index = token_id(tokenizer, settings.get("bos_token"))
        return () if index is None else (index,)
    return ()


def chat_template(folder: Path, files: Collection[str], settings: Mapping[str, Any]) -> ChatTemplate | None:
    """Return a model's chat template, None where it has none: a file of its own wins, as in transformers.

    A template may be large, not huge; of several by name the default one counts.
    """
    found: Any = settings.get("chat_template")
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default")
    if TEMPLATE in files:
        found = storage.read_bytes(str(folder / TEMPLATE)).decode(errors="replace")
    if not isinstance(found, str) or not found:
        return None
    if len(found) > MAX_TEMPLATE:
        raise UserError(
            f"{folder}: its chat template has {len(found)} characters, at most {MAX_TEMPLATE} are taken"
        )
    tokens = {name: _spelling(settings.get(name)) for name in NAMED_TOKENS}
    return ChatTemplate(template=found, tokens={name: token for name, token in tokens.items() if token})


def _spelling(token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def token_id(tokenizer: Mapping[str, Any], token: Any) -> int | None:
    """Return the id of a token as ``tokenizer_config.json`` names it: a string, or an object with its content."""
    ids = {**vocabulary_of(tokenizer), **marks.added_ids(tokenizer.get("added_tokens", ()))}
    return ids.get(_spelling(token))


def read_optional(folder: Path, name: str, files: Collection[str]) -> dict[str, Any]:
    """Return a JSON object of a folder, an empty one where it is not among its files."""
    if name not in files:
        return {}
    found: dict[str, Any] = storage.read_json(str(folder / name))
    return found


def weight_names(folder: Path, files: Collection[str]) -> frozenset[str]:
    """Return the names of all tensors, read from the heads of the files; a torn file is a UserError."""
    found: set[str] = set()
    for name in files:
        if name.endswith(".safetensors"):
            found |= _head(folder / name).keys() - {"__metadata__"}
    return frozenset(found)


def _head(path: Path) -> dict[str, Any]:
    """Return the head of a safetensors file: its length in 8 bytes, JSON, then the numbers."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        try:
            head = json.loads(file.read(length)) if 8 + length <= size else None
            end = max(
                entry["data_offsets"][1] for name, entry in (head or {}).items() if name != "__metadata__"
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: is no whole safetensors file ({error}), copy it again") from error
    if head is None or 8 + length + end != size:
        raise UserError(f"{path}: is no whole safetensors file, copy it again")
    return dict(head)
