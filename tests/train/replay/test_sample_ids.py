"""The ledger's sample ids: short, and back as they were."""

from __future__ import annotations

import base64
import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import ArtifactError
from daybreak_train.replay import sample_ids


@given(st.lists(st.lists(st.integers(0, 1 << 40), max_size=20), max_size=5))
def test_ids_come_back_rank_by_rank(shares: list[list[int]]) -> None:
    assert sample_ids.decode(sample_ids.encode(shares)) == tuple(tuple(sorted(share)) for share in shares)


@given(
    st.one_of(st.text(max_size=40), st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()))
)
def test_any_other_text_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(ArtifactError):
        assert all(len(share) < 40 for share in sample_ids.decode(text))


def test_what_only_fills_up_a_share_is_no_sample() -> None:
    assert sample_ids.decode(sample_ids.encode([[3, -1], [-1, -1]])) == ((3,), ())


@pytest.mark.parametrize(
    ("samples", "most"),
    [pytest.param(10**4, 700, id="ten thousand"), pytest.param(10**6, 1400, id="a million")],
)
def test_a_batch_of_512_is_as_short_as_the_docstring_says(samples: int, most: int) -> None:
    draw = random.Random(0)
    assert len(sample_ids.encode([draw.sample(range(samples), 512)])) < most
