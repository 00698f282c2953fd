"""The tokenizer step: a byte-level BPE learned from a sample of the run's own documents, or one that is re-used.

Owns what the tokenizer is (split pattern, alphabet, special tokens, padding of the vocabulary) and its files.
``sample`` decides what it learns from, ``encoding`` uses it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import TokenizerArgs, TokenizerResult
from daybreak_data.tables import reading
from daybreak_data.tokenizer import encoding
from daybreak_data.tokenizer.sample import Index, TokenizerSample, plan_sample
from daybreak_model.vocabulary import SPLIT_PATTERN, special_ids, token_bytes, with_control_spellings

CODE_VERSION = 2

MULTIPLE = 128  # tensor cores want the size of the embedding divisible by it
MIN_PAIR_COUNT = 2  # a pair seen once is no regularity, only an accident of the sample

# Learning takes time in the square of a word's length: 4 MB of words of 200,000 letters each took over eight minutes.
LONGEST_WORD = 256

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"


def run_tokenizer(args: TokenizerArgs, progress: Progress) -> TokenizerResult:
    """Train or re-use a tokenizer and measure it. Too little data for the vocabulary is a UserError."""
    documents = artifacts.load(args.documents)
    reused = read_reused(args.tokenizer.reuse.uri) if args.tokenizer.reuse else None
    digest = artifacts.digest_of(
        {
            "step": names.STEP_TOKENIZER,
            "code": CODE_VERSION,
            "train": args.tokenizer.train.model_dump(mode="json") if args.tokenizer.train else None,
            "reuse": artifacts.digest_of(reused),
            "seed": args.seed,
            "documents": documents.digest,
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_TOKENIZER, digest)

    def write(staging: Path) -> dict[str, Any]:
        artifacts.verify(args.documents, documents)
        with _threads(args.cores):
            return _write(args, documents, staging, reused, progress)

    manifest, cached = artifacts.produce(
        uri,
        step=names.STEP_TOKENIZER,
        digest=digest,
        inputs={"documents": documents.digest},
        work_dir=args.work_dir,
        write=write,
    )
    return TokenizerResult.model_validate({**manifest.result, "uri": uri, "digest": digest, "cached": cached})


def _write(
    args: TokenizerArgs, documents: artifacts.Manifest, staging: Path, reused: str | None, progress: Progress
) -> dict[str, Any]:
    files = reading.files_of(args.documents, documents, reading.DOCUMENTS)
    index, languages = read_index(files, args.documents)
    wanted = args.tokenizer.train.sample_bytes if args.tokenizer.train else 1
    sample = plan_sample(index, languages, wanted, args.seed)
    if reused is None:
        text = _train(args, files, index, sample, progress.part(0, 0.8))
    else:
        text = reused
    save(text, staging)
    size = vocabulary_size(text)
    return {"vocabulary_size": size, "bytes_per_token": measure(text, files, sample, progress.part(0.8, 1))}


@contextlib.contextmanager
def _threads(cores: int) -> Iterator[None]:
    """Bound the threads of `tokenizers`; it reads the variable at its first use in this process."""
    before = os.environ.get("RAYON_NUM_THREADS")
    if cores:
        os.environ["RAYON_NUM_THREADS"] = str(cores)
    try:
        yield
    finally:
        if cores and before is None:
            del os.environ["RAYON_NUM_THREADS"]
        elif cores and before is not None:
            os.environ["RAYON_NUM_THREADS"] = before


def read_index(files: list[str], uri: str) -> tuple[Index, list[str]]:
    """Return the index of all documents and the sorted names of their languages; no document is a UserError."""
    path_ids, languages, sizes = [], [], []
    for batch in reading.scan(files, ["path_id", "language", "size_bytes"]):
        path_ids.append(batch.column(0).to_numpy(zero_copy_only=False))
        languages.extend(batch.column(1).to_pylist())
        sizes.append(batch.column(2).to_numpy(zero_copy_only=False))
    if not languages:
        raise UserError(
            f"{uri}: holds no document to learn a tokenizer from, look at the x-ray's drop counts"
        )
    known = sorted(set(languages))
    position = {name: place for place, name in enumerate(known)}
    places = np.array([position[name] for name in languages], np.int32)
    return Index(np.concatenate(path_ids), places, np.concatenate(sizes).astype(np.int64)), known


def texts_of(files: list[str], chosen: Any) -> Iterator[tuple[str, str]]:
    """Yield language and text of the documents whose path id is in a sorted array."""
    for batch in reading.scan(files, ["path_id", "language", "text"]):
        keep = np.flatnonzero(
            np.isin(batch.column(0).to_numpy(zero_copy_only=False), chosen, assume_unique=True)
        )
        yield from zip(
            batch.column(1).take(keep).to_pylist(), batch.column(2).take(keep).to_pylist(), strict=True
        )


def learnable(text: str) -> str:
    """Return the text without the spelling of special tokens, which must not shape the merges, and without endless
    words, which would cost hours and teach nothing.
    """
    special = _special()
    while special.search(text):  # taking one out can join the halves of another
        text = str(special.sub("", text))
    maybe, surely = _endless()
    return str(surely.sub("", text)) if maybe.search(text.encode()) else text


@functools.cache
def _special() -> Any:
    import re2

    return re2.compile("|".join(re2.escape(token) for token in names.SPECIAL_TOKENS))


@functools.cache
def _endless() -> tuple[Any, Any]:
    """Return a fast pattern on bytes, which finds too much (beyond ASCII it cannot tell kinds), and the exact one."""
    import re2
    import regex

    many = f"{{{LONGEST_WORD + 1},}}"
    kinds = (rb"A-Za-z", rb"!-/:-@\[-`{-~", rb"\t-\r ")
    maybe = b"|".join(b"[" + kind + rb"\x80-\xff]" + many.encode() for kind in kinds)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(maybe, options), regex.compile(rf"\p{{L}}{many}|[^\s\p{{L}}\p{{N}}]{many}|\s{many}")


def _train(
    args: TokenizerArgs, files: list[str], index: Index, sample: TokenizerSample, progress: Progress
) -> str:
    assert args.tokenizer.train is not None
    counting = progress.part(0, 0.7)
    total = int(index.sizes[np.isin(index.path_ids, sample.learned, assume_unique=True)].sum())

    def texts() -> Iterator[str]:
        done = 0
        for _, text in texts_of(files, sample.learned):
            done += len(text)
            counting.report("counting words of the sample", done, total)
            yield learnable(text)
        progress.report("learning merges", 0.7, 1)

    size = args.tokenizer.train.vocabulary_size
    trained = train(texts(), size)
    reached = trained.get_vocab_size()
    if reached < size:
        raise UserError(
            f"tokenizer.train.vocabularySize {size}: vocabulary larger than the data supports, {total:,} bytes of "
            f"sample give {reached}; ask for at most {reached}, or add sources or sampleBytes"
        )
    return padded(str(trained.to_str(pretty=False)))


def train(texts: Iterator[str], vocabulary_size: int) -> Any:
    """Return a `tokenizers.Tokenizer` with at most this many tokens; equal texts in any order give equal bytes."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, by_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=MIN_PAIR_COUNT,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def vocabulary_size(text: str) -> int:
    """Return the number of ids of a ``tokenizer.json``: one more than the largest."""
    document = json.loads(text)
    ids: list[int] = [token["id"] for token in document["added_tokens"]]
    ids.extend(document["model"]["vocab"].values())
    return 1 + max(ids)


