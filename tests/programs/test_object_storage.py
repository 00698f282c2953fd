"""The buckets that tests are given are empty."""

from __future__ import annotations

import pytest

from daybreak_contracts import storage
from tests.plugins.object_storage import served


@pytest.mark.slow
def test_what_a_test_leaves_in_a_bucket_is_not_in_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """All servers of a process hold one set of buckets: checkpoints of one test were found by another's prune."""
    for _ in range(2):
        with served("store") as variables:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            assert not storage.exists("s3://store/left/behind")
            storage.write_bytes("s3://store/left/behind", b"x")
