"""Training's stream of a repository and a prompt with other files in front agree token for token."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.layouts.shards import DOCUMENTS_FILE
from daybreak_data.shards import writer
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.repository_context import (
    ContextFile,
    FileMarks,
    files_of,
    in_front,
    one_line,
    path_line,
    room_in_front,
)
from daybreak_model.token_rows import TokenRows
from daybreak_model.vocabulary import TextEncoder, special_ids
from tests.plugins.profiles import examples

CONTEXT = 16
WHOLE = 1 << 20
NAMES = st.text(alphabet="ab/.é\n<|>_- ", max_size=12)
TEXTS = st.text(
    alphabet=st.sampled_from("ab (){}\n\r\t=1é<|>") | st.characters(exclude_categories=["Cs"]), max_size=60
) | st.sampled_from([f"x = '{names.FILE_SEPARATOR}'\n", names.END_OF_TEXT, ""])
REPOSITORIES = st.lists(st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=4), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    texts = ["def f(x):\n    return x == 1\n", "src/main/java/a.java\n", "class A { int b; }\n"] * 50
    return tokenizer.padded(tokenizer.train(iter(texts), 400).to_str())


def write(tokenizer_json: str, folder: Path, files: list[tuple[str, str, str]], rows: int) -> Path:
    """Write one partition of (repository, path, text) in batches of so many rows."""
    task = writer.ShardTask(
        tokenizer_json, "uint16", CONTEXT, str(folder / "parts"), str(folder), layout="Repository"
    )
    (folder / "parts").mkdir()
    column = list(zip(*files, strict=True))
    known = {"repository": column[0], "path": column[1], "text": column[2]}
    table = {
        "part": pa.array([0] * len(files), pa.int32()),
        "copy": pa.array([0] * len(files), pa.int32()),
        "path_id": pa.array(range(len(files)), pa.int64()),
        "source": ["s"] * len(files),
        "language": ["python"] * len(files),
        "licence": [""] * len(files),
        **known,
    }
    batches = pa.Table.from_pydict(table).to_batches(max_chunksize=rows)
    list(writer.write_partitions(iter(batches), task, ["p"]))
    return folder / "parts" / "p"


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(repositories=REPOSITORIES, rows=st.integers(1, 5))
def test_what_is_trained_on_is_what_a_prompt_says(
    tokenizer_json: str, repositories: list[list[tuple[str, str]]], rows: int
) -> None:
    encoder, special = TextEncoder(tokenizer_json), special_ids(tokenizer_json)
    marks = FileMarks.of(tokenizer_json)
    named = [(f"o/r{number}", files) for number, files in enumerate(repositories)]
    files = [(name, path, text) for name, listed in named for path, text in listed]
    with TemporaryDirectory() as scratch:
        part = write(tokenizer_json, Path(scratch), files, rows)
        state = json.loads((part / "part.json").read_text())
        shards = [np.frombuffer(b"", np.uint16)]
        (part / "index.json").write_text(json.dumps({"version": 2, "shards": state["shards"]}))
        tokens = TokenRows(str(part))
        shards += [tokens[row] for row in range(len(tokens))]
        stream = np.concatenate(shards)[: state["tokens"]].tolist()
        documents = pq.read_table(part / DOCUMENTS_FILE)
    expected: list[int] = []
    for name, listed in named:
        before = [ContextFile(path, text) for path, text in listed[:-1]]
        path, text = listed[-1]
        ids, num_left = in_front(
            encoder.encode,
            marks,
            before,
            path or "\n",
            repository=name,
            room=WHOLE,
            longest_token=encoder.longest_token,
        )
        assert num_left == 0
        expected += [*ids, *encoder.encode(text), special[names.END_OF_TEXT]]
    assert stream == expected
    first, count = (documents.column(name).to_numpy() for name in ("first_token", "num_tokens"))
    assert first[0] == 0
    assert (first[1:] == (first + count)[:-1]).all(), "documents cover the stream without a gap"
    assert first[-1] + count[-1] == len(stream)
    texts = [
        text
        for _, text in files_of([token for token in stream if token != special[names.END_OF_TEXT]], marks)
    ]
    assert [piece for piece in texts if piece] == [encoder.encode(text) for _, _, text in files if text]


@pytest.mark.parametrize(
    ("room", "kept", "has_name"),
    [
        pytest.param(WHOLE, ["a", "b", "c"], True, id="all"),
        pytest.param(25, ["b", "c"], True, id="the-last-are-nearest"),
        pytest.param(12, ["c"], False, id="whole-files-before-the-name"),
        pytest.param(5, [], False, id="the-path-alone"),
        pytest.param(1, [], False, id="nothing"),
    ],
)
def test_whole_files_from_the_last_on_are_kept(room: int, kept: list[str], has_name: bool) -> None:
    marks = FileMarks(repository=1, separator=2, line_ends=frozenset({ord("\n")}))

    def encode(text: str) -> list[int]:
        return [ord(character) for character in text]

    others = [ContextFile(name, name.upper() * 6) for name in "abc"]
    ids, num_left = in_front(encode, marks, others, "d", repository="o/r", room=room, longest_token=64)
    assert len(ids) <= room
    assert num_left == 3 - len(kept)
    text = "".join(chr(token) for token in ids).replace("\x02", "|")
    files = "".join(f"|{name}\n{name.upper() * 6}" for name in kept)
    name = "\x01o/r" if has_name else ""
    assert text == ("" if room < 3 else f"{name}{files}|d\n")


def test_a_name_stays_on_its_line() -> None:
    assert path_line("a\r\nb.c") == "a b.c\n"
    assert one_line("o/\u2028r") == "o/ r"
    assert room_in_front(100, 10) == 90
