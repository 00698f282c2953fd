"""Parts of a text are tokenised as if each were a text of its own, though most of their tokens are kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from daybreak_contracts import names
from daybreak_data.tokenizer.step import train
from daybreak_model.vocabulary import SPLIT_PATTERN
from daybreak_train.objectives.token_codec import TokenCodec, begins_words_at_blanks
from tests.train.conftest import some_code

PIECES = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "a",
        "def",
        "x1",
        "'s",
        "'",
        "é",
        "日本",
        "\u00a0",
        "\u3000",
        "🙂",
        "()",
        "# ",
        ": ",
        " = ",
    ]
)
TEXTS = st.one_of(
    st.sampled_from([text[:400] for text in some_code()]),
    st.lists(PIECES, max_size=60).map("".join),
    st.text(max_size=80),
)


def qwen2(pattern: str = SPLIT_PATTERN) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, by_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(some_code(), trainer)
    return tokenizer


@pytest.fixture(scope="module", params=["gpt2", "qwen2"])
def codec(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> TokenCodec:
    return TokenCodec(qwen2() if request.param == "qwen2" else tokenizer)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(text=TEXTS, first=st.floats(0, 1), second=st.floats(0, 1), dropped=st.integers(0, 5))
def test_parts_have_the_ids_that_they_have_alone(
    codec: TokenCodec, text: str, first: float, second: float, dropped: int
) -> None:
    ids = codec.encode(text)[dropped:]  # a sample begins anywhere in a document, also within a word
    text_of_ids = codec.decode(ids)
    if text_of_ids is None:
        return
    low, high = sorted(int(share * len(text_of_ids)) for share in (first, second))
    alone = [codec.encode(part) for part in (text_of_ids[:low], text_of_ids[low:high], text_of_ids[high:])]
    assert codec.encode_parts(ids, text_of_ids, (low, high)) == alone


def test_most_tokens_are_kept(codec: TokenCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(some_code())
    ids = codec.encode(text)
    asked: list[str] = []
    encode = codec._encoder.encode
    monkeypatch.setattr(codec._encoder, "encode", lambda part: asked.append(part) or encode(part))
    codec.encode_parts(ids, text, (len(text) // 3, len(text) // 2))
    assert sum(len(part) for part in asked) < 200 < len(text)


def test_ids_of_any_making_keep_their_bytes(codec: TokenCodec) -> None:
    text = "one two = three four = five six"
    letters = [token for character in text for token in codec.encode(character)]
    parts = codec.encode_parts(letters, text, (9, 20))
    assert [codec.decode(part) for part in parts] == [text[:9], text[9:20], text[20:]]


def test_the_pattern_is_the_one_of_the_tokenizer_step() -> None:
    splits, _ = json.loads(train(iter(some_code()), 600).to_str())["pre_tokenizer"]["pretokenizers"]
    assert splits["pattern"] == {"Regex": SPLIT_PATTERN}


@pytest.mark.parametrize(
    ("tokenizer_json", "expected"),
    [
        pytest.param(qwen2().to_str(), True, id="ours"),
        pytest.param(qwen2(r"\S+ \S+").to_str(), False, id="words-with-blanks-in-them"),
        pytest.param(
            '{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}}',
            True,
            id="gpt2",
        ),
        pytest.param(
            '{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}}',
            False,
            id="a-blank-is-added",
        ),
        pytest.param(
            '{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}}',
            False,
            id="no-words-at-all",
        ),
        pytest.param('{"pre_tokenizer": null}', False, id="nothing"),
        pytest.param(
            '{"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}}',
            False,
            id="text-is-changed-first",
        ),
    ],
)
def test_other_tokenizers_are_asked_for_every_part(tokenizer_json: str, expected: bool) -> None:
    assert begins_words_at_blanks(tokenizer_json) is expected
