"""Signatures: the same for all time, for any batch, and near-duplicates share bands as often as promised."""

from __future__ import annotations

import functools
import random
import re
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daybreak_data.duplicates import MIN_TOKENS, keepers, optimal_bands, signature_batches
from daybreak_data.duplicates.components import SLACK
from daybreak_data.duplicates.signatures import NUM_PERMUTATIONS, signatures_of, similarity
from daybreak_data.duplicates.word_grams import gram_hashes, gram_sets

ASCII_TOKEN = re.compile(r"[A-Za-z_0-9]+")
TOKEN = re.compile(r"[A-Za-z_0-9\x80-\U0010ffff]+")
FOX = "def fox(quick, brown):\n    return jumps(over, the_lazy) + dog1 and 2 or runs\n"
GOLDEN = [-7805117521599971969, 4921469681566051992, 9200153959444415804]
CODE = st.text(st.sampled_from("ab_ 0\n(é\U0001f600Z"), max_size=200)


def bands_of(text: str, threshold: float = 0.7) -> list[int]:
    bands: list[list[int]] = signatures_of(pa.array([text], pa.string()), threshold)[1].to_pylist()
    return bands[0]


def python_files(count: int, seed: int) -> list[str]:
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    long_enough = [text for text in texts if len(TOKEN.findall(text)) > 200]
    return random.Random(seed).sample(long_enough, count)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        pytest.param(0.7, (25, 10), id="the published setting for 0.70"),
        pytest.param(0.8, (17, 15), id="a higher threshold has longer bands"),
        pytest.param(0.5, (42, 6), id="a lower threshold has more bands"),
    ],
)
def test_bands_follow_from_the_threshold(threshold: float, expected: tuple[int, int]) -> None:
    assert optimal_bands(threshold) == expected


@pytest.mark.slow
def test_signatures_are_the_same_for_all_time() -> None:
    # Persisted signatures meet new ones: if this changes, raise CODE_VERSION.
    assert bands_of(FOX)[:3] == GOLDEN
    assert len(bands_of(FOX)) == 25


@given(st.lists(CODE, max_size=12), st.booleans())
def test_tokens_and_grams_are_those_of_the_regular_expression(texts: list[str], beyond_ascii: bool) -> None:
    encoded = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    offsets = np.cumsum([0, *(len(text) for text in encoded)])
    grams, gram_offsets, num_tokens = gram_hashes(data, offsets, 5, beyond_ascii=beyond_ascii)
    words = [(TOKEN if beyond_ascii else ASCII_TOKEN).findall(text) for text in texts]
    assert num_tokens.tolist() == [len(w) for w in words]
    assert np.diff(gram_offsets).tolist() == [max(0, len(w) - 4) for w in words]
    flat = [tuple(w[i : i + 5]) for w in words for i in range(len(w) - 4)]
    assert len(set(zip(flat, grams.tolist(), strict=True))) == len(set(flat)) == len(set(grams.tolist()))


@given(st.lists(CODE, min_size=1, max_size=8), st.data())
def test_a_text_has_the_same_signature_alone_and_in_any_batch(texts: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(texts)))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    num_tokens, bands, sketches = signatures_of(pa.array(texts, kind)[begin:])
    assert bands.to_pylist() == [bands_of(text) for text in texts[begin:]]
    assert len(num_tokens) == len(texts) - begin
    expected = [NUM_PERMUTATIONS if count >= MIN_TOKENS else 0 for count in num_tokens.to_pylist()]
    assert [len(sketch) for sketch in sketches.to_pylist()] == expected


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_text_that_is_too_short_changes_no_neighbour(place: int) -> None:
    others = [FOX, FOX.replace("fox", "dog")]
    texts = [*others[:place], "one two three four five six seven", *others[place:]]
    bands = signatures_of(pa.array(texts))[1].to_pylist()
    assert bands.pop(place) == []
    assert bands == [bands_of(text) for text in others]


@given(CODE)
def test_what_is_not_a_word_does_not_count(text: str) -> None:
    assert bands_of(text) == bands_of(" , ".join(TOKEN.findall(text)))


@pytest.mark.parametrize(
    ("text", "num_bands"),
    [
        pytest.param("", 0, id="an empty file has no signature"),
        pytest.param(" ".join("abcdefghi"), 0, id="nine words have none"),
        pytest.param(" ".join("abcdefghij"), 25, id="ten words have one"),
        pytest.param("== ++ -- !! ?? ;; ,, .. // ||", 0, id="punctuation is no word"),
    ],
)
def test_short_texts_have_no_bands(text: str, num_bands: int) -> None:
    assert len(bands_of(text)) == num_bands
    assert MIN_TOKENS == 10


