"""Samples of files that are packed by repository: each file is cut by itself, and sees those before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Objective
from daybreak_model.repository_context import FileMarks, path_line
from daybreak_train.objectives.fill_in_the_middle import FillInTheMiddleObjective, Sentinels, restore
from daybreak_train.objectives.protocol import file_parts
from daybreak_train.objectives.select import objective_for
from daybreak_train.objectives.token_codec import TokenCodec

FILES = st.lists(st.text(alphabet="ab (){}\n=1é", max_size=60), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def codec(tokenizer: Tokenizer) -> TokenCodec:
    return TokenCodec(Tokenizer.from_str(tokenizer.to_str()))


@pytest.fixture(scope="module")
def marks(tokenizer: Tokenizer) -> Sentinels:
    return Sentinels.of(tokenizer.get_vocab())


@pytest.fixture(scope="module")
def files(tokenizer: Tokenizer) -> FileMarks:
    return FileMarks.of(tokenizer.to_str())


def packed(codec: TokenCodec, files: FileMarks, name: str, texts: list[str]) -> list[int]:
    ids = files.opening(codec.encode(name))
    for number, text in enumerate(texts):
        ids += [*files.file_opening(codec.encode(path_line(f"src/{number}.py"))), *codec.encode(text)]
    return ids


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(texts=FILES, sample=st.integers(0, 1 << 30), spm=st.booleans())
def test_the_middle_is_inside_one_file_and_openings_stay(
    codec: TokenCodec, marks: Sentinels, files: FileMarks, texts: list[str], sample: int, spm: bool
) -> None:
    ids = [*packed(codec, files, "o/r", texts), marks.end_of_text]
    tokens = np.array(ids + [marks.pad] * 200, np.int64)
    objective = FillInTheMiddleObjective(codec, marks, 1.0, float(spm), 5, files)
    out = objective(tokens, 0, sample).tokens
    assert len(out) == len(tokens)
    assert (out == marks.end_of_text).sum() == 1, "attention reaches from the first file to the last"
    before, after = (file_parts(row, marks.end_of_text, marks.pad, files) for row in (tokens, out))
    assert [part.opening for part in after] == [part.opening for part in before]
    assert after[-1].is_ended
    for source, part in zip(before, after, strict=True):
        if part.ids[:1] == [marks.prefix]:
            parts = restore(part.ids, marks, spm=part.ids[1] == marks.suffix)
            assert "".join(codec.decode(piece) or "" for piece in parts) == codec.decode(source.ids)
        else:
            assert part.ids == source.ids == [], "with rate 1 only nothing stays as it is"


def test_a_sample_that_begins_within_a_path_or_ends_in_one_keeps_its_length(
    codec: TokenCodec, marks: Sentinels, files: FileMarks
) -> None:
    ids = packed(codec, files, "o/r", ["x = 1\n" * 9, "", "y = 2\n" * 9])
    objective = FillInTheMiddleObjective(codec, marks, 1.0, 0.5, 5, files)
    for start in range(len(ids) - 1):
        for length in (1, 2, 7, 30):
            tokens = np.array(ids[start : start + length], np.int64)
            out = objective(tokens, 0, start).tokens
            assert len(out) == len(tokens)
            found = [
                token
                for part in file_parts(tokens, 0, marks.pad, files)
                for token in (*part.opening, *part.ids)
            ]
            assert found == tokens.tolist(), "parts cover the sample"


def test_without_marks_a_document_is_a_file(codec: TokenCodec, marks: Sentinels) -> None:
    row = np.array([5, 6, marks.end_of_text, 7], np.int64)
    parts = file_parts(row, marks.end_of_text, marks.pad, None)
    assert [(part.opening, part.ids, part.is_ended, part.is_followed) for part in parts] == [
        ([], [5, 6], True, False),
        ([], [7], False, False),
    ]


def test_denoisers_are_told_to_take_files(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"ul2 takes shards of data\.layout File"):
        objective_for(Objective.model_validate({"ul2": {}}), tokenizer, 0, "Repository")
