"""Budget, shares of a batch and intervals, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning import recipe
from daybreak_contracts.planning.recipe import Budget
from daybreak_contracts.planning.sizes import SIZES
from daybreak_contracts.resources.run import Training


@pytest.mark.parametrize(
    ("training", "max_seconds", "expected"),
    [
        pytest.param(Training(), None, Budget(2000, None), id="twenty-tokens-a-parameter-by-default"),
        pytest.param(Training(tokens_per_parameter=2), None, Budget(200, None), id="tokens-a-parameter"),
        pytest.param(Training(tokens=1001), None, Budget(2, None), id="tokens-round-up-to-whole-steps"),
        pytest.param(Training(tokens=5000), 60.0, Budget(5, 60.0), id="time-cuts-a-token-budget"),
        pytest.param(Training(deadline_seconds=90), None, Budget(None, 90.0), id="a-deadline-is-a-length"),
        pytest.param(Training(deadline_seconds=90), 60.0, Budget(None, 60.0), id="the-shorter-limit-holds"),
    ],
)
def test_budget(training: Training, max_seconds: float | None, expected: Budget) -> None:
    assert recipe.budget_of(training, max_seconds, parameters=100_000, tokens_a_step=1000) == expected


@pytest.mark.parametrize(
    ("samples", "world", "expected"),
    [
        pytest.param(8, 4, 2, id="even-shares"),
        pytest.param(8, 3, 3, id="three-three-and-two"),
        pytest.param(512, 24, 22, id="three-machines-of-eight"),
        pytest.param(8, 8, 1, id="one-sample-each"),
    ],
)
def test_any_number_of_processes_shares_a_batch(samples: int, world: int, expected: int) -> None:
    assert recipe.device_batch(samples, world) == expected


def test_more_processes_than_samples_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"9 processes for a global batch of 8 samples: use 8 processes at most"
    ):
        recipe.device_batch(8, 9)


@pytest.mark.parametrize(
    ("num_gpus", "cores", "expected"),
    [
        pytest.param(0, 64, 0, id="a-cpu-makes-its-batches-in-series"),
        pytest.param(8, 1, 1, id="a-gpu-never-does"),
        pytest.param(8, 3, 2, id="one-core-is-the-trainings-own"),
        pytest.param(8, 24, 4, id="four-are-enough"),
    ],
)
def test_processes_ahead(num_gpus: int, cores: int, expected: int) -> None:
    assert recipe.processes_ahead(num_gpus, cores) == expected


@given(st.integers(1, 600), st.integers(1, 1 << 40))
def test_micro_batches_are_as_large_as_fits_or_equal_and_half_of_it(samples: int, memory: int) -> None:
    micro = recipe.micro_batch(samples, SIZES["1m"], 512, memory)
    fits = recipe.micro_batch(1 << 20, SIZES["1m"], 512, memory)
    assert 1 <= micro <= samples
    assert samples % micro == 0 or -(-samples // micro) <= -(-2 * samples // max(1, fits))


@given(st.integers(0, 10), st.integers(1, 1 << 40))
def test_micro_batches_divide_a_share_that_is_a_power_of_two(power: int, memory: int) -> None:
    assert (1 << power) % recipe.micro_batch(1 << power, SIZES["1m"], 512, memory) == 0


@pytest.mark.parametrize(
    ("stall_s", "gpus", "minutes"),
    [
        pytest.param(1.0, 64, 40, id="64-gpus-1-s-stall"),
        pytest.param(6.3, 64, 60, id="64-gpus-6.3-s-stall-would-be-100-and-is-cut"),
        pytest.param(0.001, 0, 0.5, id="a-cpu-with-hardly-a-stall-every-half-minute"),
        pytest.param(0.5, 0, 2.45, id="a-cpu-with-half-a-second"),
    ],
)
def test_checkpoint_interval_is_youngs(stall_s: float, gpus: int, minutes: float) -> None:
    assert recipe.checkpoint_interval(stall_s, gpus) / 60 == pytest.approx(minutes, rel=0.02)


def test_mfu_recomputes_a_published_row() -> None:
    # LLM Foundry's benchmark: 760M on 8 x H100, 63,147 tokens/s/GPU is 34.9 %; its own FLOPs a token
    assert recipe.mfu(63_147, round(0.349 * 989.4e12 / 63_147), 989.4e12) == pytest.approx(0.349, abs=1e-6)


@pytest.mark.parametrize(
    ("cpu_info", "parameters", "expected"),
    [
        pytest.param("flags : avx2 avx512_bf16 sha_ni", 1_800_000, True, id="avx512-with-bf16"),
        pytest.param("flags : amx_bf16 amx_tile", 1_800_000, True, id="amx"),
        pytest.param("flags : avx2 avx512f", 1_800_000, False, id="a-processor-without"),
        pytest.param("flags : avx512_bf16", 40_000, False, id="a-model-too-small-to-gain"),
        pytest.param("", 1_800_000, False, id="nothing-known"),
    ],
)
def test_bf16_only_where_the_processor_has_it(cpu_info: str, parameters: int, expected: bool) -> None:
    assert recipe.bf16_may_pay(cpu_info, parameters) is expected


@pytest.mark.parametrize(("gain", "expected"), [(0.59, False), (1.1, False), (1.4, True), (2.0, True)])
def test_bf16_only_where_it_is_faster(gain: float, expected: bool) -> None:
    assert recipe.bf16_pays(gain) is expected
