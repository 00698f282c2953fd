"""Models whose vocabulary SentencePiece made, beside transformers: CodeLlama's prompts, Codestral's order, texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daybreak_model.fim import PromptEncoder
from daybreak_model.vocabulary import TextEncoder, token_bytes
from daybreak_serve.engine.decoder import DecoderModel
from daybreak_serve.engine.detokenize import Detokenizer
from daybreak_serve.modelfolder import ModelFolder, open_model
from tests.serve.conftest import TEXTS
from tests.serve.families import SHAPE, Reference

MARKS = ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>")
PREFIXES = [
    "def add(a, b):\n    return ",
    "    indented",
    "x",
    "für 数据 🙂\t\n  ",
    "<s> </s> ▁<PRE> <0x0A>",
    "\n",
    "",
]
SUFFIX = "\n\nprint(add(1, 2))  # 数\n"


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Train a BPE with byte fallback, as SentencePiece's trainer makes it: blanks are U+2581."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=430, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [
        tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]
    ]
    return model["vocab"], merges


def write_code_llama(folder: Path) -> None:
    """Write a random Llama with CodeLlama's tokenizer by transformers alone."""
    import torch
    from transformers import CodeLlamaTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    vocab, merges = vocabulary()
    CodeLlamaTokenizer(vocab=vocab, merges=merges).save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=len(vocab) + 8, **SHAPE, bos_token_id=1, eos_token_id=2, rope_theta=1e6)
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codellama")
    write_code_llama(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return open_model(str(folder), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference.of(folder)


def encoder_of(model: ModelFolder) -> PromptEncoder:
    text = (model.path / "tokenizer.json").read_text(encoding="utf-8")
    return PromptEncoder(text, model.fim, model.layout, model.openings)


def _pieces(tokenizer: Any, text: str) -> list[int]:
    return [int(index) for index in tokenizer(text, add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize("prefix", [text for text in PREFIXES if "<s>" not in text])
def test_a_prompt_is_that_of_transformers(model: ModelFolder, reference: Reference, prefix: str) -> None:
    found = encoder_of(model).compose(prefix, None, 200).token_ids
    assert list(found) == reference.tokenizer(prefix)["input_ids"]


@pytest.mark.parametrize("prefix", [text for text in PREFIXES if "<s>" not in text and text])
def test_a_gap_is_composed_as_transformers_does(
    model: ModelFolder, reference: Reference, prefix: str
) -> None:
    assert model.fim == "PSM"
    found = encoder_of(model).compose(prefix, SUFFIX, 200).token_ids
    tokenizer = reference.tokenizer
    pre, suf, mid = tokenizer.convert_tokens_to_ids(list(MARKS[:3]))
    assert (found[:2], found[-1]) == ((1, pre), mid)
    begin = found.index(suf)
    assert list(found[2:begin]) == _pieces(tokenizer, prefix)
    without_blank = list(found[begin + 1 : -1])
    assert token_text(model, without_blank) == SUFFIX  # as Meta's encoder: no blank before what stands behind
    assert without_blank != _pieces(tokenizer, SUFFIX)


def token_text(model: ModelFolder, ids: list[int]) -> str:
    table = token_bytes((model.path / "tokenizer.json").read_text(encoding="utf-8"), special_as_text=False)
    detokenizer = Detokenizer(table)
    return "".join(detokenizer.add(index) for index in ids) + detokenizer.finish()


@pytest.mark.parametrize("text", PREFIXES)
def test_any_text_comes_back_from_its_tokens_and_none_is_a_mark(
    model: ModelFolder, reference: Reference, text: str
) -> None:
    encoder = TextEncoder((model.path / "tokenizer.json").read_text(encoding="utf-8"))
    ids = encoder.encode(text)
    assert token_text(model, ids) == text.replace("▁", " ")
    assert not {0, 1, 2} & set(ids)
    (before,) = _pieces(reference.tokenizer, "\n")[
        -1:
    ]  # transformers drops the first blank of what it decodes
    assert reference.tokenizer.decode([before, *ids]) == "\n" + token_text(model, ids)


@pytest.mark.slow
def test_tokens_are_those_of_transformers(model: ModelFolder, reference: Reference) -> None:
    prompt = list(encoder_of(model).compose(PREFIXES[0], SUFFIX, 200).token_ids)
    expected = reference.greedy(prompt, 24, ends=())
    engine = DecoderModel(model.path, num_threads=1)
    cache, _ = engine.start(prompt)
    tokens = [int(engine.advance(cache, prompt).argmax())]
    while len(tokens) < len(expected):
        tokens.append(int(engine.advance(cache, tokens[-1:]).argmax()))
    assert tokens == expected


def test_a_text_ends_at_its_marks(model: ModelFolder, reference: Reference) -> None:
    assert set(reference.tokenizer.convert_tokens_to_ids(list(MARKS))) | {2} <= model.end_ids


def test_codestral_is_asked_suffix_first_without_a_mark_for_the_middle(folder: Path, tmp_path: Path) -> None:
    """As mistral-common's ``encode_fim`` has it: the mark, the suffix, the mark, the prefix."""
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    for entry in document["added_tokens"]:
        entry["content"] = {"▁<PRE>": "[PREFIX]", "▁<SUF>": "[SUFFIX]", "▁<MID>": "[MIDDLE]"}.get(
            entry["content"], entry["content"]
        )
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    found = open_model(str(tmp_path), tmp_path / "cache")
    encoder, ids = encoder_of(found), {entry["content"]: entry["id"] for entry in document["added_tokens"]}
    prompt = encoder.compose("x", "y", 200).token_ids
    assert found.fim == "SPM"
    assert prompt == (
        *found.openings.begin,
        ids["[SUFFIX]"],
        *encoder.text.encode("y"),
        ids["[PREFIX]"],
        *encoder.text.encode(" x"),
    )
