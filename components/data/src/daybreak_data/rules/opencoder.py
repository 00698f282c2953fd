"""The rules that the profile Strict adds: OpenCoder's, made deterministic.

Owns: the thresholds of OpenCoder's published code_filter_config.py (arXiv 2411.04905) as an ordered table.
Does not own: StarCoder2's rules (starcoder2.py). Where OpenCoder draws a random number to drop four files of
five, here the digest of the text decides, so that a file always has the same fate.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import numpy as np
import numpy.typing as npt

from daybreak_data.rules.comments import comment_and_string_chars
from daybreak_data.rules.measures import FilterRule, MeasuredText

MOST_BYTES = 3_000_000
LEAST_CHARS, LEAST_WORDS, LEAST_LINES = 50, 30, 10
SHORTEST_MEAN_WORD, LONGEST_MEAN_WORD = 2.0, 10.0
LEAST_MEAN_LINE = 5.0
LEAST_LETTERS = 0.5  # of the visible characters
MOST_DIGITS, MOST_DIGITS_OF_SQL = 0.2, 0.3
MOST_WHITE = 0.5
MOST_REPLACEMENTS = 0.01
MOST_COMMENTS, MOST_STRINGS = 0.8, 0.6
LONG_WORD, MOST_LONG_WORDS = 20, 0.4  # characters of a word; share of the text
MOST_HEX_WORDS = 0.4
MOST_PROMPTS, MOST_ASSERTS = 0.01, 0.4
MOST_REPEATED_LINES = 0.7
MOST_TOP_GRAM = {2: 0.20, 3: 0.18, 4: 0.16}
MOST_REPEATED_GRAMS = {5: 0.8, 6: 0.7, 7: 0.7, 8: 0.7, 9: 0.7, 10: 0.6}
MOST_PASS, MOST_IMPORT, MOST_FUNCTIONS, MOST_ONE_LINERS, MOST_PRINT, MOST_NO_LOGIC = (
    0.05,
    0.3,
    0.2,
    0.1,
    0.4,
    0.5,
)
MOST_PREPROCESSOR = 0.8
DROPPED_OF_DRAWN = 0.8
"""OpenCoder drops a file without logic, and a Go test, with this probability."""

DATA = frozenset(("json", "yaml", "toml", "xml", "html", "css", "markdown", "text"))
_WORD = re.compile(r"\w+", re.ASCII)
_HEX_WORD = re.compile(r"(?:0[xX])?[0-9a-fA-F]{2,}")
_PROMPT = re.compile(r"(?:#|//|/\*|--).*(?:\btodo\b|\bfixme\b|your code here)", re.IGNORECASE)
# OpenCoder's score of missing logic: functions, imports, classes, simple returns and simple variables.
_NO_LOGIC = re.compile(
    r"(?:async +)?def |class |import |from [\w.]+ import|return(?: +(?:[\w.]+|[\"'][^\"']*[\"']))?$"
    r"|[\w.]+ *(?:: *[\w.\[\], ]+)?= *(?:[\w.]+|[\"'][^\"']*[\"']|\[\]|\{\}|\(\))$"
)
_ONE_LINER = re.compile(r"^([ \t]*)def [^\n]*:\n\1[ \t]+return\b[^\n]*\n(?!\1[ \t])", re.MULTILINE)


def is_too_big_or_too_small(document: MeasuredText) -> str | None:
    """Over 3 MB, or under 50 characters, 30 words or 10 lines."""
    if len(document.data) > MOST_BYTES:
        return f"{len(document.data)} bytes, at most {MOST_BYTES}"
    for count, least, unit in (
        (len(document.text), LEAST_CHARS, "characters"),
        (len(document.words), LEAST_WORDS, "words"),
        (len(document.lines), LEAST_LINES, "lines"),
    ):
        if count < least:
            return f"{count} {unit}, at least {least}"
    return None


def has_words_of_unlikely_length(document: MeasuredText) -> str | None:
    """A mean word of under 2 or over 10 characters, or two fifths of the text in words over 20."""
    words = _WORD.findall(document.text)
    if not words:
        return "no word"
    mean = sum(map(len, words)) / len(words)
    if not SHORTEST_MEAN_WORD <= mean <= LONGEST_MEAN_WORD:
        return f"{mean:.1f} characters a word, from {SHORTEST_MEAN_WORD} to {LONGEST_MEAN_WORD}"
    long = document.share(sum(len(word) for word in words if len(word) > LONG_WORD))
    return _over(long, MOST_LONG_WORDS, "in long words")


def has_lines_that_are_short_on_average(document: MeasuredText) -> str | None:
    """A mean of less than five characters."""
    mean = document.mean_line
    return f"{mean:.1f} characters a line, at least {LEAST_MEAN_LINE}" if mean < LEAST_MEAN_LINE else None


def is_not_mostly_letters(document: MeasuredText) -> str | None:
    """Under half of the visible characters are letters, or over a fifth of all digits (SQL: 0.3)."""
    visible = len(document.text) - document.white
    if visible and document.letters / visible < LEAST_LETTERS:
        return f"{document.letters / visible:.0%} of the visible characters letters, at least {LEAST_LETTERS:.0%}"
    most = MOST_DIGITS_OF_SQL if document.language == "sql" else MOST_DIGITS
    return _over(document.share(document.digits), most, "digits")


def is_mostly_white_or_broken(document: MeasuredText) -> str | None:
    """Over half white space, or over 1 % replacement characters."""
    white = _over(document.share(document.white), MOST_WHITE, "white space")
    broken = document.share(document.text.count("\ufffd"))
    return white or _over(broken, MOST_REPLACEMENTS, "replacement characters")


def is_mostly_comments_or_strings(document: MeasuredText) -> str | None:
    """Over 0.8 comments, or over 0.6 strings (strings do not count in data and markup)."""
    comments, strings = comment_and_string_chars(document.text, document.language)
    if document.language in DATA:
        strings = 0
    found = _over(document.share(comments), MOST_COMMENTS, "comments")
    return found or _over(document.share(strings), MOST_STRINGS, "strings")


def is_mostly_hexadecimal(document: MeasuredText) -> str | None:
    """Over two fifths of the characters stand in hexadecimal words that hold a digit."""
    words = _HEX_WORD.findall(document.text)
    count = sum(len(word) for word in words if any(map(str.isdigit, word)))
    return _over(document.share(count), MOST_HEX_WORDS, "hexadecimal words")


def repeats_its_lines(document: MeasuredText) -> str | None:
    """Over 0.7 of the filled lines stand there more than once."""
    filled = document.filled_lines
    repeated = 1 - len(set(filled)) / len(filled) if filled else 0.0
    return (
        f"{repeated:.0%} repeated lines, at most {MOST_REPEATED_LINES:.0%}"
        if repeated > MOST_REPEATED_LINES
        else None
    )


def repeats_itself(document: MeasuredText) -> str | None:
    """Too many equal lines, or word n-grams that cover too much of the text."""
    lines = repeats_its_lines(document)
    if lines is not None:
        return lines
    ids, lengths = _word_ids(_WORD.findall(document.text))
    for size, most in MOST_TOP_GRAM.items():
        share = _top_gram_share(ids, lengths, size)
        if share > most:
            return f"one {size}-gram covers {share:.0%}, at most {most:.0%}"
    for size, most in MOST_REPEATED_GRAMS.items():
        share = _repeated_share(ids, lengths, size)
        if share > most:
            return f"repeated {size}-grams cover {share:.0%}, at most {most:.0%}"
    return None


def is_an_exercise_or_all_asserts(document: MeasuredText) -> str | None:
    """Over 1 % of lines with TODO, FIXME or "your code here", or over 0.4 asserts."""
    if document.language in DATA or not document.lines:
        return None
    prompts = sum(1 for line in document.lines if _PROMPT.search(line))
    asserts = sum(1 for line in document.lines if "assert" in line)
    total = len(document.lines)
    return _over(prompts / total, MOST_PROMPTS, "prompt comments") or _over(
        asserts / total, MOST_ASSERTS, "asserts"
    )


def is_python_without_substance(document: MeasuredText) -> str | None:
    """Too many lines that pass, import, print, define or only return, or, four times in five, too few with logic."""
    if document.language != "python":
        return None
    return is_python_without_statements(document) or (
        is_python_without_logic(document) if is_drawn(document) else None
    )


def is_python_without_statements(document: MeasuredText) -> str | None:
    """Too many lines of Python that pass, import, print, define or only return."""
    filled = _statements(document)
    if not filled:
        return "no statement"
    for count, most, what in (
        (sum(1 for line in filled if line == "pass"), MOST_PASS, "lines that pass"),
        (sum(1 for line in filled if line.startswith(("import ", "from "))), MOST_IMPORT, "imports"),
        (sum(1 for line in filled if line.startswith("print")), MOST_PRINT, "lines that print"),
        (
            sum(1 for line in filled if line.startswith(("def ", "async def "))),
            MOST_FUNCTIONS,
            "lines of def",
        ),
        (len(_ONE_LINER.findall(document.text)), MOST_ONE_LINERS, "functions that only return"),
    ):
        if count / len(filled) > most:
            return f"{count / len(filled):.0%} {what}, at most {most:.0%}"
    return None


def is_python_without_logic(document: MeasuredText) -> str | None:
    """Over half of the lines of Python define, import, or assign and return something simple."""
    filled = _statements(document)
    no_logic = sum(1 for line in filled if _NO_LOGIC.match(line)) / max(len(filled), 1)
    return (
        f"{no_logic:.0%} lines without logic, at most {MOST_NO_LOGIC:.0%}"
        if no_logic > MOST_NO_LOGIC
        else None
    )


def _statements(document: MeasuredText) -> list[str]:
    return [line for line in document.filled_lines if not line.startswith("#")]


def is_c_without_substance(document: MeasuredText) -> str | None:
    """C or C++ with more than one ``main``, or over 0.8 preprocessor lines."""
    if document.language not in ("c", "cpp"):
        return None
    mains = len(re.findall(r"^\s*(?:int|void)\s+main\s*\(", document.text, re.MULTILINE))
    if mains > 1:
        return f"{mains} main functions, at most 1"
    filled = [line for line in map(str.lstrip, document.lines) if line]
    directives = sum(1 for line in filled if line.startswith("#"))
    return _over(directives / max(len(filled), 1), MOST_PREPROCESSOR, "preprocessor lines")


def is_a_go_test(document: MeasuredText) -> str | None:
    """A ``_test.go`` file; one of five is kept."""
    if document.language != "go" or not document.path.endswith("_test.go"):
        return None
    return f"a Go test; {1 - DROPPED_OF_DRAWN:.0%} of them are kept" if is_drawn(document) else None


def is_drawn(document: MeasuredText) -> bool:
    """True for four of five texts, by the text's own digest."""
    digest = hashlib.sha256(document.data).digest()
    return int.from_bytes(digest[:8], "big") < DROPPED_OF_DRAWN * 2**64