def test_a_translation_is_another_text() -> None:
    code = "def read(path, limit):\n    return open(path).read(limit)[first:last]\n" * 3
    pages = [
        f"{one} {code} {two} {code}"
        for one, two in (("Это код", "и ещё код"), ("コード です", "別の コード"))
    ]
    assert jaccard(*pages) < 1
    assert bands_of(pages[0]) != bands_of(pages[1])


def test_batches_keep_their_ids_and_a_null_is_empty() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "path_id": pa.array([7, -3], pa.int64()),
            "language": pa.array(["python", None], pa.string()),
            "text": pa.array([FOX, None], pa.string()),
        }
    )
    (out,) = signature_batches(iter([batch]))
    assert out.schema.names == ["path_id", "num_tokens", "bands", "sketch"]
    assert out.column("path_id").to_pylist() == [7, -3]
    assert out.column("num_tokens").to_pylist() == [len(TOKEN.findall(FOX)), 0]
    assert [len(bands) for bands in out.column("bands").to_pylist()] == [25, 0]


@pytest.mark.slow
def test_texts_beyond_one_chunk_are_whole() -> None:
    big = " ".join(f"w{i}" for i in range(900_000))  # more than the 4 MB of a chunk
    texts = [FOX, big, FOX]
    assert signatures_of(pa.array(texts))[1].to_pylist() == [bands_of(text) for text in texts]


@functools.lru_cache(1024)
def five_grams(text: str) -> frozenset[tuple[str, ...]]:
    words = TOKEN.findall(text)
    return frozenset(tuple(words[i : i + 5]) for i in range(len(words) - 4))


def jaccard(left: str, right: str) -> float:
    common = len(five_grams(left) & five_grams(right))
    return common / (len(five_grams(left)) + len(five_grams(right)) - common)


def mutated(text: str, share: float, rng: random.Random) -> str:
    """Change, drop or double about this share of the lines: what people do to a file they copied."""
    out: list[str] = []
    for line in text.splitlines():
        kind = rng.random()
        if kind > share:
            out.append(line)
        elif kind < share * 0.6:
            out.append(re.sub(r"[A-Za-z]{3,}", lambda m: f"{m[0]}{rng.randrange(99)}", line, count=2))
        elif kind < share * 0.8:
            out += [line, f"value_{rng.randrange(9999)} = compute_{rng.randrange(9999)}()"]
    return "\n".join(out)


def planted_pairs(rng: random.Random) -> list[tuple[str, str]]:
    return [
        (text, mutated(text, share, rng))
        for text in python_files(60, seed=1)
        for share in (
            0.01,
            0.02,
            0.03,
            0.04,
            0.05,
            0.06,
            0.07,
            0.08,
            0.1,
            0.12,
            0.15,
            0.2,
            0.25,
            0.3,
            0.35,
            0.45,
        )
    ]


def sketches_of(texts: Sequence[str]) -> NDArray[np.uint8]:
    packed = b"".join(signatures_of(pa.array(texts))[2].to_pylist())
    return np.frombuffer(packed, np.uint8).reshape(len(texts), NUM_PERMUTATIONS)


def are_found(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether each pair shares a band, has sketches that are similar, and is similar indeed."""
    texts = [text for pair in pairs for text in pair]
    bands, rows = signatures_of(pa.array(texts))[1].to_pylist(), sketches_of(texts)
    grams = list(gram_sets(pa.array(texts), 5))
    near = similarity(rows[0::2], rows[1::2]) >= 0.7 - SLACK
    shared = [bool(set(one) & set(other)) for one, other in zip(bands[0::2], bands[1::2], strict=True)]
    true = [keepers.jaccard(one, other) >= 0.7 for one, other in zip(grams[0::2], grams[1::2], strict=True)]
    return [all(signs) for signs in zip(shared, near.tolist(), true, strict=True)]


@pytest.mark.slow
def test_sketches_estimate_the_similarity() -> None:
    pairs = planted_pairs(random.Random(5))[::7]
    rows = sketches_of([text for pair in pairs for text in pair])
    errors = similarity(rows[0::2], rows[1::2]) - np.array([jaccard(*pair) for pair in pairs])
    assert abs(float(errors.mean())) < 0.01
    assert float(np.abs(errors).max()) < 5 * 0.032


@pytest.mark.slow
def test_planted_copies_are_found_as_often_as_the_threshold_promises() -> None:
    pairs = planted_pairs(random.Random(0))
    found = are_found(pairs)
    similarities = [jaccard(*pair) for pair in pairs]

    def rate(low: float, high: float) -> float:
        chosen = [hit for hit, s in zip(found, similarities, strict=True) if low <= s < high]
        assert len(chosen) >= 60, (low, high, len(chosen))
        return sum(chosen) / len(chosen)

    assert rate(0.8, 1.01) >= 0.95
    assert rate(0.7, 0.8) >= 0.70
    assert not any(hit for hit, s in zip(found, similarities, strict=True) if s < 0.7)
