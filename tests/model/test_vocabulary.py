"""The byte-level vocabulary: its alphabet, the bytes of its tokens, and that text never becomes a special token."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model.vocabulary import TextEncoder, byte_of_character, special_ids, token_bytes


def test_every_byte_has_its_character() -> None:
    assert sorted(byte_of_character().values()) == list(range(256))
    assert byte_of_character()["Ġ"] == ord(" ")


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="ByteLevel"):
        token_bytes('{"decoder": {"type": "Metaspace"}, "model": {"vocab": {}}}', special_as_text=False)


def test_the_byte_alphabet_is_that_of_the_library() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    table = byte_of_character()
    assert sorted(table) == sorted(ByteLevel.alphabet())
    assert sorted(table.values()) == list(range(256))


def test_a_token_of_foreign_characters_is_its_own_text() -> None:
    document = {"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"\u0120x": 0, "\u4f60x": 1}}}
    assert token_bytes(json.dumps(document), special_as_text=False) == (b" x", "\u4f60x".encode())


def test_a_special_token_is_its_spelling_or_nothing(tokenizer_json: str) -> None:
    spelt, silent = (token_bytes(tokenizer_json, special_as_text=text) for text in (True, False))
    for name, index in special_ids(tokenizer_json).items():
        assert (spelt[index], silent[index]) == (name.encode(), b"")
    added = {entry["id"] for entry in json.loads(tokenizer_json)["added_tokens"]}
    assert [index for index in range(len(spelt)) if spelt[index] != silent[index]] == sorted(added)


PIECES = st.sampled_from([*names.SPECIAL_TOKENS[:16], "<", "|>", "def ", "\n", "é", "🙂", "\x00"])


@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
def test_no_text_becomes_a_special_token(tokenizer_json: str, text: str) -> None:
    encoder = TextEncoder(tokenizer_json)
    ids = encoder.encode(text)
    assert all(token >= len(names.SPECIAL_TOKENS) for token in ids)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
