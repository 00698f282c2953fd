"""Rate, warm-up and batch: what the manifest says, else what follows from size and length."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning import schedule
from daybreak_contracts.planning.recipe import Budget
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_contracts.resources.run import Training

MANY = 10**9
SHORT = Hyperparameters(1e-2, 2_000, 0.2, 2, 1.0, 0.1)


def resolved(parameters: int, tokens: int, num_samples: int = MANY, **training: Any) -> Hyperparameters:
    return schedule.hyperparameters_for(
        Training.model_validate({"contextLength": 512, **training}), parameters, tokens, num_samples
    )


@pytest.mark.parametrize(
    ("seen", "progress", "rate"),
    [
        pytest.param(0, 0.0, 1e-3, id="starts-at-a-tenth"),
        pytest.param(1_000, 0.01, 5.5e-3, id="rises"),
        pytest.param(2_000, 0.02, 1e-2, id="is-up-after-the-warm-up"),
        pytest.param(80_000, 0.8, 1e-2, id="is-flat-until-the-decay"),
        pytest.param(90_000, 0.9, 5e-3, id="falls-linearly"),
        pytest.param(100_000, 1.0, 0.0, id="ends-at-zero"),
        pytest.param(130_000, 1.3, 0.0, id="stays-there"),
        pytest.param(1_000, 0.95, 2.5e-3, id="a-run-that-time-cuts-in-its-warm-up-decays-all-the-same"),
    ],
)
def test_the_rate_is_warm_up_stable_decay(seen: int, progress: float, rate: float) -> None:
    assert SHORT.rate(seen, progress) == pytest.approx(rate)


def test_a_decay_of_nothing_ends_at_the_peak() -> None:
    flat = Hyperparameters(1e-2, 0, 0.0, 2, 1.0, 0.1)
    assert [flat.rate(seen, seen / 100) for seen in (0, 50, 99)] == [1e-2] * 3


@given(st.lists(st.floats(80, 500), min_size=2, max_size=20), st.integers(1, 1000))
def test_a_run_limited_by_time_always_ends_with_its_decay(elapsed: list[float], steps: int) -> None:
    budget = Budget(steps, 100.0)
    rates = [SHORT.rate(10**6, budget.progress(0, now)) for now in sorted(elapsed)]
    assert rates == sorted(rates, reverse=True)
    assert all(rate == 0.0 for now, rate in zip(sorted(elapsed), rates, strict=True) if now >= 100)


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_longer_run_has_the_rates_of_a_shorter_one_until_that_decays(short: int, more: int) -> None:
    for step in range(short):
        if SHORT.decays(step / short):
            break
        assert SHORT.rate(step * 64, step / short) == SHORT.rate(step * 64, step / (short + more))


@pytest.mark.parametrize(
    ("parameters", "tokens", "batch_tokens", "warm_up_steps"),
    [
        pytest.param(100_000_000, 2_000_000_000, 524_288, 191, id="125m-at-20-tokens-a-parameter"),
        pytest.param(100_000_000, 100_000_000_000, 2_097_152, 179, id="125m-at-1000-375-million-tokens"),
        pytest.param(1_000_000_000, 20_000_000_000, 1_048_576, 358, id="1b-375-million-tokens"),
        pytest.param(1_000_000, 10**11, 100_000, 2_000, id="a-small-model-for-very-long-2000-steps"),
    ],
)
def test_batch_and_warm_up_at_sizes_that_others_published(
    parameters: int, tokens: int, batch_tokens: int, warm_up_steps: int
) -> None:
    found = resolved(parameters, tokens)
    batch = found.samples_per_step * 512
    assert batch_tokens / 1.5 <= batch <= batch_tokens * 1.5
    assert found.warmup_tokens / batch == pytest.approx(warm_up_steps, rel=0.01)


@given(st.integers(10**5, 10**10), st.integers(1, 10**13))
def test_a_run_is_never_all_warm_up(parameters: int, tokens: int) -> None:
    found = resolved(parameters, tokens)
    assert found.warmup_tokens <= schedule.WARM_UP_SHARE * tokens + 1


@given(st.integers(10**5, 10**10), st.integers(10, 50), st.integers(1, 10**6))
def test_a_batch_grows_with_the_length_and_never_beyond_the_data(
    parameters: int, power: int, num_samples: int
) -> None:
    short = resolved(parameters, 1 << power, num_samples)
    long = resolved(parameters, 1 << power + 3, num_samples)
    assert 1 <= short.samples_per_step <= long.samples_per_step <= num_samples
    assert short.samples_per_step.bit_count() == 1


@pytest.mark.parametrize(
    ("batch_tokens", "times"),
    [
        pytest.param(None, 1.0, id="the-default-batch"),
        pytest.param(4096, 1.0, id="the-same-by-name"),
        pytest.param(4 * 4096, 2.0, id="four-times-as-large"),
        pytest.param(1024, 0.5, id="a-quarter"),
        pytest.param(1 << 20, 4.0, id="never-more-than-four-times"),
    ],
)
def test_a_batch_that_is_asked_for_moves_the_peak_by_its_root(batch_tokens: int | None, times: float) -> None:
    asked = {} if batch_tokens is None else {"batchTokens": batch_tokens}
    found = resolved(10**6, 20 * 10**6, schedule=asked)
    assert found.peak_rate == pytest.approx(2e-3 * times)


def test_what_the_manifest_says_holds() -> None:
    asked = {
        "peakRate": "0.016",
        "warmupTokens": 1024,
        "decayShare": "0.5",
        "batchTokens": 1536,
        "clipNorm": "0.5",
        "weightDecay": "0",
    }
    found = resolved(10**6, 10**6, schedule=asked)
    assert found == Hyperparameters(0.016, 1024, 0.5, 3, 0.5, 0.0)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"batchTokens is 5,120 but the data has 2,048 tokens"):
        resolved(10**6, 10**6, 4, schedule={"batchTokens": 5120})


def test_a_batch_of_parts_of_samples_is_refused_at_validate() -> None:
    with pytest.raises(ValueError, match="multiple of contextLength"):
        Training.model_validate({"contextLength": 512, "schedule": {"batchTokens": 1000}})


@pytest.mark.parametrize(
    ("training", "tokens"),
    [
        pytest.param({}, 2_000_000, id="twenty-a-parameter"),
        pytest.param({"tokens": 77}, 77, id="tokens"),
        pytest.param({"tokensPerParameter": 3}, 300_000, id="tokens-a-parameter"),
        pytest.param({"deadlineSeconds": 10}, 1_000_000, id="a-deadline-on-a-nominal-processor"),
        pytest.param({"deadlineSeconds": 10, "gpusPerNode": 8}, 32 * 10**9, id="a-deadline-on-nominal-gpus"),
    ],
)
def test_the_length_that_a_manifest_asks_for(training: dict[str, Any], tokens: int) -> None:
    assert schedule.planned_tokens(Training.model_validate(training), 100_000, 10**6) == tokens
