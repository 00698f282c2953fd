"""Encoding: lossless, blind to the spelling of special tokens, and the same by both engines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_data.tokenizer import encoding
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.vocabulary import token_bytes
from tests.plugins.profiles import examples


def environment_code() -> list[str]:
    """Text of the interpreter's own library, with its test tables of other scripts."""
    root = Path(json.__file__).parent.parent
    paths = sorted([*root.glob("*.py"), *root.glob("encodings/*.py"), *root.glob("test/test_[cru]*.py")])
    return [path.read_bytes().decode("utf-8", "ignore") for path in paths[::2]]


@cache
def trained() -> str:
    return tokenizer.padded(tokenizer.train(iter(environment_code()[::3]), 2000).to_str())


@cache
def encoder(engine: str) -> encoding.Encoder:
    return encoding.load_encoder(trained(), engine)


PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [*names.SPECIAL_TOKENS, "<|reserved_0|>", " ", "\n", "\r\n", "\t", "    ", "def f(x1):", "'LL"]
    ),
    st.text(alphabet="ab1 \n\t\r'_=-\u00e9\u0301\u4f60\U0001f469\u200d", max_size=40),
)
TEXTS = st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=5)


@pytest.mark.slow
@given(TEXTS)
@settings(max_examples=examples(300), deadline=None)
def test_both_engines_agree_lose_nothing_and_make_no_special_token(texts: list[str]) -> None:
    table = token_bytes(trained(), special_as_text=True)
    fast = encoding.encode_texts(encoder(encoding.AUTO), texts)
    reference = encoding.encode_texts(encoder(encoding.REFERENCE), texts)
    for text, ours, theirs in zip(texts, fast, reference, strict=True):
        assert np.array_equal(ours, theirs)
        assert encoding.decode_bytes(table, ours) == text.encode()
        assert all(len(names.SPECIAL_TOKENS) <= place < 2000 for place in ours.tolist())


@pytest.mark.slow
def test_the_fast_engine_is_in_use() -> None:
    assert (encoder(encoding.AUTO).engine, encoder(encoding.AUTO).reason) == ("gigatoken", "")


@pytest.mark.slow
def test_engines_agree_on_every_document_of_real_code() -> None:
    texts = environment_code()
    fast = encoding.encode_texts(encoder(encoding.AUTO), texts)
    reference = encoding.encode_texts(encoder(encoding.REFERENCE), texts)
    different = [
        text[:60] for text, a, b in zip(texts, fast, reference, strict=True) if not np.array_equal(a, b)
    ]
    assert len(texts) > 150
    assert different == []


class Wrong:
    """An engine that forgets the last token."""

    def __init__(self, fast: Any) -> None:
        self.fast = fast

    def encode_batch(self, texts: list[bytes], parallel: bool) -> Any:
        return self.fast.encode_batch([text[:-1] for text in texts], parallel=parallel)

    def decode(self, ids: Any) -> bytes:
        return bytes(self.fast.decode(ids))


def test_an_engine_that_loses_bytes_is_not_believed() -> None:
    good = encoder(encoding.AUTO)
    broken = encoding.Encoder(encoding.FAST, "", good.reference, Wrong(good.fast))
    texts = ["def f():\n    pass\n", "x = 1\n"]
    assert [row.tolist() for row in encoding.encode_texts(broken, texts)] == [
        row.tolist() for row in encoding.encode_texts(good, texts)
    ]
    checked = encoding.check_parity(broken, texts)
    assert (checked.engine, checked.fast) == ("tokenizers", None)
    assert checked.reason == "gigatoken differs from tokenizers on 'def f():\\n    pass\\n'"


def test_a_tokenizer_that_the_fast_engine_does_not_take_is_encoded_by_the_reference() -> None:
    document = json.loads(trained())
    digits = {"type": "Digits", "individual_digits": True}
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, by_bytes]}
    loaded = encoding.load_encoder(json.dumps(document))
    assert loaded.engine == "tokenizers"
    assert loaded.reason.startswith("gigatoken does not take this tokenizer: ")
    ids = encoding.encode_texts(loaded, ["x12 = 3\n"])[0]
    assert encoding.decode_bytes(token_bytes(trained(), special_as_text=True), ids) == b"x12 = 3\n"


def test_text_that_is_no_tokenizer_is_the_users_fault() -> None:
    with pytest.raises(UserError, match=r"not a tokenizer\.json that can be read"):
        encoding.load_encoder('{"model": 3}')
