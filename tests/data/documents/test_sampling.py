"""Which files a sample takes, and how a listing is cut into tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.documents.partition import FILE_COST_BYTES, cut
from daybreak_data.documents.sampling import Selection, is_likely
from daybreak_data.sources import FileRef
from daybreak_data.sources.sampling import HashSample, draw

SIZES = st.lists(st.integers(0, 1000), min_size=1, max_size=60)


def files(sizes: list[int]) -> list[tuple[str, str, int]]:
    """Files of these sizes."""
    return [("r", f"{index}.py", size) for index, size in enumerate(sizes)]


def refs(sizes: list[int]) -> list[FileRef]:
    """References of these sizes."""
    return [
        FileRef("file", "s", repository, path, "", size, "", "") for repository, path, size in files(sizes)
    ]


@given(SIZES, st.integers(1, 30_000), st.integers(0, 99))
def test_a_sample_fits_and_cannot_be_larger_by_one_more(sizes: list[int], budget: int, seed: int) -> None:
    sample = draw(files(sizes), seed, budget)
    taken = [size for repository, path, size in files(sizes) if sample.takes(repository, path)]
    assert sum(taken) <= budget or len(taken) == 1
    if len(taken) == len(sizes):
        return
    assert sum(sizes) > budget


@given(SIZES, st.integers(1, 5000), st.integers(0, 99))
def test_a_larger_budget_keeps_what_a_smaller_one_took(sizes: list[int], budget: int, seed: int) -> None:
    small, large = draw(files(sizes), seed, budget), draw(files(sizes), seed, 2 * budget)
    assert all(large.takes(*file[:2]) for file in files(sizes) if small.takes(*file[:2]))


def test_seeds_draw_different_samples() -> None:
    many = files([100] * 200)
    taken = [
        frozenset(path for _, path, _ in many if draw(many, seed, 5000).takes("r", path)) for seed in range(3)
    ]
    assert [len(sample) for sample in taken] == [50, 50, 50]
    assert len(set(taken)) == 3


def test_no_files_make_a_sample_of_everything() -> None:
    assert draw([], 0, 10) == HashSample(0)


def test_a_sample_is_drawn_among_likely_names_and_large_files_stay_to_be_counted() -> None:
    selection = Selection(frozenset({"python"}), HashSample(0))
    assert selection.takes("r", "a.py", 10)
    assert not selection.takes("r", "a.txt", 10)
    assert selection.takes("r", "model.bin", 11_000_000)
    assert Selection(frozenset({"python"})).takes("r", "a.txt", 10)


def test_likely_names() -> None:
    languages = frozenset({"cpp", "typescript", "shell"})
    assert [is_likely(name, languages) for name in ("x/a.h", "b.tsx", "c.py", ".bashrc", "Makefile")] == [
        True,
        True,
        False,
        True,
        False,
    ]


@given(SIZES, st.integers(1, 20_000))
def test_pieces_hold_every_reference_once_and_are_bounded(sizes: list[int], bound: int) -> None:
    pieces = cut(refs(sizes), bound)
    assert sorted(ref.path for piece in pieces for ref in piece.refs) == sorted(
        ref.path for ref in refs(sizes)
    )
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    assert all(piece.cost <= bound or len(piece.refs) == 1 for piece in pieces)
    assert [piece.cost for piece in pieces] == sorted((piece.cost for piece in pieces), reverse=True)


@pytest.mark.slow
def test_a_hundred_thousand_tiny_files_make_a_few_dozen_pieces() -> None:
    pieces = cut(refs([10] * 100_000))
    assert 10 < len(pieces) < 50
    assert max(len(piece.refs) for piece in pieces) - min(len(piece.refs) for piece in pieces[:-1]) <= 1


def test_a_huge_file_that_nobody_reads_costs_like_a_small_one() -> None:
    (piece,) = cut(refs([2 << 30, 10]))
    assert piece.cost == 2 * FILE_COST_BYTES + 10
