"""Files that give away evaluation problems: docstrings and solutions of HumanEval, and of the user's own files.

A file counts as contaminated when it shares a telling run of ten words with a problem (DeepSeek-Coder, arXiv
2401.14196, drops every exact 10-gram), or holds all of a docstring or solution. Letters' case, white space and
punctuation do not count. Owns the rule and the index; does not drop anything.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daybreak_data.duplicates.problem_texts import HUMAN_EVAL, KnownProblems
from daybreak_data.duplicates.word_grams import U64, gram_hashes, text_chunks

if TYPE_CHECKING:
    import pyarrow as pa

CODE_VERSION = 1  # part of the digest of every step that drops contaminated files

GRAM_WORDS = 10
# What makes a run telling: so many different words that are neither numbers nor the idioms below. Counted on
# 150 MB of the standard library and installed packages: the runs of ten that HumanEval shares with them are
# numbers in a row, also in words, and nested loops.
MIN_TELLING_WORDS = 4
# A whole docstring or solution of at least this many words counts even if none of its runs is telling.
MIN_WHOLE_WORDS = 14
_IDIOM_WORDS = """
and append def elif else false for from if import in int is lambda len list max min none not or print range return
set sorted str sum true while zero one two three four five six seven eight nine ten
"""
_IDIOMS = frozenset(_IDIOM_WORDS.split())
# Files hold problems in any language. Counted on 115,000 files of 61 public repositories: beside copies of the problems
# themselves these shared with MBXP lists of months, and what every loop over the characters of a text looks like.
_IDIOM_WORDS_OF_FILES = """
break case char const continue count function length let new null public size static std string switch text this
undefined var vector void
jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october
november december sun mon tue wed thu fri sat sunday monday tuesday wednesday thursday friday saturday
"""
_IDIOMS_OF_FILES = _IDIOMS | frozenset(_IDIOM_WORDS_OF_FILES.split())
# A run in so many of a file's texts is its template, as "write a function to find the", and tells no problem.
MAX_TEXTS_OF_RUN = 3
_WORD = re.compile(r"[a-z_0-9]+")
_FILTER_BITS = 20
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32


@dataclass(frozen=True)
class _Index:
    """Hashes of all runs; which problem a telling one gives away; the runs of whole docstrings and solutions."""

    hashes: U64
    telling: dict[int, str]
    wholes: tuple[tuple[str, frozenset[int]], ...]
    filter: NDArray[np.bool_]


def contaminated_by(text: str, known: KnownProblems = HUMAN_EVAL) -> str | None:
    """Return the problem that a text gives away, as ``HumanEval/12``, or None."""
    import pyarrow as pa

    return contaminations(pa.array([text]), known)[0]


def contaminations(texts: pa.Array, known: KnownProblems = HUMAN_EVAL) -> list[str | None]:
    """Return for each text of an Arrow array the problem it gives away, or None."""
    index = _index_of(known)
    found: list[str | None] = []
    for data, offsets in text_chunks(texts):
        grams, gram_offsets, _ = gram_hashes(_LOWER[data], offsets, GRAM_WORDS)
        places = _known(grams, index)
        bounds = np.searchsorted(places, gram_offsets)
        for first, past in pairwise(bounds.tolist()):
            found.append(_verdict(grams[places[first:past]], index) if past > first else None)
    return found


def _known(grams: U64, index: _Index) -> NDArray[np.intp]:
    """Places of the hashes that are in the index; a table of bits lets through about one in a hundred."""
    if not len(index.hashes):  # problems of a few words each
        return np.empty(0, np.intp)
    maybe = np.flatnonzero(index.filter[(grams >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)])
    near = np.minimum(np.searchsorted(index.hashes, grams[maybe]), len(index.hashes) - 1)
    places: NDArray[np.intp] = maybe[index.hashes[near] == grams[maybe]]
    return places


def _verdict(grams: U64, index: _Index) -> str | None:
    values = grams.tolist()
    for value in values:
        if value in index.telling:
            return index.telling[value]
    present = set(values)
    return next((task for task, runs in index.wholes if runs <= present), None)


@functools.lru_cache(maxsize=4)
def _index_of(known: KnownProblems) -> _Index:
    telling: dict[int, str] = {}
    wholes: list[tuple[str, frozenset[int]]] = []
    every: set[int] = set()
    parts = [(part, _runs(part.text)) for part in known.parts()]
    num_texts = Counter(value for part, runs in parts if part.may_be_template for value in runs)
    for part, runs in parts:
        every.update(runs)
        idioms = _IDIOMS_OF_FILES if part.may_be_template else _IDIOMS
        says_enough = not part.may_be_template or is_telling(tuple(_WORD.findall(part.text.lower())), idioms)
        if len(runs) > MIN_WHOLE_WORDS - GRAM_WORDS and says_enough:
            wholes.append((part.task, frozenset(runs)))
        for value, words in runs.items():
            if part.is_telling and num_texts[value] <= MAX_TEXTS_OF_RUN and is_telling(words, idioms):
                telling.setdefault(value, part.task)
    hashes = np.array(sorted(every), np.uint64)
    table = np.zeros(1 << _FILTER_BITS, np.bool_)
    table[(hashes >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)] = True
    return _Index(hashes, telling, tuple(wholes), table)


def is_telling(words: tuple[str, ...], idioms: frozenset[str] = _IDIOMS) -> bool:
    """Tell whether a run of words says what a problem is about."""
    return len({w for w in words if len(w) > 1 and not w.isdigit() and w not in idioms}) >= MIN_TELLING_WORDS


def _runs(text: str) -> dict[int, tuple[str, ...]]:
    data = np.frombuffer(text.lower().encode(), np.uint8)
    grams, _, _ = gram_hashes(data, np.array([0, len(data)]), GRAM_WORDS)
    words = _WORD.findall(text.lower())
    return {value: tuple(words[i : i + GRAM_WORDS]) for i, value in enumerate(grams.tolist())}
