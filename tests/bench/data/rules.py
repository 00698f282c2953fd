"""The rules for single files: speed of one core on real code, and how often each is wrong.

Seconds are of the processor (``process_time``), so that a busy machine does not count. Peers: datatrove's filters,
linguist where it is installed, CPython's ``ast``, tree-sitter alone, charset-normalizer.
"""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import charset_normalizer
import tree_sitter
import tree_sitter_python

from daybreak_data.rules.filters import check_filters
from daybreak_data.rules.generated import find_generated
from daybreak_data.rules.languages import detect_language
from daybreak_data.syntax import grammars
from daybreak_data.syntax.check import check_syntax
from daybreak_data.text.decode import Decoded, decode
from tests.bench.data.corpus import environment_code
from tests.bench.peer import run_peer
from tests.bench.row import Row

CORPUS_BYTES = 60_000_000
SLOW_PEER_BYTES = 4_000_000
_LINGUIST = """
require 'linguist'; require 'json'
began = nil
texts = JSON.parse(STDIN.read)
began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
found = texts.map { |name, text| Linguist::Generated.generated?(name, text) }
puts JSON.generate([Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began, found])
"""

File = tuple[str, str, str | None]
"""Path, text, language."""


def measure() -> list[Row]:
    """All rows; about two minutes."""
    files = [(path, text, detect_language(path, text)) for path, text in environment_code(CORPUS_BYTES)]
    library = _standard_library()
    return [
        *_filter_speed(files),
        *_generated_quality(files),
        *_syntax_speed(files),
        *_syntax_quality(library),
        *_false_positives(library),
        _charsets(files),
    ]


def _standard_library() -> list[File]:
    """Every Python file of the standard library, but the ones that its tests keep broken."""
    folder = Path(sysconfig.get_path("stdlib"))
    paths = [p for p in sorted(folder.rglob("*.py")) if not {"site-packages", "lib2to3"} & set(p.parts)]
    found = [(path, decode(path.read_bytes())) for path in paths if not path.name.startswith("bad")]
    return [(str(path), text.text, "python") for path, text in found if isinstance(text, Decoded)]


def _seconds(work: Callable[[File], object], files: Iterable[File]) -> float:
    began = time.process_time()
    for file in files:
        work(file)
    return time.process_time() - began


def _megabytes(files: Iterable[File]) -> float:
    return sum(len(text.encode()) for _, text, _ in files) / 1e6


def _filter_speed(files: list[File]) -> list[Row]:
    few, total = [], 0
    for file in files:
        total += len(file[1])
        few.append(file)
        if total > SLOW_PEER_BYTES:
            break
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "corpus.json"
        given.write_text(json.dumps({"corpus": [text for _, text, _ in few]}))
        requirements = ("datatrove[io]==0.10.1", "spacy", "regex", "nltk", "tokenizers", "xxhash<4")
        peer = run_peer("datatrove 0.10.1", requirements, "datatrove_filters.py", str(given))
    both = _seconds(_filter_and_find, files)
    strict = _seconds(lambda file: check_filters(file[1], file[2], file[0], "Strict"), few)
    name = "datatrove 0.10.1, C4 and Gopher quality"
    figure = _megabytes(few) / peer["seconds"]
    told = "not the same rules; a peer's usual set"
    return [
        Row(
            "filters StarCoder2 and generated code",
            _megabytes(files) / both,
            "MB/s/core",
            ">= 10 (goal 20)",
            name,
            figure,
            told,
        ),
        Row("filters Strict (OpenCoder)", _megabytes(few) / strict, "MB/s/core", "", name, figure, told),
    ]


def _filter_and_find(file: File) -> None:
    check_filters(file[1], file[2], file[0], "StarCoder2")
    find_generated(*file)


def _generated_quality(files: list[File]) -> list[Row]:
    """Agreement with linguist, both ways; what we add are phrases that it does not know."""
    if shutil.which("github-linguist") is None:
        return []
    some = [file for file in files if file[1]]
    asked = subprocess.run(
        ["ruby", "-e", _LINGUIST],
        input=json.dumps([[path, text] for path, text, _ in some]),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, theirs = json.loads(asked.stdout)
    ours = [find_generated(*file) for file in some]
    found = sum(1 for our, their in zip(ours, theirs, strict=True) if their and our)
    own_seconds = _seconds(lambda file: find_generated(*file), some)
    name = "linguist (Debian package)"
    mine, other = _megabytes(some) / own_seconds, _megabytes(some) / seconds
    added = f"{sum(map(bool, ours))} found by us, {sum(theirs)} by it, of {len(some)} files"
    return [
        Row("generated code alone", mine, "MB/s/core", ">= 20", name, other),
        Row(
            "generated code, recall of linguist's answers",
            found / max(sum(theirs), 1),
            "",
            ">= 0.97",
            name,
            1.0,
            added,
        ),
    ]


def _syntax_speed(files: list[File]) -> list[Row]:
    parsed = [file for file in files if file[2] == "python" or (file[2] and grammars.knows(file[2]))]
    python = [file for file in parsed if file[2] == "python"][:1500]
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language()))
    ours = _megabytes(python) / _seconds(_check, python)
    by_ast = _megabytes(python) / _seconds(_by_ast, python)
    alone = _megabytes(python) / _seconds(lambda file: parser.parse(file[1].encode()), python)
    whole = _megabytes(parsed) / _seconds(_check, parsed)
    return [
        Row("syntax, all languages", whole, "MB/s/core", ">= 5", note=f"{_megabytes(parsed):.0f} MB"),
        Row("syntax, Python", ours, "MB/s/core", ">= 5", "ast.parse", by_ast),
        Row("syntax, Python", ours, "MB/s/core", ">= 5", "tree-sitter-python 0.25.0 alone", alone),
    ]


