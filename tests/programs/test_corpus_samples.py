"""The sample that a person reads is even over reasons and languages, and the same every time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.excerpts import difference, excerpt
from tests.corpus.samples import kept_for, quotas, sample
from tests.plugins.data_artifacts import cluster, document

ROWS = [
    {"repository": "r", "path": f"{reason}{language}{number}", "reason": reason, "language": language}
    for reason, language, count in (("rare", "go", 2), ("common", "go", 90), ("common", "c", 5))
    for number in range(count)
]


@given(st.dictionaries(st.text(), st.integers(0, 50), max_size=9), st.integers(0, 200))
def test_quotas_take_what_there_is_and_no_more(sizes: dict[str, int], wanted: int) -> None:
    taken = quotas(sizes, wanted)
    assert sum(taken.values()) == min(wanted, sum(sizes.values()))
    assert all(0 <= taken[name] <= size for name, size in sizes.items())
    cut = [taken[name] for name, size in sizes.items() if taken[name] < size]
    assert not cut or max(cut) - min(cut) <= 1, "no group is cut more than another"


def test_a_sample_is_even_over_reasons_then_languages() -> None:
    found = sample(ROWS, ("reason", "language"), 20, seed=0)
    assert Counter((row["reason"], row["language"]) for row in found) == {
        ("rare", "go"): 2,
        ("common", "go"): 13,
        ("common", "c"): 5,
    }
    assert sample(list(reversed(ROWS)), ("reason", "language"), 20, seed=0) == found
    assert sample(ROWS, ("reason", "language"), 20, seed=1) != found


def test_a_near_duplicate_is_shown_beside_the_file_that_is_kept_for_it() -> None:
    kept, copy = document("a.py", "one\n"), document("b.py", "two\n")
    rows = [cluster(kept, kept, kept=True), cluster(copy, kept, kept=False)]
    assert kept_for([{**row, "kind": "Near"} for row in rows])[copy["path_id"]]["path"] == "a.py"
    assert kept_for(rows) == {}, "of an exact one there is nothing to compare"


def test_an_excerpt_shows_the_line_that_is_meant() -> None:
    text = "\n".join(f"line {number}" for number in range(1, 40))
    assert "    20 | line 20" in excerpt(text, "syntax error at line 20, column 3")
    assert excerpt(text, "").startswith("    10 | line 10")
    assert excerpt("one\ntwo", "").startswith("     1 | one")
    assert "-line 3" in difference("line 1\nline 2\nline 3\n", "line 1\nline 2\nother\n")
