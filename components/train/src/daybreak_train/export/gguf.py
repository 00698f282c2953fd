"""An exported folder as one GGUF file, for llama.cpp and what is built on it: ``daybreak export RUN --gguf FILE``.

Owns the format (ggml's gguf.md, version 3) and the names that llama.cpp gives to a Llama's tensors. llama.cpp's own
converter knows a vocabulary by a hash of what it encodes a text to, so it cannot know one that was trained here
(docs/decisions/0076-text-is-text.md); the split pattern is Qwen2's, whose name it does know.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_model.llama.config import OBJECTIVE_KEY
from daybreak_model.vocabulary import SPLIT_PATTERN, special_ids
from daybreak_train import places

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
PRE_TOKENIZER = "qwen2"
NORMAL, CONTROL = 1, 3
"""Kinds of tokens."""
TENSOR_KINDS = {"float32": 0, "bfloat16": 30}
FILE_KINDS = {"float32": 0, "bfloat16": 32}
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_OF_LAYERS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True)
class Typed:
    """A value of the header and its type; of an array the type of its elements."""

    kind: int
    value: Any


def write_model(uri: str, target: Path) -> None:
    """Write the GGUF file of a model folder, wherever it lies; what is no folder of ours is a UserError."""
    for name in ("config.json", "tokenizer.json", places.WEIGHTS):
        if not storage.exists(storage.join(uri, name)):
            raise UserError(f"{uri}: not a model folder (no {name}), give a finished run or what it exported")
    with storage.translated(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not storage.is_remote(uri):
            write(storage.local_path(uri), target)
            return
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".daybreak-export-") as copied:
            storage.copy_tree(uri, copied)
            write(Path(copied), target)


def write(folder: Path, target: Path) -> None:
    """Write an exported model folder as a GGUF file; norms stay in fp32, which llama.cpp wants."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if OBJECTIVE_KEY not in config:
        raise UserError(
            f"{folder}: a model of {config.get('model_type', 'another family')} that was not trained here, "
            "convert it with llama.cpp's convert_hf_to_gguf.py, which knows it"
        )
    header = {
        **model_header(config),
        **tokenizer_header((folder / "tokenizer.json").read_text(encoding="utf-8")),
    }
    weights = load_file(folder / places.WEIGHTS)
    tensors = {gguf_name(name): laid_out(name, value, config) for name, value in weights.items()}
    partial = target.with_name(f".{target.name}.partial")
    with partial.open("wb") as file:
        _write_header(file, header, tensors)
        for tensor in tensors.values():
            file.write(bytes(-file.tell() % ALIGNMENT))
            file.write(_bytes_of(tensor))
    partial.replace(target)


def model_header(config: Mapping[str, Any]) -> dict[str, Typed]:
    """Return what llama.cpp must know of a model, of its ``config.json``."""
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    numbers = {
        "vocab_size": config["vocab_size"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": head_size,
        "attention.value_length": head_size,
        "rope.dimension_count": head_size,
    }
    return {
        "general.architecture": Typed(_STRING, "llama"),
        "general.alignment": Typed(_UINT32, ALIGNMENT),
        "general.file_type": Typed(_UINT32, FILE_KINDS[config.get("torch_dtype", "float32")]),
        **{f"llama.{name}": Typed(_UINT32, number) for name, number in numbers.items()},
        "llama.attention.layer_norm_rms_epsilon": Typed(_FLOAT32, config["rms_norm_eps"]),
        "llama.rope.freq_base": Typed(_FLOAT32, config["rope_theta"]),
    }


def tokenizer_header(tokenizer_json: str) -> dict[str, Typed]:
    """Return tokens, merges and the ids with a meaning, of the text of a ``tokenizer.json``."""
    document = json.loads(tokenizer_json)
    _check_split(document)
    added = {entry["id"]: entry["content"] for entry in document["added_tokens"]}
    tokens = {index: token for token, index in document["model"]["vocab"].items()} | added
    if sorted(tokens) != list(range(len(tokens))):
        raise UserError("tokenizer.json: ids must be 0 to n - 1 without gaps")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in document["model"]["merges"]]
    special = special_ids(tokenizer_json)
    meanings = {
        "bos": names.END_OF_TEXT,
        "eos": names.END_OF_TEXT,
        "padding": names.FIM_PAD,
        "fim_pre": names.FIM_PREFIX,
        "fim_suf": names.FIM_SUFFIX,
        "fim_mid": names.FIM_MIDDLE,
        "fim_pad": names.FIM_PAD,
    }
    prefix = "tokenizer.ggml"
    return {
        f"{prefix}.model": Typed(_STRING, "gpt2"),
        f"{prefix}.pre": Typed(_STRING, PRE_TOKENIZER),
        f"{prefix}.tokens": Typed(_STRING, [tokens[index] for index in range(len(tokens))]),
        f"{prefix}.token_type": Typed(
            _INT32, [CONTROL if index in added else NORMAL for index in range(len(tokens))]
        ),
        f"{prefix}.merges": Typed(_STRING, merges),
        f"{prefix}.add_bos_token": Typed(_BOOL, False),
        **{f"{prefix}.{what}_token_id": Typed(_UINT32, special[name]) for what, name in meanings.items()},
    }


def _check_split(document: Mapping[str, Any]) -> None:
    before = document.get("pre_tokenizer") or {}
    patterns = [part.get("pattern") for part in before.get("pretokenizers", [before])]
    if {"Regex": SPLIT_PATTERN} not in patterns:
        raise UserError(
            "tokenizer.json: splits text in another way than Qwen2, llama.cpp would read it wrongly"
        )


def gguf_name(name: str) -> str:
    """Return llama.cpp's name of a tensor.

    >>> gguf_name("model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in outer:
        return outer[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_OF_LAYERS[part]}.weight"


def laid_out(name: str, tensor: Any, config: Mapping[str, Any]) -> Any:
    """Return a tensor as llama.cpp wants it: it rotates neighbours where transformers rotates halves."""
    if tensor.ndim == 1:
        return tensor.float()
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(name.split(".")[-2])
    if heads is None:
        return tensor
    rows, columns = tensor.shape
    halves = tensor.reshape(config[heads], 2, rows // config[heads] // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _write_header(file: BinaryIO, header: Mapping[str, Typed], tensors: Mapping[str, Any]) -> None:
    file.write(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(header)))
    for key, typed in header.items():
        file.write(_string(key) + b"".join(_value(typed)))
    offset = 0
    for name, tensor in tensors.items():
        shape = tuple(reversed(tensor.shape))
        file.write(_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        file.write(struct.pack("<IQ", TENSOR_KINDS[str(tensor.dtype).removeprefix("torch.")], offset))
        size = tensor.numel() * tensor.element_size()
        offset += size + -size % ALIGNMENT
    file.write(bytes(-file.tell() % ALIGNMENT))


def _value(typed: Typed) -> Iterator[bytes]:
    if isinstance(typed.value, list):
        yield struct.pack("<IIQ", _ARRAY, typed.kind, len(typed.value))
        yield from (_scalar(typed.kind, item) for item in typed.value)
    else:
        yield struct.pack("<I", typed.kind) + _scalar(typed.kind, typed.value)


def _scalar(kind: int, value: Any) -> bytes:
    formats = {_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f", _BOOL: "<?"}
    return _string(value) if kind == _STRING else struct.pack(formats[kind], value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _bytes_of(tensor: Any) -> bytes:
    import torch

    return bytes(tensor.contiguous().view(torch.uint8).numpy().tobytes())