def _check(file: File) -> str:
    return check_syntax(file[1], file[2], file[0]).verdict


def _by_ast(file: File) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(file[1])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _syntax_quality(library: list[File]) -> list[Row]:
    """Files cut inside a bracket are broken for sure; of the cut Python files ``ast`` says which are."""
    chance = random.Random(0)
    cut = [(path, text[: chance.randrange(1, len(text))], "python") for path, text, _ in library[::2] if text]
    broken = [file for file in cut if not _by_ast(file)]
    python = sum(_check(file) == "error" for file in broken) / len(broken)
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language()))
    alone = sum(parser.parse(file[1].encode()).root_node.has_error for file in broken) / len(broken)
    whole = [file for file in _files_for_grammars() if _check(file) == "ok"]
    cuts = [(p, t[: chance.randrange(1, len(t))], k) for p, t, k in whole for _ in range(4)]
    open_ones = [file for file in cuts if file[1].count("{") > file[1].count("}")]
    grammar = sum(_check(file) == "error" for file in open_ones) / max(len(open_ones), 1)
    told = f"{len(open_ones)} files of JavaScript, CSS, C and C++ cut inside a block"
    return [
        Row(
            "truncated Python files found",
            python,
            "",
            ">= 0.98",
            "tree-sitter-python alone",
            alone,
            f"{len(broken)} files",
        ),
        Row("truncated files found where only a grammar is", grammar, "", ">= 0.80", note=told),
    ]


def _files_for_grammars() -> list[File]:
    """Up to 60 files each of the languages that only tree-sitter reads here, lines as people write them."""
    chosen: list[File] = []
    for suffix, language in ((".js", "javascript"), (".css", "css"), (".c", "c"), (".cpp", "cpp")):
        paths = sorted(Path(sysconfig.get_path("purelib")).rglob(f"*{suffix}"))
        random.Random(0).shuffle(paths)
        texts = [(str(path), path.read_text("utf-8", "replace"), language) for path in paths[:400]]
        plain = [
            file
            for file in texts
            if file[1] and len(file[1]) < 200_000 and max(map(len, file[1].splitlines())) < 1000
        ]
        chosen += plain[:60]
    return chosen


def _false_positives(library: list[File]) -> list[Row]:
    wrong = [file for file in library if _check(file) == "error"]
    generated = [Path(file[0]).name for file in library if find_generated(*file)]
    dropped = sum(1 for file in library if check_filters(file[1], file[2], file[0], "StarCoder2"))
    count = len(library)
    told = f"{count} files of the standard library"
    return [
        Row("syntax errors said of good files", len(wrong) / count, "", "<= 0.005", note=told),
        Row(
            "standard library called generated",
            len(generated) / count,
            "",
            "",
            note=", ".join(generated),
        ),
        Row(
            "standard library dropped by StarCoder2's filters",
            dropped / count,
            "",
            "",
        ),
    ]


def _charsets(files: list[File]) -> Row:
    """Files with characters outside ASCII, re-encoded in the charsets of its script: restored exactly?"""
    texts = [text for _, text, _ in files if not text.isascii() and "\0" not in text and len(text) < 100_000]
    texts += [file.read_text("utf-8") for file in _encoding_samples()]
    cases = []
    for text in texts:
        for charset in _natural_charsets(text):
            try:
                data = text.encode(charset)
                data.decode("utf-8")
            except UnicodeEncodeError:
                continue
            except UnicodeDecodeError:
                cases.append((text, data))
    ours = sum(
        1
        for text, data in cases
        if (found := decode(data)) and isinstance(found, Decoded) and found.text == text
    )
    theirs = sum(1 for text, data in cases if str(charset_normalizer.from_bytes(data).best()) == text)
    name = f"charset-normalizer {charset_normalizer.__version__}"
    total = max(len(cases), 1)
    told = f"{len(cases)} files, many with under ten characters that tell"
    return Row("re-encoded files restored exactly", ours / total, "", "", name, theirs / total, told)


def _natural_charsets(text: str) -> tuple[str, ...]:
    """The charsets in which somebody would have written the text."""
    if any("\u3040" < character < "\u30ff" for character in text):
        return ("shift_jis", "euc_jp")
    if any("\uac00" <= character <= "\ud7a3" for character in text):
        return ("euc_kr", "cp949")
    if any("\u4e00" <= character <= "\u9fff" for character in text):
        return ("gb18030", "big5")
    if any("\u0400" < character < "\u0460" for character in text):
        return ("cp1251", "koi8_r")
    return ("cp1252", "latin-1")


def _encoding_samples() -> list[Path]:
    return sorted((Path(sysconfig.get_path("stdlib")) / "test" / "cjkencodings").glob("*-utf8.txt"))
