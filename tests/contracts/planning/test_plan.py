"""The plan of a training: what it needs, what it makes of its data, what cannot work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.planning import data_amount, duration, throughput
from daybreak_contracts.planning.data_amount import DataAmount
from daybreak_contracts.planning.plan import (
    Hardware,
    TrainingPlan,
    cannot_work,
    nodes_for,
    plan_of,
)
from daybreak_contracts.planning.throughput import Throughput
from daybreak_contracts.resources.run import TrainingRunSpec

H100 = "NVIDIA H100 80GB HBM3"
FIVE_MEGABYTES = DataAmount(tokens=697 * 2048, samples=697, origin="shards")


def spec(size: str, **training: Any) -> TrainingRunSpec:
    return TrainingRunSpec.model_validate(
        {
            "output": {"uri": "runs/x"},
            "data": {"sources": [{"name": "a", "directory": {"path": "/a"}}]},
            "model": {"size": size},
            "training": training,
        }
    )


def test_five_megabytes_of_code_for_125m_is_said_loudly() -> None:
    plan = plan_of(spec("125m"), Hardware(), FIVE_MEGABYTES)
    assert plan.data is not None
    assert plan.data.epochs == pytest.approx(1920, abs=1)
    assert (plan.data.samples, plan.data.left_out) == (697, 185)
    assert plan.data.carries == ""
    (said,) = plan.warnings
    assert "1,920 epochs for 125m: beyond 16 epochs next to nothing is learnt" in said


def test_what_a_mixture_repeats_is_no_new_data() -> None:
    thrice = DataAmount(tokens=3 * 697 * 2048, samples=3 * 697, origin="shards", unique_tokens=697 * 2048)
    use, plain = (data_amount.use_of(data, 3 * 697 * 2048, 1, 32_768) for data in (thrice, FIVE_MEGABYTES))
    assert (use.tokens, use.epochs, use.worth, use.carries) == (
        plain.tokens,
        plain.epochs,
        plain.worth,
        plain.carries,
    )
    assert "1,427,456 tokens of data (4,282,368 a pass, as the mixture repeats some), 3.0 epochs" in (
        data_amount.in_words(use)
    )


@pytest.mark.parametrize(
    ("tokens", "warned"),
    [
        pytest.param(4 * 697 * 2048, False, id="four-epochs-are-as-good-as-new"),
        pytest.param(8 * 697 * 2048, True, id="eight-are-not"),
    ],
)
def test_a_few_epochs_are_no_warning(tokens: int, warned: bool) -> None:
    assert bool(plan_of(spec("1m", tokens=tokens), Hardware(), FIVE_MEGABYTES).warnings) is warned


@pytest.mark.parametrize(
    ("training", "size", "said"),
    [
        pytest.param({"gpusPerNode": 8, "contextLength": 2048}, "10m", "8 processes", id="more-than-samples"),
        pytest.param({"gpusPerNode": 8}, "1b", None, id="a-large-batch-for-eight"),
        pytest.param({}, "1m", None, id="one-process"),
    ],
)
def test_what_can_never_work_is_known_from_the_spec(training: Any, size: str, said: str | None) -> None:
    found = cannot_work(spec(size, **training))
    assert found is None if said is None else found is not None and said in found


def test_a_tokenizer_that_is_there_is_not_taken_for_one_of_the_default_size() -> None:
    """1m has 1.4 million weights with 4,096 tokens, 8.9 with 32,768: another default batch, and a false refusal."""
    reused = {"tokenizer": {"reuse": {"uri": "runs/y/tokenizer/1"}}}
    asked = spec("1m", gpusPerNode=8, contextLength=2048, tokensPerParameter=5)
    assert cannot_work(asked) is not None
    assert cannot_work(TrainingRunSpec.model_validate({**asked.model_dump(by_alias=True), **reused})) is None
    many = spec("1m", gpusPerNode=8, contextLength=2048, schedule={"batchTokens": 8192})
    assert (
        cannot_work(TrainingRunSpec.model_validate({**many.model_dump(by_alias=True), **reused})) is not None
    )
    plan = plan_of(asked, Hardware(), vocabulary_size=4096)
    assert plan.vocabulary_size == 4096
    assert plan.parameters < plan_of(asked, Hardware()).parameters


def test_a_model_that_does_not_fit_is_refused_with_what_would_help() -> None:
    small = plan_of(spec("7b", gpusPerNode=1), Hardware(1, 1, "NVIDIA L4"))
    assert small.errors
    assert "take more GPUs" in small.errors[0]
    assert not plan_of(spec("7b", gpusPerNode=8), Hardware(1, 8, H100)).errors


def test_a_published_row_comes_back() -> None:
    """LLM Foundry, 8 H100, 1.316 billion parameters: 41.8 %; ours of 1.06 billion lies between its rows."""
    plan = plan_of(spec("1b", gpusPerNode=8), Hardware(1, 8, H100), price_per_gpu_hour=2.5)
    assert plan.speed_origin == throughput.PUBLISHED
    assert plan.tokens_per_second is not None
    mfu = plan.tokens_per_second.likely * plan.flops_per_token / (8 * 989.4e12)
    assert 0.349 < mfu < 0.418
    assert plan.seconds is not None
    assert plan.cost is not None
    assert plan.cost.likely == pytest.approx(plan.seconds.likely / 3600 * 8 * 2.5)


@pytest.mark.parametrize(
    ("size", "gpu", "origin"),
    [
        pytest.param("125m", H100, throughput.PUBLISHED, id="published"),
        pytest.param("125m", "NVIDIA L40", throughput.ASSUMED, id="nobody-published-it"),
        pytest.param("10m", H100, "", id="too-small-for-any-row"),
    ],
)
def test_a_speed_says_where_it_comes_from(size: str, gpu: str, origin: str) -> None:
    assert plan_of(spec(size, gpusPerNode=1), Hardware(1, 1, gpu)).speed_origin == origin


def test_what_was_measured_wins_and_a_length_in_seconds_becomes_tokens() -> None:
    speed = Throughput(900, 1000, 1100, throughput.MEASURED, base_bytes=10**9)
    plan = plan_of(spec("1m", deadlineSeconds=600, contextLength=512), Hardware(), speed=speed)
    assert plan.tokens is not None
    assert plan.tokens == pytest.approx(600_000, rel=0.02)
    assert plan.memory_bytes > 10**9
    assert plan_of(spec("1m", deadlineSeconds=600), Hardware()).tokens is None


def test_a_deadline_says_how_many_nodes() -> None:
    eight = Hardware(1, 8, H100)
    day = nodes_for(spec("3b", gpusPerNode=8), eight, 86_400)
    week = nodes_for(spec("3b", gpusPerNode=8), eight, 7 * 86_400)
    assert day is not None
    assert week is not None
    assert day.nodes > week.nodes >= 1
    assert nodes_for(spec("7b", gpusPerNode=8), eight, 60) is None


@given(st.integers(10**5, 10**12), st.floats(0.1, 1000))
def test_repeated_tokens_are_never_worth_more_than_new_ones(tokens: int, epochs: float) -> None:
    worth = data_amount.worth(tokens, epochs)
    assert worth <= tokens * epochs * (1 + 1e-9)
    assert worth <= tokens * (1 + data_amount.REPETITION_DECAY) * (1 + 1e-9)


@given(st.floats(1e6, 1e13), st.integers(0, 4096), st.floats(1, 1e7))
def test_the_range_holds_what_is_likely(tokens: float, gpus: int, speed: float) -> None:
    found = duration.seconds_for(tokens, Throughput(0.75 * speed, speed, 1.15 * speed, ""), gpus)
    assert found.low <= found.likely <= found.high


def test_a_plan_can_be_kept() -> None:
    plan = plan_of(spec("125m", gpusPerNode=8), Hardware(1, 8, H100), FIVE_MEGABYTES)
    assert TrainingPlan.model_validate_json(plan.model_dump_json()) == plan
