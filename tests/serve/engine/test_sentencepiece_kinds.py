"""Other kinds of SentencePiece vocabularies beside the tokenizers library: Unigram, and conversations in both ways that
files put blanks behind marks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_model.sentencepiece import BYTES
from daybreak_model.vocabulary import TextEncoder, token_bytes
from daybreak_serve.engine.detokenize import Detokenizer
from daybreak_serve.gateway.chat.prompts import MarkSplit
from tests.serve.conftest import TEXTS

SAMPLES = [
    *TEXTS,
    "    indented",
    "x",
    "für 数据 🙂\t\n  ",
    "<s> </s> [INST] <0x0A>",
    "\n",
    "a  b   c",
    "\u200b\x00",
]
MARKS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
CHATS = {
    "Llama 2": "<s>[INST] <<SYS>>\nYou write code.\n<</SYS>>\n\nadd a and b [/INST] a + b </s><s>[INST] now? [/INST]",
    "ChatML": "<|im_start|>user\nadd a and b<|im_end|>\n<|im_start|>assistant\n",
    "text before the first mark": "System: code\n<|im_start|> user\n  indented<|im_end|>",
    "marks side by side": "<s><|im_start|><|im_end|> x",
}
OPENINGS = ("Prepend", "first", "always", "never")


def unigram(opening: str) -> Any:
    """Return a tokenizer with a trained Unigram and byte fallback, as transformers' converter of Llama makes it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False
    )
    trained.train_from_iterator(TEXTS * 5, trainer)
    pieces = [tuple(entry) for entry in json.loads(trained.to_str())["model"]["vocab"]]
    vocabulary = [*pieces[:3], *((byte, 0.0) for byte in BYTES), *pieces[3:]]
    tokenizer = Tokenizer(models.Unigram(vocabulary, 0, byte_fallback=True))
    blanks, tail = decoders.Replace("▁", " "), [decoders.ByteFallback(), decoders.Fuse()]
    if opening == "Prepend":
        prepend = normalizers.Prepend("▁")
        tokenizer.normalizer = normalizers.Sequence([prepend, normalizers.Replace(" ", "▁")])
        tail.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=opening, split=False)
    tokenizer.decoder = decoders.Sequence([blanks, *tail])
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in MARKS])
    return tokenizer


@pytest.fixture(scope="module", params=OPENINGS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return unigram(request.param)


def text_of(table: tuple[bytes, ...], ids: list[int]) -> str:
    detokenizer = Detokenizer(table)
    return "".join(detokenizer.add(index) for index in ids) + detokenizer.finish()


def test_a_unigram_text_has_the_librarys_tokens_and_comes_back(tokenizer: Any) -> None:
    """All but the first blank: a piece of a prompt has none of its own."""
    encoder, table = TextEncoder(tokenizer.to_str()), token_bytes(tokenizer.to_str(), special_as_text=False)
    for text in SAMPLES:
        found = encoder.encode_behind_marks(text, is_first=True)
        if not any(mark in text for mark in (*MARKS, "<0x")):  # which the library would not read as text
            assert found == tokenizer.encode(text, add_special_tokens=False).ids
        ids = encoder.encode(text)
        assert text_of(table, ids) == text
        assert not {tokenizer.token_to_id(mark) for mark in (*MARKS, "<unk>")} & set(ids)


@pytest.mark.parametrize("name", CHATS)
def test_a_conversation_has_the_librarys_tokens(tokenizer: Any, name: str) -> None:
    document = json.loads(tokenizer.to_str())
    split, encoder = MarkSplit(document["added_tokens"]), TextEncoder(tokenizer.to_str())
    found = split.encoded(CHATS[name], encoder.encode_behind_marks)
    assert found == tokenizer.encode(CHATS[name], add_special_tokens=False).ids


def test_a_plain_added_token_keeps_its_id_behind_marks() -> None:
    from tokenizers import AddedToken

    made = unigram("first")
    made.add_tokens([AddedToken("öö", normalized=False)])
    index = made.token_to_id("öö")
    assert index in TextEncoder(made.to_str()).encode("aööb")
    assert token_bytes(made.to_str(), special_as_text=False)[index] == "öö".encode()


def test_a_vocabulary_without_all_bytes_is_refused() -> None:
    document = json.loads(unigram("first").to_str())
    without = [entry for entry in document["model"]["vocab"] if entry[0] != "<0x0A>"]
    for change in ({"vocab": without}, {"byte_fallback": False}):
        text = json.dumps({**document, "model": {**document["model"], **change}})
        with pytest.raises(UserError, match="a token for each byte"):
            token_bytes(text, special_as_text=False)


def test_code_llamas_conversations_are_those_of_transformers(tmp_path: Path) -> None:
    """By the class that reads its files, with Llama 2's template shortened."""
    from transformers import AutoTokenizer, CodeLlamaTokenizer

    from tests.serve.engine.test_sentencepiece import vocabulary

    vocab, merges = vocabulary()
    saved = CodeLlamaTokenizer(vocab=vocab, merges=merges)
    template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
    )
    saved.chat_template = template
    saved.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    messages = [
        {"role": "user", "content": "def add(a, b):\n    # schön"},
        {"role": "assistant", "content": "    return a + b"},
        {"role": "user", "content": "now?"},
    ]
    expected = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    split = MarkSplit(json.loads(text)["added_tokens"])
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert split.encoded(rendered, TextEncoder(text).encode_behind_marks) == expected
