"""The tokenizer step on real documents: what it learns, what it promises to its readers, what it refuses."""

from __future__ import annotations

import json
import random
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as HfTokenizer

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import ReuseTokenizer, Tokenizer, TrainTokenizer
from daybreak_contracts.steps import TokenizerArgs
from daybreak_data.tokenizer import encoding
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.vocabulary import token_bytes

WriteDocuments = Callable[..., str]
SIZE = 1000


def code_of_standard_library(limit: int, seed: int = 0) -> list[dict[str, Any]]:
    """Real code: modules of the running interpreter, Python and a little of everything else that it ships."""
    root = Path(json.__file__).parent.parent
    paths = sorted(path for path in root.glob("*/*.py") if "site-packages" not in path.parts)
    random.Random(seed).shuffle(paths)
    rows = []
    for path in paths:
        text = path.read_bytes().decode("utf-8", "ignore")
        rows.append({"repository": path.parent.name, "path": path.name, "text": text})
        if sum(len(row["text"]) for row in rows) > limit:
            break
    return rows


def train_args(documents: str, tmp_path: Path, **changes: Any) -> TokenizerArgs:
    train = {"vocabulary_size": SIZE, "sample_bytes": 1 << 20, **changes}
    return TokenizerArgs(
        output=str(tmp_path / "out"),
        work_dir=str(tmp_path / "work"),
        documents=documents,
        tokenizer=Tokenizer(train=TrainTokenizer(**train)),
    )


def reuse_args(documents: str, tmp_path: Path, uri: str) -> TokenizerArgs:
    return TokenizerArgs(
        output=str(tmp_path / "again"),
        work_dir=str(tmp_path / "work"),
        documents=documents,
        tokenizer=Tokenizer(reuse=ReuseTokenizer(uri=uri)),
    )


@pytest.fixture
def progress() -> Progress:
    return Progress("test")


