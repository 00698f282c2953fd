"""The GGUF file says what the folder says. What llama.cpp makes of it is in docs/decisions/0076-text-is-text.md."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_data.tokenizer.step import padded, train
from daybreak_model.llama.config import OBJECTIVE_KEY, llama_config
from daybreak_model.llama.sizes import Dimensions
from daybreak_model.llama.weights import to_transformers
from daybreak_model.vocabulary import special_ids
from daybreak_pipelines.cli import main
from daybreak_train.export import gguf
from daybreak_train.model import Llama, ModelConfig, initialise
from tests.train.conftest import make_tokenizer, some_code

DIMS = Dimensions(hidden_size=32, layers=2, heads=4, key_value_heads=2, intermediate_size=48)
SCALARS = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}


@pytest.fixture(params=["float32", "bfloat16"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tokenizer_json = padded(str(train(iter(some_code()), 480).to_str()))
    (tmp_path / "tokenizer.json").write_text(tokenizer_json)
    config = llama_config(DIMS, 512, 64, special_ids(tokenizer_json), request.param)
    config[OBJECTIVE_KEY] = "fillInTheMiddle"
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = Llama(ModelConfig(DIMS, 512, 64))
    initialise(model, 1)
    state = to_transformers(model.state_dict(), DIMS)
    dtype = getattr(torch, request.param)
    save_file({name: value.to(dtype) for name, value in state.items()}, tmp_path / "model.safetensors")
    return tmp_path


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a GGUF file by the letter of its description."""
    with path.open("rb") as file:
        assert file.read(4) == b"GGUF"
        version, num_tensors, num_keys = struct.unpack("<IQQ", file.read(20))
        assert version == 3
        header = {_text(file): _read_value(file, *struct.unpack("<I", file.read(4))) for _ in range(num_keys)}
        described = []
        for _ in range(num_tensors):
            name = _text(file)
            (num_dims,) = struct.unpack("<I", file.read(4))
            shape = struct.unpack(f"<{num_dims}Q", file.read(8 * num_dims))[::-1]
            described.append((name, shape, *struct.unpack("<IQ", file.read(12))))
        start = -(-file.tell() // 32) * 32
        data = path.read_bytes()
    tensors = {}
    for name, shape, kind, offset in described:
        assert offset % 32 == 0
        dtype = {0: torch.float32, 30: torch.bfloat16}[kind]
        count = int(np.prod(shape))
        part = bytearray(data[start + offset : start + offset + count * dtype.itemsize])
        tensors[name] = torch.frombuffer(part, dtype=dtype).reshape(shape)
    return header, tensors


def _text(file: BinaryIO) -> str:
    return file.read(struct.unpack("<Q", file.read(8))[0]).decode()


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return _text(file)
    if kind == 9:
        of, count = struct.unpack("<IQ", file.read(12))
        return [_read_value(file, of) for _ in range(count)]
    return struct.unpack(SCALARS[kind], file.read(struct.calcsize(SCALARS[kind])))[0]


def test_the_file_holds_model_and_tokenizer(folder: Path) -> None:
    gguf.write(folder, folder / "model.gguf")
    header, tensors = read(folder / "model.gguf")
    document = json.loads((folder / "tokenizer.json").read_text())
    assert (header["general.architecture"], header["tokenizer.ggml.pre"]) == ("llama", "qwen2")
    assert (header["llama.block_count"], header["llama.attention.head_count_kv"]) == (2, 2)
    assert header["llama.rope.freq_base"] == json.loads((folder / "config.json").read_text())["rope_theta"]
    tokens = header["tokenizer.ggml.tokens"]
    assert len(tokens) == header["llama.vocab_size"] == 512
    assert all(tokens[index] == token for token, index in document["model"]["vocab"].items())
    assert len(header["tokenizer.ggml.merges"]) == len(document["model"]["merges"])
    control = {
        token for token, kind in zip(tokens, header["tokenizer.ggml.token_type"], strict=True) if kind == 3
    }
    assert control == {entry["content"] for entry in document["added_tokens"]}
    assert tokens[header["tokenizer.ggml.fim_mid_token_id"]] == names.FIM_MIDDLE
    weights = load_file(folder / "model.safetensors")
    assert len(tensors) == len(weights)
    assert torch.equal(tensors["token_embd.weight"], weights["model.embed_tokens.weight"])
    assert torch.equal(tensors["blk.1.ffn_down.weight"], weights["model.layers.1.mlp.down_proj.weight"])
    assert tensors["blk.0.attn_norm.weight"].dtype == torch.float32


def test_queries_and_keys_are_rotated_by_neighbours(folder: Path) -> None:
    gguf.write(folder, folder / "model.gguf")
    _, tensors = read(folder / "model.gguf")
    weights = load_file(folder / "model.safetensors")
    theirs, ours = tensors["blk.0.attn_q.weight"], weights["model.layers.0.self_attn.q_proj.weight"]
    for head in range(4):  # of 8 rows: row j and j + 4 are turned together in ours, 2 j and 2 j + 1 in theirs
        for row in range(4):
            assert torch.equal(theirs[8 * head + 2 * row], ours[8 * head + row])
            assert torch.equal(theirs[8 * head + 2 * row + 1], ours[8 * head + row + 4])


def test_a_tokenizer_that_splits_otherwise_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(make_tokenizer().to_str())
    with pytest.raises(UserError, match="another way than Qwen2"):
        gguf.write(folder, folder / "model.gguf")
    assert not (folder / "model.gguf").exists()


def test_a_user_asks_for_it_by_one_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = folder / "new" / "model.gguf"
    assert main(["export", str(folder), "--gguf", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    assert read(target)[0]["general.architecture"] == "llama"
    assert [path.name for path in target.parent.iterdir()] == ["model.gguf"]


def test_a_base_model_is_left_to_its_own_converter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`daybreak serve` takes another family's folder, so someone will export one: its biases have no place here."""
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "torch_dtype": "bfloat16"}))
    assert main(["export", str(folder), "--gguf", str(folder / "m.gguf")]) == 2
    assert (
        "a model of qwen2 that was not trained here, convert it with llama.cpp's" in capsys.readouterr().err
    )
    assert not list(folder.glob("*m.gguf*"))


def test_what_is_no_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert main(["export", str(tmp_path), "--gguf", str(tmp_path / "x.gguf")]) == 2
    assert "not a model folder (no tokenizer.json)" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "absent"), "--gguf", str(tmp_path / "x.gguf")]) == 2
    assert "no finished run here" in capsys.readouterr().err
