"""A model folder before anything trusts it: local, unchanged since its commit, without pickles, readable.

Owns what serving must know of a model (context, end tokens, fill-in-the-middle). Loads no weights.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_model import marks
from daybreak_model.decoder.shape import WEIGHTS, WEIGHTS_INDEX
from daybreak_model.fim import PLAIN, FimOrder, Openings, order_of
from daybreak_model.llama.config import OBJECTIVE_KEY
from daybreak_model.repository_context import ALONE, Layout, layout_of
from daybreak_model.vocabulary import refuse_other_vocabularies
from daybreak_serve import hubfolder
from daybreak_serve.hubfolder import (
    CONFIG,
    GENERATION,
    HUB_STEP,
    PICKLE_SUFFIXES,
    TOKENIZER,
    TOKENIZER_CONFIG,
    ChatTemplate,
)

GOLDEN = "golden.json"
CONTEXT_KEYS = ("max_position_embeddings", "n_positions")
"""What families call the length of their context."""
REQUIRED = (CONFIG, TOKENIZER)


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
    openings: Openings = PLAIN
    chat: ChatTemplate | None = None
    """None: it takes no conversations."""
    is_base: bool = False
    """Whether it came as a hub has it, and no run of ours made it."""
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Its ``config.json``."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What its user should know: of a base model the digest that a ModelDeployment asks for."""
        if not self.is_base:
            return ()
        found = (f"a base model, in a ModelDeployment model.digest: sha256:{self.digest}",)
        if self.fim != "None":
            return found
        return (
            *found,
            "its tokenizer has no fill-in-the-middle tokens: what stands behind the cursor is ignored",
        )


def open_model(uri: str, cache_dir: Path) -> ModelFolder:
    """Return the verified model at a URI; a remote one is copied below ``cache_dir`` first.

    Torn, changed, pickled or incomplete models are UserErrors. A folder as a hub has it needs no manifest: what of it
    is served is measured now.
    """
    if hubfolder.is_hub_folder(uri):
        return _open_hub(uri, cache_dir)
    manifest = artifacts.load(uri)
    refuse_pickles(uri, [entry.path for entry in manifest.files])
    if storage.is_remote(uri):
        path = _fetch(uri, manifest, cache_dir)
    else:
        path = storage.local_path(uri).absolute()
        artifacts.verify(str(path), manifest)
    return _described(uri, path, manifest)


def _open_hub(uri: str, cache_dir: Path) -> ModelFolder:
    files = hubfolder.served_files(uri)
    if not storage.is_remote(uri):
        path = storage.local_path(uri).absolute()
        return _described(uri, path, hubfolder.measured(path, files))
    staging = cache_dir / "models" / f".staging-{uuid.uuid4().hex}"
    try:
        for name in files:
            storage.copy_file(storage.join(uri, name), str(staging / name))
        manifest = hubfolder.measured(staging, files)
        storage.write_json(str(staging / artifacts.MANIFEST), manifest.model_dump(mode="json"))
        target = cache_dir / "models" / manifest.digest[:16]
        if artifacts.find(str(target), manifest.digest) is None:
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _described(uri, target, manifest)


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
    if not {WEIGHTS, WEIGHTS_INDEX} & set(files):
        missing.append(WEIGHTS)
    if missing:
        raise UserError(
            f"{uri}: {', '.join(missing)} missing, serve the artifact of the export step, "
            "or the whole folder of a base model"
        )
    return _read(path, manifest, files)


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


def _read(path: Path, manifest: artifacts.Manifest, files: tuple[str, ...]) -> ModelFolder:
    config = storage.read_json(str(path / CONFIG))
    architectures = config.get("architectures") or []
    if len(architectures) != 1 or not str(architectures[0]).endswith("ForCausalLM"):
        raise UserError(
            f"{path}/{CONFIG}: architectures must be one that writes text, as LlamaForCausalLM, got {architectures}"
        )
    tokenizer = storage.read_json(str(path / TOKENIZER))
    refuse_other_vocabularies(tokenizer)
    added = marks.added_ids(tokenizer.get("added_tokens", ()))
    generation = hubfolder.read_optional(path, GENERATION, files)
    settings = hubfolder.read_optional(path, TOKENIZER_CONFIG, files)
    ends, openings, layout = end_ids(config, generation), PLAIN, layout_of(config)
    if manifest.step == HUB_STEP:
        ends |= marks.final_ids(added)
        if marks.is_of(marks.QWEN_FILES, added) or marks.is_of(marks.STARCODER2_FILES, added):
            layout = "Repository"
        openings = _openings(settings, tokenizer, generation.get("bos_token_id", config.get("bos_token_id")))
    return ModelFolder(
        path=path,
        digest=manifest.digest,
        files=files,
        context_length=_number(path, config, *CONTEXT_KEYS),
        vocabulary_size=_number(path, config, "vocab_size"),
        end_ids=ends,
        golden=read_golden(path, ends),
        fim=order_of(
            config.get(OBJECTIVE_KEY), marks.roles_of(added), is_suffix_first=bool(marks.suffix_first(added))
        ),
        layout=layout,
        openings=openings,
        chat=hubfolder.chat_template(path, files, settings),
        is_base=manifest.step == HUB_STEP,
        config=config,
    )


def _number(path: Path, config: Mapping[str, Any], *keys: str) -> int:
    """Return a whole number of a model's config by the first of its names that is there."""
    found = next((config[key] for key in keys if config.get(key) is not None), None)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        names = " or ".join(keys)
        raise UserError(
            f"{path}/{CONFIG}: {names} must be a whole number above 0, got {found!r}: "
            f"a model of {config['architectures'][0]} without it is not served"
        )
    return found


def _openings(settings: Mapping[str, Any], tokenizer: Mapping[str, Any], bos: object) -> Openings:
    """Return what a foreign model wants at the front; an empty prompt is its first token, as in transformers."""
    begin = hubfolder.begin_ids(tokenizer, settings)
    first = begin[-1] if begin else bos
    return Openings(begin, first if isinstance(first, int) else 0)


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
