"""Weights by source and language: how often a document is written, and where its copies lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts.shards import HELD_OUT
from daybreak_contracts.resources.data import MixtureRow
from daybreak_data.shards.mixture import Mixture, spread
from daybreak_data.shards.plan import Documents, make_plan
from daybreak_data.shards.shares import Written, realised

TRIPLED = MixtureRow(source="internal", epochs="3")
HALF_SQL = MixtureRow(language="sql", epochs="0.5")
MIXTURES = st.lists(
    st.builds(
        MixtureRow,
        source=st.sampled_from(["a", "b"]),
        language=st.sampled_from([None, "c", "sql"]),
        epochs=st.sampled_from(["0", "0.25", "1", "1.5", "2", "3.75"]),
    ),
    max_size=2,
).map(tuple)


def known(ids: list[int], num_repositories: int = 7) -> Documents:
    return Documents(
        [f"r{number % num_repositories}" for number in ids],
        ["ab"[number % 2] for number in ids],
        [("c", "sql", "go")[number % 3] for number in ids],
        np.array(ids, np.int64) * 1_000_003,
    )


@pytest.mark.parametrize(
    ("rows", "source", "language", "share"),
    [
        pytest.param((), "internal", "sql", 1.0, id="none-is-once"),
        pytest.param((TRIPLED,), "internal", "c", 3.0, id="whole-repeats"),
        pytest.param((TRIPLED,), "other", "c", 1.0, id="no-row-is-once"),
        pytest.param((HALF_SQL,), "other", "sql", 0.5, id="a-fraction"),
        pytest.param((TRIPLED, HALF_SQL), "internal", "sql", 1.5, id="the-product-of-what-matches"),
        pytest.param(
            (MixtureRow(source="internal", epochs="0"), TRIPLED), "internal", "c", 0.0, id="left-out"
        ),
        pytest.param(
            (MixtureRow(source="internal", language="sql", epochs="2"),),
            "internal",
            "c",
            1.0,
            id="both-must-match",
        ),
    ],
)
def test_epochs_are_the_product_of_the_rows_that_match(
    rows: tuple[MixtureRow, ...], source: str, language: str, share: float
) -> None:
    ids = np.arange(1, 20_001, dtype=np.int64) * 99_991
    copies = Mixture(rows).copies([source] * len(ids), [language] * len(ids), ids, 0)
    assert copies.mean() == pytest.approx(share, abs=0.02)
    assert set(copies.tolist()) <= {int(share), int(np.ceil(share))}


def test_a_document_that_is_in_stays_in_when_its_epochs_grow() -> None:
    ids = np.arange(1, 1001, dtype=np.int64) * 99_991
    before = np.zeros(len(ids), np.int64)
    for epochs in ("0", "0.1", "0.5", "0.9", "1", "1.2", "2"):
        rows = (MixtureRow(language="sql", epochs=epochs),)
        copies = Mixture(rows).copies(["a"] * len(ids), ["sql"] * len(ids), ids, 3)
        assert (copies >= before).all()
        before = copies


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 64))
def test_copies_lie_at_least_half_a_part_of_the_circle_apart(order: int, copies: int) -> None:
    number = np.arange(copies)
    places = spread(np.full(copies, order, np.uint64), np.full(copies, copies), number)
    assert int(places[0]) == order, "the first copy lies where the document lies without a mixture"
    found = sorted(int(place) for place in places)
    gaps = [after - before for before, after in zip(found, [*found[1:], found[0] + (1 << 64)], strict=True)]
    assert min(gaps) >= (1 << 64) // copies // 2


@pytest.mark.slow
@given(
    MIXTURES,
    st.lists(st.integers(1, 10**6), min_size=8, max_size=60, unique=True),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_places_depend_on_no_order_and_the_held_out_part_on_no_mixture(
    rows: tuple[MixtureRow, ...], ids: list[int], seed: int, random: object
) -> None:
    sizes = {number: 100 + number % 50 for number in ids}

    def placed(order: list[int], mixture: Mixture) -> set[tuple[int, int, str, int]]:
        documents = known(order)
        plan = make_plan(documents, np.array([sizes[number] for number in order]), 0.2, seed, mixture=mixture)
        found = plan.place(documents)
        assert plan.num_documents == len(found.rows)
        return {
            (order[row], int(copy), "/".join(plan.name(int(part))), int(place))
            for row, copy, part, place in zip(
                found.rows, found.copies, found.parts, found.places, strict=True
            )
        }

    try:
        mixed = placed(ids, Mixture(rows))
    except UserError as error:
        assert str(error).startswith("data.mixture leaves no document to train on")
        return
    assert mixed == placed(sorted(ids, reverse=True), Mixture(rows[::-1]))
    held_out = {row for row in placed(ids, Mixture()) if row[2].startswith(HELD_OUT)}
    assert {row for row in mixed if row[2].startswith(HELD_OUT)} == held_out, "once each, in the same place"


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        pytest.param(("0",), "data.mixture leaves no document to train on", id="nothing-left"),
        pytest.param(("9", "8.5"), "in c 76.5 epochs, at most 64 are written", id="too-many"),
    ],
)
def test_what_a_mixture_cannot_be(epochs: tuple[str, ...], message: str) -> None:
    documents = Documents(["r", "s"], ["a", "a"], ["c", "c"], np.array([1, 2], np.int64))
    named = ({"source": "a"}, {"language": "c"})
    rows = tuple(MixtureRow(epochs=number, **of) for number, of in zip(epochs, named, strict=False))
    with pytest.raises(UserError, match=message):
        make_plan(documents, np.array([10, 10]), 0.1, 0, mixture=Mixture(rows))


def test_shares_say_asked_and_written_by_source_and_by_language() -> None:
    available = {("a", "c"): 1000, ("a", "sql"): 1000, ("b", "c"): 2000, ("b", "go"): 0}
    written = {("a", "c"): Written(3000, 900, 300), ("b", "c"): Written(2000, 600, 600)}
    rows = (MixtureRow(source="a", epochs="3"), MixtureRow(language="sql", epochs="0"))
    found = {(share.kind, share.name): share for share in realised(Mixture(rows), available, written)}
    assert {key: (share.asked_epochs, share.epochs) for key, share in found.items()} == {
        ("source", "a"): (1.5, 1.5),
        ("source", "b"): (1.0, 1.0),
        ("language", "c"): (1.6667, 1.6667),
        ("language", "sql"): (0.0, 0.0),
    }
    assert (found["language", "c"].tokens, found["language", "c"].unique_tokens) == (1500, 900)
