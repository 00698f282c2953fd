"""The byte-level vocabulary: its alphabet, the bytes of its tokens, and that text never becomes a special token."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
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


LINES = (
    "def add(a, b):\n",
    "    return a + b\n",
    " " * 200 + "x = 1\n",
    "\n\n\n",
    "\t\tif (a && b) { f(); }\r\n",
    "// für alle Größen: 数据数据数据 🙂🙂\n",
    '"' + "0123456789abcdef" * 20 + '",\n',
    "#" + "-" * 120 + "\n",
)
PIECES = st.sampled_from([*names.SPECIAL_TOKENS[:16], "<", "|>", "def ", "\n", "é", "🙂", "\x00"])


@pytest.mark.slow
@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
def test_no_text_becomes_a_special_token(tokenizer_json: str, text: str) -> None:
    encoder = TextEncoder(tokenizer_json)
    ids = encoder.encode(text)
    assert all(token >= len(names.SPECIAL_TOKENS) for token in ids)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("num_tokens", [1, 40, 300])
@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=400))
def test_a_part_of_a_long_text_is_encoded_as_in_the_whole(
    tokenizer_json: str, num_tokens: int, lines: list[str]
) -> None:
    encoder = TextEncoder(tokenizer_json)
    text = "".join(lines)
    whole = encoder.encode(text)
    end, num_before = encoder.encode_end(text, num_tokens)
    start, num_behind = encoder.encode_start(text, num_tokens)
    assert end[-num_tokens:] == whole[-num_tokens:]
    assert start[:num_tokens] == whole[:num_tokens]
    for found, num_unread in ((end, num_before), (start, num_behind)):
        assert (num_unread == 0) == (found == whole) or abs(len(found) + num_unread - len(whole)) < len(whole)


def test_a_megabyte_of_text_costs_what_its_kept_end_costs(tokenizer_json: str) -> None:
    """A mebibyte took 5.4 s of a gateway to keep 510 tokens."""
    encoded: list[int] = []
    encoder = TextEncoder(tokenizer_json)
    encode = encoder.encode
    encoder.encode = lambda text: encoded.append(len(text)) or encode(text)  # type: ignore[method-assign,func-returns-value]
    for text in ("def f(x):\n    return x\n" * 45_000, " " * (1 << 20), "\t" * (1 << 20), "🙂" * 300_000):
        encoded.clear()
        ids, num_unread = encoder.encode_end(text, 510)
        assert len(ids) >= 510 or num_unread == 0
        if num_unread:
            assert sum(encoded) < 100_000
