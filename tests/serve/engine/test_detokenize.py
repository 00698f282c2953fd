"""Tokens to text: nothing half, nothing lost, nothing too early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_model.vocabulary import TextEncoder, token_bytes
from daybreak_serve.engine.detokenize import Detokenizer
from daybreak_serve.modelfolder import ModelFolder


@pytest.fixture(scope="module")
def table(model: ModelFolder) -> tuple[bytes, ...]:
    return token_bytes((model.path / "tokenizer.json").read_text(encoding="utf-8"), special_as_text=False)


@pytest.mark.slow
@given(st.text(max_size=60))
def test_text_comes_back_piece_by_piece_whole_characters_only(
    model: ModelFolder, table: tuple[bytes, ...], text: str
) -> None:
    detokenizer = Detokenizer(table)
    pieces = [
        detokenizer.add(token)
        for token in TextEncoder((model.path / "tokenizer.json").read_text(encoding="utf-8")).encode(text)
    ]
    assert "".join(pieces) == text  # nothing is left at the end: the text had whole characters
    assert detokenizer.finish() == ""
    assert text.startswith("".join(pieces[: len(pieces) // 2]))


@given(st.lists(st.integers(0, 479), max_size=40))
def test_any_tokens_give_the_text_of_the_tokenizer_itself(
    model: ModelFolder, table: tuple[bytes, ...], ids: list[int]
) -> None:
    from tokenizers import Tokenizer

    detokenizer = Detokenizer(table)
    text = "".join(detokenizer.add(token) for token in ids) + detokenizer.finish()
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    assert text == tokenizer.decode(ids, skip_special_tokens=True)


def test_an_id_above_the_vocabulary_has_no_text() -> None:
    assert Detokenizer([b"a"]).add(5) == ""