@pytest.mark.slow
def test_a_trained_tokenizer_keeps_every_promise(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    rows = code_of_standard_library(400_000)
    uri = write_documents([*rows, {"path": "a.js", "language": "javascript", "text": "let a = 1;\n" * 9}])
    result = tokenizer.run_tokenizer(train_args(uri, tmp_path), progress)

    assert result.vocabulary_size == 1024, "1000 rounded up to a multiple of 128"
    assert 1.2 < result.bytes_per_token["python"] < 5
    assert "javascript" not in result.bytes_per_token, "its only document was learned from"
    artifacts.verify(result.uri, artifacts.load(result.uri))
    text = (Path(result.uri) / "tokenizer.json").read_text()
    loaded = HfTokenizer.from_str(text)
    assert [loaded.id_to_token(place) for place in range(len(names.SPECIAL_TOKENS))] == list(
        names.SPECIAL_TOKENS
    )
    assert loaded.id_to_token(SIZE - 1) is not None
    assert loaded.id_to_token(SIZE) == "<|reserved_0|>"
    assert loaded.id_to_token(1024) is None
    sentence = "def f(x):\n\treturn x + 12 # \u00e9\u4f60\n"
    assert loaded.decode(loaded.encode(sentence).ids) == sentence
    again = tokenizer.run_tokenizer(train_args(uri, tmp_path), progress)
    assert again == result.model_copy(update={"cached": True})


@pytest.mark.slow
def test_transformers_load_the_artifact(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    uri = write_documents(code_of_standard_library(300_000))
    result = tokenizer.run_tokenizer(train_args(uri, tmp_path), progress)
    with warnings.catch_warnings():
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(result.uri)
    assert len(loaded) == result.vocabulary_size
    assert (loaded.eos_token_id, loaded.pad_token_id) == (0, names.SPECIAL_TOKENS.index(names.FIM_PAD))
    prompt = f"{names.FIM_PREFIX}def f({names.FIM_SUFFIX}):\n    pass{names.FIM_MIDDLE}"
    ids = loaded(prompt)["input_ids"]
    assert [place for place in ids if place < len(names.SPECIAL_TOKENS)] == [1, 3, 2]
    assert loaded.decode(ids) == prompt


SPELLS_MARKERS = (
    "board[X] = 1\na[R][S]\n- [X] done\n",
    "Map<KEY> map; List<NAME> names; <EMAIL>me</EMAIL> <PASSWORD>",
    "text = '<extra_id_0> of T5'\n",
    "<|unused_0|",
)


def real_files(count: int) -> list[str]:
    """Source files of this environment, spread evenly over it, without those that spell the field's own markers."""
    root = Path(sysconfig.get_paths()["purelib"])
    paths = [
        path for kind in ("py", "pyi", "h", "js", "json", "md") for path in sorted(root.rglob(f"*.{kind}"))
    ]
    step = max(1, len(paths) // (2 * count))
    texts: list[str] = []
    for path in paths[::step]:
        text = path.read_bytes()[:20_000].decode(errors="ignore")
        if len(texts) < count and not any(token in text for token in names.SPECIAL_TOKENS):
            texts.append(text)
    return texts


@pytest.mark.slow
def test_others_encode_real_files_as_training_does(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    """vLLM reads the folder through transformers; `board[X] = 1` became `board = 1` there."""
    from transformers import AutoTokenizer

    uri = tokenizer.run_tokenizer(
        train_args(write_documents(code_of_standard_library(300_000)), tmp_path), progress
    ).uri
    texts = [*SPELLS_MARKERS, *real_files(1000)]
    assert len(texts) == 1000 + len(SPELLS_MARKERS)
    encoder = encoding.load_encoder((Path(uri) / "tokenizer.json").read_text())
    wanted = [ids.tolist() for ids in encoding.encode_texts(encoder, texts)]
    plain, theirs = HfTokenizer.from_file(f"{uri}/tokenizer.json"), AutoTokenizer.from_pretrained(uri)
    assert [row.ids for row in plain.encode_batch(texts)] == wanted
    assert theirs(texts)["input_ids"] == wanted
    decoded = theirs.batch_decode(wanted[: len(SPELLS_MARKERS)], skip_special_tokens=True)
    assert tuple(decoded) == SPELLS_MARKERS


def test_a_tokenizer_of_an_earlier_version_is_reused_with_its_ids(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    documents = write_documents(code_of_standard_library(300_000))
    now = (
        Path(tokenizer.run_tokenizer(train_args(documents, tmp_path), progress).uri) / "tokenizer.json"
    ).read_text()
    before = now
    for then, token in names.RESPELLED_TOKENS.items():
        before = before.replace(json.dumps(token), json.dumps(then))
    assert '"[X]"' in before
    (tmp_path / "old.json").write_text(before)
    assert json.loads(tokenizer.read_reused(str(tmp_path / "old.json"))) == json.loads(now)


@pytest.mark.slow
def test_equal_documents_give_equal_bytes_in_any_order_and_layout(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    rows = code_of_standard_library(600_000)
    first = write_documents(rows, files=1)
    second = write_documents(rows[::-1], files=3)
    made = [
        tokenizer.run_tokenizer(train_args(uri, tmp_path, sample_bytes=200_000), progress).uri
        for uri in (first, second)
    ]
    assert made[0] != made[1], "two artifacts, since their inputs are"
    contents = [artifacts.load(uri).content_digest for uri in made]
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_special_tokens_in_the_sample_shape_nothing(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    rows = code_of_standard_library(300_000)
    marked = [{**row, "text": row["text"] + names.FIM_PREFIX * 50} for row in rows]
    made = [
        tokenizer.run_tokenizer(
            train_args(write_documents(table), tmp_path, sample_bytes=1 << 22), progress
        ).uri
        for table in (rows, marked)
    ]
    clean, dirty = ((Path(uri) / "tokenizer.json").read_bytes() for uri in made)
    assert clean == dirty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("x = 1  # \u00e9\u4f60\n", "x = 1  # \u00e9\u4f60\n", id="code-stays-as-it-is"),
        pytest.param("a" * 256 + " b", "a" * 256 + " b", id="the-longest-word"),
        pytest.param("x = '" + "aB" * 500 + "'", "x = ''", id="endless-letters-go"),
        pytest.param("\u4f60" * 257 + "1", "1", id="of-any-script"),
        pytest.param("/*" + "=" * 300 + "*/a", "a", id="endless-punctuation-goes"),
        pytest.param("a" + " " * 300 + "b", "ab", id="endless-blanks-go"),
        pytest.param("a<|endoftext|>b<fim_pad>", "ab", id="special-tokens-go"),
        pytest.param("a<fim_<fim_pad>pad>b<|mode<|mode_r|>_r|>", "ab", id="and-those-that-their-going-makes"),
    ],
)
def test_what_a_tokenizer_learns_from(text: str, expected: str) -> None:
    assert tokenizer.learnable(text) == expected


@pytest.mark.slow
def test_endless_words_do_not_make_training_endless(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    letters = random.Random(0)
    endless = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=200_000)) for _ in range(10)]
    rows = [{"path": f"{place}.txt", "language": "text", "text": text} for place, text in enumerate(endless)]
    uri = write_documents([*code_of_standard_library(300_000), *rows])
    result = tokenizer.run_tokenizer(train_args(uri, tmp_path, sample_bytes=1 << 23), progress)
    assert result.vocabulary_size == 1024
    assert result.bytes_per_token["text"] < 3


def test_more_vocabulary_than_the_data_supports_names_what_was_reached(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    uri = write_documents([{"path": "a.py", "text": "x = 1\ny = 2\n"}, {"path": "b.py", "text": "z = 3\n"}])
    with pytest.raises(
        UserError, match=r"vocabularySize 1000: vocabulary larger than the data .* give 3\d\d; ask"
    ):
        tokenizer.run_tokenizer(train_args(uri, tmp_path), progress)
    assert not (tmp_path / "out" / "tokenizer").exists() or not list(
        (tmp_path / "out" / "tokenizer").iterdir()
    )


def test_no_document_at_all_is_the_users_fault(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    with pytest.raises(UserError, match="holds no document to learn a tokenizer from"):
        tokenizer.run_tokenizer(train_args(write_documents([]), tmp_path), progress)


def test_tampered_documents_are_refused(
    write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    uri = write_documents(code_of_standard_library(50_000))
    with (Path(uri) / "documents" / "part-00000.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="was changed after it was committed"):
        tokenizer.run_tokenizer(train_args(uri, tmp_path), progress)


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", ["{uri}", "{uri}/tokenizer.json", "{copy}"], ids=["artifact", "file", "folder"]
)
def test_a_tokenizer_is_used_again_unchanged(
    form: str, write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    documents = write_documents(code_of_standard_library(300_000))
    made = tokenizer.run_tokenizer(train_args(documents, tmp_path), progress)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "tokenizer.json").write_bytes((Path(made.uri) / "tokenizer.json").read_bytes())
    uri = form.format(uri=made.uri, copy=copy)
    again = tokenizer.run_tokenizer(reuse_args(documents, tmp_path, uri), progress)
    assert artifacts.load(again.uri).content_digest == artifacts.load(made.uri).content_digest
    assert again.bytes_per_token == made.bytes_per_token


def _foreign(changes: Callable[[dict[str, Any]], None]) -> str:
    document = json.loads(tokenizer.train(iter(["int main() { return 0; }\n" * 5]), 400).to_str())
    changes(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "no tokenizer.json there", id="nothing-there"),
        pytest.param("{", "not a byte-level tokenizer.json", id="torn-json"),
        pytest.param("[]", "not a byte-level tokenizer.json", id="json-of-something-else"),
        pytest.param(
            _foreign(lambda document: document["added_tokens"].pop(0)),
            r"special token <\|endoftext\|> has id None, it must be 0",
            id="without-our-special-tokens",
        ),
        pytest.param(
            _foreign(lambda document: document.update(normalizer={"type": "NFC"})),
            "changes bytes",
            id="with-a-normaliser",
        ),
    ],
)
def test_what_cannot_be_used_again_is_refused(
    text: str | None, message: str, write_documents: WriteDocuments, tmp_path: Path, progress: Progress
) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    if text is not None:
        (folder / "tokenizer.json").write_text(text)
    documents = write_documents([{"path": "a.py", "text": "x = 1\n"}])
    with pytest.raises(UserError, match=message):
        tokenizer.run_tokenizer(reuse_args(documents, tmp_path, str(folder)), progress)


def test_a_tokenizer_of_an_odd_size_is_padded_when_used_again() -> None:
    text = tokenizer.train(iter(["int main() { return 0; }\n" * 5]), 380).to_str()
    assert tokenizer.vocabulary_size(text) == 380
    grown = tokenizer.padded(text)
    assert tokenizer.vocabulary_size(grown) == 384
    assert token_bytes(grown, special_as_text=True)[:380] == token_bytes(text, special_as_text=True)
