"""Fill-in-the-middle loses nothing, invents nothing and depends on seed, epoch and sample alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Objective
from daybreak_train.objectives.draws import below, draws
from daybreak_train.objectives.fill_in_the_middle import FillInTheMiddleObjective, Sentinels, restore
from daybreak_train.objectives.protocol import IGNORED, TransformedSample, fragments_of, labels_of
from daybreak_train.objectives.select import objective_for
from daybreak_train.objectives.token_codec import TokenCodec
from tests.train.conftest import some_code

TEXTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["", "x", "é", "<fim_prefix>", "a<|endoftext|>b", "<EMAIL> at 日本語", "\x00\r\n", "🙂" * 9]
    ),
    st.text(alphabet="<>|_abfimprendoxt ", max_size=60),
)


@pytest.fixture(scope="module")
def codec(tokenizer: Tokenizer) -> TokenCodec:
    return TokenCodec(Tokenizer.from_str(tokenizer.to_str()))


@pytest.fixture(scope="module")
def marks(tokenizer: Tokenizer) -> Sentinels:
    return Sentinels.of(tokenizer.get_vocab())


def fim(
    codec: TokenCodec, marks: Sentinels, rate: float = 1.0, spm: float = 0.5, seed: int = 7
) -> FillInTheMiddleObjective:
    return FillInTheMiddleObjective(codec, marks, rate, spm, seed)


ROOMY = 1 << 20


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(text=TEXTS, spm=st.booleans(), sample=st.integers(0, 2**40), epoch=st.integers(0, 2**20))
def test_the_inverse_returns_the_document_byte_for_byte(
    codec: TokenCodec, marks: Sentinels, text: str, spm: bool, sample: int, epoch: int
) -> None:
    ids = codec.encode(text)
    assert set(ids).isdisjoint({marks.prefix, marks.middle, marks.suffix, marks.end_of_text, marks.pad})
    out = fim(codec, marks, spm=1.0 if spm else 0.0).rearranged(ids, (0, sample, epoch), ROOMY)
    if not ids:
        assert out is None
        return
    assert out is not None
    assert sorted(token for token in out if token in (marks.prefix, marks.middle, marks.suffix)) == sorted(
        (marks.prefix, marks.middle, marks.suffix)
    )
    parts = [codec.decode(part) for part in restore(out, marks, spm)]
    assert None not in parts, "a character was cut in two"
    assert "".join(part or "" for part in parts).encode() == text.encode()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 511), max_size=80), sample=st.integers(0, 1000))
def test_any_ids_at_all_keep_length_and_bytes(
    codec: TokenCodec, marks: Sentinels, ids: list[int], sample: int
) -> None:
    tokens = np.array(ids, dtype=np.int64)
    out = fim(codec, marks)(tokens, 0, sample).tokens
    assert out.shape == tokens.shape
    assert out.dtype == tokens.dtype


def test_special_tokens_inside_a_document_stay_single_tokens(
    codec: TokenCodec, marks: Sentinels, tokenizer: Tokenizer
) -> None:
    separator = tokenizer.token_to_id("<|file_sep|>")
    ids = [*codec.encode("before "), separator, *codec.encode(" behind")]
    for sample in range(50):
        out = fim(codec, marks, spm=0.0).rearranged(ids, (0, sample, 0), ROOMY) or []
        assert out.count(separator) == 1
        joined = [token for part in restore(out, marks, False) for token in part]
        assert codec.decode(joined) == codec.decode(ids)


def test_a_document_cut_inside_a_character_stays_as_it_is(codec: TokenCodec, marks: Sentinels) -> None:
    ids = codec.encode("日本")
    assert codec.decode(ids[1:]) is None or len(ids) < 6
    broken = next(ids[start:] for start in range(1, len(ids)) if codec.decode(ids[start:]) is None)
    assert fim(codec, marks).rearranged(broken, (0, 1, 2), ROOMY) is None


def test_each_document_of_a_sample_is_cut_for_itself(codec: TokenCodec, marks: Sentinels) -> None:
    documents = [codec.encode(f"def f{index}(): return {index}") for index in range(3)]
    tokens = np.array([token for ids in documents for token in (*ids, marks.end_of_text)] + [marks.pad] * 40)
    out = fim(codec, marks)(tokens, 0, 0).tokens.tolist()
    assert len(out) == len(tokens)
    assert (out.count(marks.end_of_text), out.count(marks.prefix)) == (3, 3)
    parts = " ".join(codec.decode([t for t in out if t > 10]) or "").replace(" ", "")
    assert all(f"{index}" in parts for index in range(3))


def test_a_sample_that_grows_is_cut_and_one_that_does_not_is_padded(
    codec: TokenCodec, marks: Sentinels
) -> None:
    ids = codec.encode("x = 1\n" * 40)[:64]
    assert len(fim(codec, marks)(np.array(ids), 0, 5).tokens) == 64
    short = np.array([*ids[:20], marks.end_of_text, *[marks.pad] * 43])
    out = fim(codec, marks)(short, 0, 5)
    assert out.tokens[-1] == marks.pad
    assert labels_of(out, marks.pad)[-2] == IGNORED


@pytest.mark.slow
@pytest.mark.parametrize("context", [128, 512])
def test_every_middle_ends_and_is_followed_by_end_of_text(
    codec: TokenCodec, marks: Sentinels, context: int
) -> None:
    """At 512 tokens 87 % of the rearranged fragments lost the end of their middle, and the end-of-text with it."""
    ids = [token for text in some_code() for token in (*codec.encode(text), marks.end_of_text)]
    rows = np.array(ids[: len(ids) // context * context]).reshape(-1, context)
    num_rearranged = 0
    for sample, row in enumerate(rows):
        sources = fragments_of(row, marks.end_of_text, marks.pad)
        out = fragments_of(fim(codec, marks, rate=0.5)(row, 0, sample).tokens, marks.end_of_text, marks.pad)
        for (fragment, is_ended), (source, _) in zip(out, sources, strict=False):
            if fragment[:1] != [marks.prefix]:
                continue
            num_rearranged += 1
            assert is_ended
            prefix, middle, suffix = restore(fragment, marks, fragment[1] == marks.suffix)
            text = "".join(codec.decode(part) or "" for part in (prefix, middle, suffix))
            assert (codec.decode(source) or "").startswith(text), "only the fragment's end may be missing"
            if len(sources) == 1:
                assert len(codec.encode(text)) > len(source) - 12, (
                    "three sentinels, the end and two words cut"
                )
    assert num_rearranged > len(rows) / 3


def test_a_fragment_that_fits_is_laid_out_as_ever(codec: TokenCodec, marks: Sentinels) -> None:
    # golden: what the transform made before fragments were fitted into their sample
    texts = ["def add(a, b):\n    return a + b\n", "for x in y:\n    print(x)\n" * 3, "日本 = 'é'\n"]
    outs = [
        fim(codec, marks, seed=seed).rearranged(codec.encode(text), (index, 9, 1), ROOMY)
        for seed in range(4)
        for index, text in enumerate(texts)
    ]
    assert hashlib.sha256(repr(outs).encode()).hexdigest()[:16] == "e2548328439b6d33"


@pytest.mark.slow
def test_rates_are_kept_within_three_sigma(codec: TokenCodec, marks: Sentinels) -> None:
    count, rate, spm = 4000, 0.3, 0.6
    text = "a = b\n" * 5
    transform, ids = fim(codec, marks, rate, spm), codec.encode(text)
    outs = [transform.rearranged(ids, (0, sample, 0), ROOMY) for sample in range(count)]
    changed = [out for out in outs if out is not None]
    looks_like_spm = [out for out in changed if out[1] == marks.suffix]
    no_prefix = (2 * len(text) + 1) / (
        len(text) + 1
    ) ** 2  # the two layouts are the same when the prefix is empty
    share = spm + (1 - spm) * no_prefix
    assert abs(len(changed) - rate * count) < 3 * (count * rate * (1 - rate)) ** 0.5
    assert abs(len(looks_like_spm) - share * len(changed)) < 3 * (len(changed) * share * (1 - share)) ** 0.5


@pytest.mark.slow
def test_cuts_are_uniform_over_characters(codec: TokenCodec, marks: Sentinels) -> None:
    text = "abcdefghij"
    ids = codec.encode(text)
    lengths = []
    for sample in range(3000):
        out = fim(codec, marks, spm=0.0).rearranged(ids, (0, sample, 0), ROOMY)
        prefix, _, _ = restore(out or [], marks, False)
        lengths.append(len(codec.decode(prefix) or ""))
    # the smaller of two uniform cuts in 0..10 has the mean sum(k * (2 (10 - k) + 1)) / 121
    expected = sum(k * (2 * (10 - k) + 1) for k in range(11)) / 121
    assert np.mean(lengths) == pytest.approx(expected, abs=0.15)


def test_the_same_sample_is_the_same_whoever_asks_and_when(codec: TokenCodec, marks: Sentinels) -> None:
    tokens = np.array(codec.encode("for index in range(10):\n    print(index)\n") * 3)
    first = [fim(codec, marks)(tokens, epoch, sample).tokens for epoch in (0, 1) for sample in range(5)]
    again = [
        fim(codec, marks)(tokens, epoch, sample).tokens for epoch in (1, 0) for sample in reversed(range(5))
    ]
    assert [row.tolist() for row in first] == [row.tolist() for row in [*again[9:4:-1], *again[4::-1]]]
    assert len({tuple(row) for row in first}) > 5
    other = fim(codec, marks, seed=8)(tokens, 0, 0).tokens
    assert not np.array_equal(other, first[0])


def test_the_stream_of_draws_never_changes() -> None:
    # golden: Philox 4x64 with BLAKE2b keys; a change here changes the data of every run that is resumed
    digest = hashlib.sha256(repr([draws(1, "p", (2, 3, 4)), draws(0, "", (0, 0, 0), 9)]).encode())
    assert digest.hexdigest()[:16] == "49cdc5fa6cd8cef2"


@given(st.integers(0, 2**64 - 1), st.integers(1, 10**9))
def test_a_draw_below_a_bound_is_below_it(raw: int, bound: int) -> None:
    assert 0 <= below(raw, bound) < bound


def test_labels_are_the_next_token_and_padding_is_ignored() -> None:
    tokens = np.array([5, 6, 7, 4, 4])
    assert labels_of(TransformedSample(tokens), pad_id=4).tolist() == [6, 7, -100, -100, -100]


def test_labels_are_the_tokens_that_the_objective_wants_said() -> None:
    sample = TransformedSample(np.array([5, 6, 7, 8, 4]), np.array([True, False, True, True, True]))
    assert labels_of(sample, pad_id=4).tolist() == [-100, 7, 8, -100, -100]


@pytest.mark.parametrize(
    "spec",
    [{"nextToken": {}}, {"fillInTheMiddle": {"rate": "0"}}],
    ids=["next-token", "fill-in-the-middle-at-rate-zero"],
)
def test_objectives_that_change_nothing(spec: dict[str, object], tokenizer: Tokenizer) -> None:
    objective = objective_for(Objective.model_validate(spec), tokenizer, 0)
    tokens = np.arange(200)
    assert objective(tokens, 3, 5).tokens is tokens


def test_a_tokenizer_without_sentinels_is_refused() -> None:
    with pytest.raises(UserError, match="no token <fim_prefix>"):
        Sentinels.of({names.END_OF_TEXT: 0})