def padded(text: str) -> str:
    """Return the tokenizer with spare special tokens behind the others, so that its size is a multiple of 128."""
    from tokenizers import AddedToken, Tokenizer

    size = vocabulary_size(text)
    missing = -size % MULTIPLE
    tokenizer = Tokenizer.from_str(text)
    spare = [AddedToken(f"<|reserved_{place}|>", special=True, normalized=False) for place in range(missing)]
    tokenizer.add_special_tokens(spare)
    return str(tokenizer.to_str(pretty=False))


def save(text: str, folder: Path) -> None:
    """Write the three files that `tokenizers` and `transformers.AutoTokenizer` read."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": names.END_OF_TEXT,
        "pad_token": names.FIM_PAD,
        "additional_special_tokens": _additional(),
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(1e30),  # what transformers writes where the tokenizer sets no bound
    }
    special = {
        "eos_token": names.END_OF_TEXT,
        "pad_token": names.FIM_PAD,
        "additional_special_tokens": _additional(),
    }
    (folder / TOKENIZER_FILE).write_bytes(text.encode())
    storage.write_json(str(folder / CONFIG_FILE), config)
    storage.write_json(str(folder / SPECIAL_TOKENS_FILE), special)


def _additional() -> list[str]:
    return [token for token in names.SPECIAL_TOKENS if token not in (names.END_OF_TEXT, names.FIM_PAD)]


def measure(text: str, files: list[str], sample: TokenizerSample, progress: Progress) -> dict[str, float]:
    """Return UTF-8 bytes per token of each language on the documents that were held out, to four digits."""
    encoder = encoding.load_encoder(text)
    num_bytes: dict[str, int] = defaultdict(int)
    num_tokens: dict[str, int] = defaultdict(int)
    for done, (language, document) in enumerate(texts_of(files, sample.measured)):
        progress.report("measuring compression", done, len(sample.measured))
        num_bytes[language] += len(document.encode())
        num_tokens[language] += sum(map(len, encoding.encode_texts(encoder, [document])))
    measured = sorted(language for language, count in num_tokens.items() if count)
    return {language: round(num_bytes[language] / num_tokens[language], 4) for language in measured}


def read_reused(uri: str) -> str:
    """Return the ``tokenizer.json`` of an artifact, a folder or a file; one we cannot build on is a UserError."""
    location = uri if uri.endswith(".json") else storage.join(uri, TOKENIZER_FILE)
    if not uri.endswith(".json") and storage.exists(storage.join(uri, artifacts.MANIFEST)):
        artifacts.verify(uri, artifacts.load(uri))
    if not storage.exists(location):
        raise UserError(
            f"tokenizer.reuse.uri {uri}: no {TOKENIZER_FILE} there, name the artifact of a tokenizer step"
        )
    try:
        text = storage.read_bytes(location).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{location}: not UTF-8, so no {TOKENIZER_FILE}") from error
    _check_reused(location, text)
    text = with_control_spellings(text)
    return text if vocabulary_size(text) % MULTIPLE == 0 else padded(text)


def _check_reused(location: str, text: str) -> None:
    try:
        encoder = encoding.load_encoder(text, engine=encoding.REFERENCE)
        ids = special_ids(text)
        table = token_bytes(text, special_as_text=True)
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{location}: not a byte-level {TOKENIZER_FILE} ({error!s})") from error
    for place, token in enumerate(names.SPECIAL_TOKENS):
        if ids.get(token) != place:
            raise UserError(
                f"{location}: special token {token} has id {ids.get(token)}, it must be {place}; "
                "only a tokenizer that a tokenizer step made can be re-used"
            )
    for probe, encoded in zip(encoding.PROBES, encoding.encode_texts(encoder, encoding.PROBES), strict=True):
        if encoding.decode_bytes(table, encoded) != probe.encode():
            raise UserError(f"{location}: changes bytes (on {probe[:20]!r}), a tokenizer for code must not")