OPENCODER = (
    FilterRule("unfit-size", is_too_big_or_too_small),
    FilterRule("unlikely-words", has_words_of_unlikely_length),
    FilterRule("short-mean-line", has_lines_that_are_short_on_average),
    FilterRule("not-mostly-letters", is_not_mostly_letters),
    FilterRule("mostly-white-or-broken", is_mostly_white_or_broken),
    FilterRule("mostly-comments-or-strings", is_mostly_comments_or_strings),
    FilterRule("hexadecimal", is_mostly_hexadecimal),
    FilterRule("exercise-or-asserts", is_an_exercise_or_all_asserts),
    FilterRule("python-without-substance", is_python_without_substance),
    FilterRule("c-without-substance", is_c_without_substance),
    FilterRule("go-test", is_a_go_test),
    FilterRule("repetition", repeats_itself),
)


def _over(share: float, most: float, what: str) -> str | None:
    return f"{share:.1%} {what}, at most {most:.0%}" if share > most else None


def _word_ids(words: list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """A number per distinct word, and the lengths of the words."""
    numbers: dict[str, int] = {}
    ids = np.fromiter((numbers.setdefault(w, len(numbers)) for w in words), dtype=np.uint64, count=len(words))
    return ids, np.fromiter(map(len, words), dtype=np.int64, count=len(words))


def _grams(ids: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of every run of ``size`` words."""
    count = len(ids) - size + 1
    hashes = np.zeros(max(count, 0), dtype=np.uint64)
    for place in range(size if count > 0 else 0):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + ids[place : place + count] + np.uint64(1)
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _top_gram_share(ids: npt.NDArray[np.uint64], lengths: npt.NDArray[np.int64], size: int) -> float:
    """The most frequent n-gram's share of all characters of words."""
    counts = Counter(_grams(ids, size).tolist()).most_common(1)
    if not counts or counts[0][1] < 2:
        return 0.0
    first = int(np.flatnonzero(_grams(ids, size) == np.uint64(counts[0][0]))[0])
    return counts[0][1] * int(lengths[first : first + size].sum()) / int(lengths.sum())


def _repeated_share(ids: npt.NDArray[np.uint64], lengths: npt.NDArray[np.int64], size: int) -> float:
    """The share of the characters of words that stand in an n-gram seen more than once."""
    grams = _grams(ids, size)
    if not len(grams):
        return 0.0
    _, inverse, counts = np.unique(grams, return_inverse=True, return_counts=True)
    repeated = (counts[inverse] > 1).astype(np.int64)
    starts = np.zeros(len(ids) + 1, dtype=np.int64)
    starts[: len(repeated)] += repeated
    starts[size : size + len(repeated)] -= repeated
    covered = np.cumsum(starts[:-1]) > 0
    return float(lengths[covered].sum() / lengths.sum())
