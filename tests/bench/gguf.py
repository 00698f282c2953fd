"""A trained model as a GGUF file: read by the package gguf, and continued by llama.cpp as by our engine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

from daybreak_contracts import names
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import CustomModel, Model
from daybreak_contracts.steps import ExportArgs
from daybreak_data.tokenizer.step import padded, train
from daybreak_pipelines.cli import main
from daybreak_train.export.step import run_export
from tests.bench.peer import run_peer
from tests.bench.row import Row
from tests.train.conftest import Made, Zygote, make_shards_artifact, make_tokenizer_artifact, some_code

REQUIREMENTS = ("xllamacpp==2026.10.11549", "gguf==0.19.0")
PEER = "llama.cpp (xllamacpp 2026.10.11549)"
STEPS, NEW = 150, 24
SHAPE = CustomModel(hidden_size=128, layers=4, heads=4, key_value_heads=2, intermediate_size=256)
PROMPTS = (
    "def count_total(",
    "class Node:\n    def __init__(self, ",
    "for index in range(10):\n    if index > ",
    "value = {'name': 3, 'path': [",
    "    return first + last * ",
)


def measure() -> list[Row]:
    """Train some steps, export, write the file by the command, and let both continue the prompts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = _exported(folder)
        file = folder / "model.gguf"
        assert main(["export", model, "--gguf", str(file)]) == 0
        given = folder / "given.json"
        given.write_text(json.dumps({"prompts": PROMPTS, "new": NEW}))
        theirs = run_peer("gguf", REQUIREMENTS, "gguf_file.py", str(file), str(given))
        ours = [_continued(Path(model), prompt) for prompt in PROMPTS]
    equal = sum(text == found for (text, _), found in zip(ours, theirs["texts"], strict=True))
    counts = sum(count == found for (_, count), found in zip(ours, theirs["prompt_tokens"], strict=True))
    weights = 2 + 9 * SHAPE.layers
    what = f"of {len(PROMPTS)} prompts"
    return [
        Row("tensors that the reader finds", len(theirs["tensors"]), "", str(weights), "gguf 0.19.0"),
        Row(f"{what}: encoded to as many tokens", counts, "", str(len(PROMPTS)), PEER),
        Row(f"{what}: the same {NEW} greedy tokens as our engine", equal, "", str(len(PROMPTS)), PEER),
    ]


def _exported(folder: Path) -> str:
    tokenizer = Tokenizer.from_str(padded(str(train(iter(some_code()), 480).to_str())))
    made = Made(make_tokenizer_artifact(folder, tokenizer), make_shards_artifact(folder, tokenizer))
    zygote = Zygote()
    try:
        args = made.args(folder, tokens=STEPS * 4096, model=Model(custom=SHAPE))
        trained = zygote.run(args, folder)
    finally:
        zygote.close()
    wanted = ExportArgs(
        output=str(folder / "out"),
        work_dir=str(folder / "work"),
        trained=trained["uri"],
        tokenizer=made.tokenizer,
    )
    return run_export(wanted, Progress("export")).uri


def _continued(folder: Path, prompt: str) -> tuple[str, int]:
    """Return our engine's greedy text, as far as the text's end, and the tokens of the prompt."""
    from daybreak_serve.engine.decoder import Cache, DecoderModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model, end = DecoderModel(folder, num_threads=1), tokenizer.token_to_id(names.END_OF_TEXT)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    cache, _ = model.start(ids)
    assert isinstance(cache, Cache)
    tokens = [int(model.advance(cache, ids).argmax())]
    while len(tokens) < NEW and tokens[-1] != end:
        tokens.append(int(model.advance(cache, tokens[-1:]).argmax()))
    return tokenizer.decode([token for token in tokens if token != end]), len(ids)
