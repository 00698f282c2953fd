"""The export step: trained weights to a folder that any Llama server loads.

Owns the mapping to ``transformers.LlamaForCausalLM`` and the proof that both compute the same: logits and greedy
tokens are compared before anything is committed, and a golden completion goes with the folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import ExportArgs, ExportResult
from daybreak_model.llama.config import OBJECTIVE_KEY, llama_config
from daybreak_model.repository_context import LAYOUT_KEY, Layout
from daybreak_model.vocabulary import respelled, special_ids, with_control_spellings
from daybreak_train import places
from daybreak_train.export.proof import prove
from daybreak_train.run_key import made_by

CODE_VERSION = 3
GOLDEN = "golden.json"


def run_export(args: ExportArgs, progress: Progress) -> ExportResult:
    """Write, load and compare the model folder, or return the one that is there."""
    trained = made_by(names.STEP_TRAIN, args.trained)
    tokenizer = made_by(names.STEP_TOKENIZER, args.tokenizer)
    inputs = {"trained": trained.digest, "tokenizer": tokenizer.digest}
    if trained.inputs.get("tokenizer") != tokenizer.digest:
        raise UserError(f"{args.trained}: was trained with another tokenizer than {args.tokenizer}")
    digest = artifacts.digest_of(
        {
            "step": names.STEP_EXPORT,
            "codeVersion": CODE_VERSION,
            "inputs": inputs,
            "weights": trained.content_digest,
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_EXPORT, digest)

    def write(staging: Path) -> dict[str, Any]:
        parameters = _write_folder(args, staging, trained, tokenizer, progress)
        return ExportResult(uri=uri, digest=digest, num_parameters=parameters).model_dump(exclude={"cached"})

    manifest, cached = artifacts.produce(
        uri,
        step=names.STEP_EXPORT,
        digest=digest,
        inputs=inputs | data_of(trained, tokenizer),
        work_dir=args.work_dir,
        write=write,
    )
    return ExportResult.model_validate({**manifest.result, "cached": cached})


def data_of(trained: Manifest, tokenizer: Manifest) -> dict[str, str]:
    """Return the digests of the data that a model was trained on: its folder names them wherever it is copied to."""
    named = {
        names.STEP_SHARDS: trained.inputs.get("shards"),
        names.STEP_DOCUMENTS: tokenizer.inputs.get("documents"),
    }
    return {name: digest for name, digest in named.items() if digest is not None}


def _write_folder(
    args: ExportArgs, staging: Path, trained: Manifest, tokenizer: Manifest, progress: Progress
) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    progress.report("reading the weights")
    artifacts.verify(args.trained, trained)
    artifacts.verify(args.tokenizer, tokenizer)
    _write_tokenizer(args.tokenizer, tokenizer, staging)
    model = load_trained(args.trained)
    expect_finite(args.trained, model.state_dict())
    parameters = int(sum(weight.numel() for weight in model.parameters()))
    progress.report("writing the model folder")
    dtype = dtype_of(args.trained)
    _write_weights(model, staging, dtype)
    token_ids = _token_ids(staging / "tokenizer.json")
    own = model.config
    config = llama_config(own.dims, own.vocabulary_size, own.context_length, token_ids, dtype)
    layout = layout_of(args.trained)
    asked = {OBJECTIVE_KEY: objective_of(args.trained), **({} if layout == "File" else {LAYOUT_KEY: layout})}
    storage.write_json(str(staging / "config.json"), {**config, **asked})
    storage.write_json(str(staging / "generation_config.json"), _generation_config(token_ids, layout))
    progress.report("comparing with transformers")
    storage.write_json(str(staging / GOLDEN), prove(model, staging))
    return parameters


def load_trained(uri: str) -> Any:
    """Return the ``Llama`` of a train artifact, in fp32 on the CPU; its weights are those that are exported."""
    import torch
    from safetensors.torch import load

    from daybreak_model.llama.sizes import Dimensions
    from daybreak_train.model import Llama, ModelConfig

    try:
        described = storage.read_json(storage.join(uri, "model.json"))
        config = ModelConfig(
            Dimensions(**described["dimensions"]), described["vocabularySize"], described["contextLength"]
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{uri}/model.json: does not describe a model of ours ({error})") from error
    model = Llama(config)
    model.load_state_dict(load(storage.read_bytes(storage.join(uri, places.WEIGHTS))))
    if dtype_of(uri) == "bfloat16":
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.bfloat16())
    model.eval()
    return model


def dtype_of(uri: str) -> str:
    """Return what a train artifact's products were computed in, as torch calls it: weights are exported in no more."""
    return str(storage.read_json(storage.join(uri, "model.json")).get("dtype", "float32"))


def expect_finite(uri: str, tensors: Mapping[str, Any]) -> None:
    """Refuse weights that are not all finite: every comparison with NaN is false, so no other check would see them."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{uri}: {name} holds values that are not finite, train again")


def objective_of(uri: str) -> str:
    """Return what a train artifact was trained for, in the manifest's words: serving asks whether it fills gaps."""
    described = storage.read_json(storage.join(uri, "model.json")).get("objective", {})
    if "ul2" in described:
        return "ul2"
    wanted = described.get("fillInTheMiddle")
    return "fillInTheMiddle" if wanted is not None and float(wanted["rate"]) > 0 else "nextToken"


def layout_of(uri: str) -> Layout:
    """Return how the documents of a train artifact were packed: whether a model knows of other files in front."""
    found: Layout = storage.read_json(storage.join(uri, "model.json")).get("layout", "File")
    return found


def _write_tokenizer(uri: str, tokenizer: Manifest, staging: Path) -> None:
    """Copy the tokenizer; an earlier one's special tokens that code can spell get today's spellings."""
    for entry in tokenizer.files:
        storage.copy_file(storage.join(uri, entry.path), str(staging / entry.path))
    file = staging / "tokenizer.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(with_control_spellings(text), encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if not (staging / name).exists():
            continue
        described = storage.read_json(str(staging / name))
        if "additional_special_tokens" in described:
            listed = [respelled(token) for token in described["additional_special_tokens"]]
            storage.write_json(str(staging / name), {**described, "additional_special_tokens": listed})


def _generation_config(token_ids: dict[str, int], layout: Layout) -> dict[str, Any]:
    # a file of a repository ends where the next one begins
    ends = [names.END_OF_TEXT, names.FIM_PAD, *([names.FILE_SEPARATOR] if layout == "Repository" else [])]
    return {
        "bos_token_id": token_ids[names.END_OF_TEXT],
        "eos_token_id": [token_ids[name] for name in ends],
        "pad_token_id": token_ids[names.FIM_PAD],
        "do_sample": False,
    }


def _token_ids(tokenizer_file: Path) -> dict[str, int]:
    found = special_ids(tokenizer_file.read_text(encoding="utf-8"))
    missing = {names.END_OF_TEXT, names.FIM_PAD} - found.keys()
    if missing:
        raise UserError(f"the tokenizer has no token {sorted(missing)[0]}")
    return found


def _write_weights(model: Any, staging: Path, dtype: str) -> None:
    import torch

    from daybreak_model.llama.weights import to_transformers
    from daybreak_train.checkpoints import tensor_files

    state = to_transformers(model.state_dict(), model.config.dims)
    state = {name: value.to(getattr(torch, dtype)) for name, value in state.items()}
    tensor_files.save(state, staging / places.WEIGHTS, metadata={"format": "pt"})
