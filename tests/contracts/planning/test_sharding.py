"""Who holds parts, who computes twice, and how long a save may take."""

from __future__ import annotations

import pytest

from daybreak_contracts.planning.memory import activation_bytes
from daybreak_contracts.planning.sharding import is_sharded, recomputes, shutdown_seconds
from daybreak_contracts.planning.sizes import SIZES, num_parameters

GB = 10**9
PARAMETERS = {name: num_parameters(dims, 32_768) for name, dims in SIZES.items()}


@pytest.mark.parametrize(
    ("size", "processes", "memory", "expected"),
    [
        pytest.param("7b", 1, 141 * GB, False, id="one-process-has-nobody-to-share-with"),
        pytest.param("7b", 8, 141 * GB, True, id="7b-always"),
        pytest.param("3b", 2, None, True, id="3b-on-a-cpu-too"),
        pytest.param("1b", 8, 80 * GB, False, id="1b-fits-an-H100"),
        pytest.param("1b", 8, 24 * GB, True, id="1b-is-more-than-60-percent-of-an-L4"),
        pytest.param("125m", 64, 16 * GB, False, id="125m-fits-anywhere"),
    ],
)
def test_who_holds_parts(size: str, processes: int, memory: int | None, expected: bool) -> None:
    assert is_sharded(PARAMETERS[size], processes, memory) is expected


def test_the_share_of_the_memory_is_exact() -> None:
    parameters = 600_000_000
    limit = round(16 * parameters / 0.6)
    assert is_sharded(parameters, 2, limit - 10)
    assert not is_sharded(parameters, 2, limit + 10)


@pytest.mark.parametrize(
    ("size", "context", "memory", "expected"),
    [
        pytest.param("125m", 2048, 10 * GB, False, id="it-fits"),
        pytest.param("7b", 8192, 40 * GB, True, id="not-even-one-sample-fits"),
        pytest.param("7b", 2048, 40 * GB, False, id="a-shorter-context-fits"),
    ],
)
def test_who_computes_twice(size: str, context: int, memory: int, expected: bool) -> None:
    assert recomputes(SIZES[size], context, memory) is expected


def test_recomputed_a_sample_takes_a_fraction() -> None:
    whole, again = (activation_bytes(SIZES["7b"], 8192, recomputed) for recomputed in (False, True))
    assert 6 * again < whole


@pytest.mark.parametrize(
    ("size", "processes", "expected"),
    [
        pytest.param("1m", 1, 31, id="no-less-than-kubernetes-gives"),
        pytest.param("1b", 8, 134, id="one-process-writes-all"),
        pytest.param("7b", 8, 116, id="each-process-writes-its-part"),
        pytest.param("7b", 1, 710, id="a-lone-process-has-much-to-write"),
    ],
)
def test_time_to_save(size: str, processes: int, expected: int) -> None:
    sharded = is_sharded(PARAMETERS[size], processes, None)
    assert shutdown_seconds(PARAMETERS[size], processes, sharded) == pytest.approx(expected, abs=4)
