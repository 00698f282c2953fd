"""Tokens to text and stop strings: nothing half, nothing lost, nothing too early."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_serve.engine.detokenize import Detokenizer, character_to_byte, token_bytes
from daybreak_serve.engine.sampling import choose
from daybreak_serve.engine.stopping import StopScanner
from daybreak_serve.modelfolder import ModelFolder


@pytest.fixture(scope="module")
def table(model: ModelFolder) -> tuple[bytes, ...]:
    return token_bytes(json.loads((model.path / "tokenizer.json").read_text(encoding="utf-8")))


def test_every_byte_has_its_character() -> None:
    assert sorted(character_to_byte().values()) == list(range(256))
    assert character_to_byte()["Ġ"] == ord(" ")


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="ByteLevel"):
        token_bytes({"decoder": {"type": "Metaspace"}, "model": {"vocab": {}}})


@given(st.text(max_size=60))
def test_text_comes_back_piece_by_piece_whole_characters_only(
    model: ModelFolder, table: tuple[bytes, ...], text: str
) -> None:
    from daybreak_serve.gateway.pool.compose import TextEncoder

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


@pytest.mark.parametrize(
    ("pieces", "stop", "shown", "stopped"),
    [
        pytest.param(["ab", "cd"], ["bc"], ["a", ""], True, id="across two pieces"),
        pytest.param(["ab", "d"], ["bc"], ["a", "bd"], False, id="held back, then shown"),
        pytest.param(["x\n\ny"], ["\n\n", "\n"], ["x"], True, id="the earliest place wins"),
        pytest.param(["aaab"], ["aab"], ["a"], True, id="an overlap with itself"),
        pytest.param(["abc"], [], ["abc"], False, id="no stop strings"),
    ],
)
def test_a_stop_string_is_never_shown(
    pieces: list[str], stop: list[str], shown: list[str], stopped: bool
) -> None:
    scanner = StopScanner(stop)
    results = [scanner.add(piece) for piece in pieces]
    assert [text for text, _ in results] == shown
    assert results[-1][1] == stopped


SMALL = st.text(alphabet="ab\n", max_size=12)


@given(st.lists(SMALL, max_size=8), st.lists(SMALL.filter(bool), max_size=4))
def test_stopping_piece_by_piece_is_stopping_the_whole_text(pieces: list[str], stop: list[str]) -> None:
    scanner, shown, stopped = StopScanner(stop), "", False
    for piece in pieces:
        text, stopped = scanner.add(piece)
        shown += text
        if stopped:
            break
    if not stopped:
        shown += scanner.finish()
    whole = "".join(pieces)
    places = [whole.find(word) for word in stop if word in whole]
    assert stopped == bool(places)
    if not places:
        assert shown == whole
        return
    # The word that is complete first ends the text; among those complete in one piece the earliest start wins.
    assert whole.startswith(shown)
    assert not any(word in shown for word in stop)
    assert any(whole.startswith(word, len(shown)) for word in stop)


LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=30).map(
    lambda x: np.array(x, np.float32)
)


@given(LOGITS, st.floats(0.05, 2), st.floats(0.01, 1), st.integers(0, 1 << 30))
def test_a_sampled_token_is_in_the_nucleus(
    logits: np.ndarray, temperature: float, top_p: float, seed: int
) -> None:
    token = choose(logits, temperature, top_p, np.random.default_rng(seed))
    scaled = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    weights = scaled / scaled.sum()
    likelier = weights[weights > weights[token]].sum()
    assert likelier < top_p + 1e-9
    assert token == choose(logits, temperature, top_p, np.random.default_rng(seed))


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    assert choose(np.array([0, 3, 3, 1], np.float32), 0.0, 1.0, None) == 1


def test_sampling_follows_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    random = np.random.default_rng(1)
    counts = np.bincount([choose(logits, 1.0, 1.0, random) for _ in range(4000)], minlength=3) / 4000
    assert np.allclose(counts, [0.5, 0.3, 0.2], atol=0.03)
    nucleus = {choose(logits, 1.0, 0.7, random) for _ in range(200)}
    assert nucleus == {0, 1}
