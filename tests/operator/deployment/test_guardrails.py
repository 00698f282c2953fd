"""Guardrails: bounds, comparison with the stable model, and how often they cry wolf."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment import Guardrails
from daybreak_operator.core.deployment.rollout.guardrails import (
    Counts,
    counts_of,
    critical,
    is_worse,
    judge,
    score_bounds,
)

BOUNDS = Guardrails()
FINE = Counts(requests=2000, errors=2, slow=20, shown=2000, accepted=600)


@pytest.mark.parametrize(
    ("candidate", "stable", "expected", "words"),
    [
        pytest.param(Counts(requests=199, errors=199), FINE, "Waiting", "200 requests", id="too-few-to-say"),
        pytest.param(FINE, FINE, "Within", "within", id="as-good-as-the-stable-model"),
        pytest.param(Counts(requests=200, errors=4), FINE, "Within", "", id="twice-the-bound-by-chance"),
        pytest.param(
            Counts(requests=2000, errors=100), FINE, "Broken", "5 % of requests failed", id="errors"
        ),
        pytest.param(
            Counts(requests=2000, errors=100),
            Counts(requests=2000, errors=100),
            "Within",
            "",
            id="errors-that-the-stable-model-has-too",
        ),
        pytest.param(
            Counts(requests=2000, errors=100),
            None,
            "Broken",
            "failed",
            id="errors-with-nobody-to-compare-with",
        ),
        pytest.param(
            Counts(requests=2000, errors=100),
            Counts(),
            "Broken",
            "failed",
            id="errors-while-nobody-asks-the-other",
        ),
        pytest.param(Counts(requests=2000, slow=240), FINE, "Broken", "longer than 500 ms", id="slow"),
        pytest.param(
            Counts(requests=2000, slow=240), Counts(requests=2000, slow=230), "Within", "", id="both-are-slow"
        ),
        pytest.param(
            Counts(requests=2000, shown=2000, accepted=400),
            FINE,
            "Broken",
            "ratio must be 0.98",
            id="accepted-rarely",
        ),
        pytest.param(
            Counts(requests=2000, shown=100, accepted=0), FINE, "Within", "", id="too-few-shown-to-compare"
        ),
        pytest.param(
            Counts(requests=2000, shown=2000, accepted=0),
            Counts(requests=2000, shown=2000),
            "Within",
            "",
            id="nobody-accepts-anything",
        ),
    ],
)
def test_a_verdict(candidate: Counts, stable: Counts | None, expected: str, words: str) -> None:
    verdict = judge(BOUNDS, candidate, stable)
    assert verdict.state == expected
    assert words in verdict.finding.message


def test_the_score_interval_is_the_published_one() -> None:
    # Newcombe 1998, Stat. Med. 17:857-872, table I: 81 of 263, 95 %: 0.2553 to 0.3662.
    low, high = score_bounds((81, 263), 1.959964)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_difference_of_shares_is_the_published_one() -> None:
    # Newcombe 1998, Stat. Med. 17:873-890, table II, method 10: 56/70 against 48/80 is 0.0524 to 0.3339.
    p, q = 56 / 70, 48 / 80
    low, high = score_bounds((56, 70), 1.959964)[0], score_bounds((48, 80), 1.959964)[1]
    assert round(p - q - math.sqrt((p - low) ** 2 + (high - q) ** 2), 4) == 0.0524


def test_the_critical_value_falls_with_evidence_and_stays_above_that_of_one_look() -> None:
    values = [critical(number, 200) for number in (50, 200, 1000, 5000, 100_000)]
    assert values[:3] == sorted(values[:3], reverse=True)
    assert min(values) > 1.6449


@pytest.mark.slow
def test_looking_often_seldom_rolls_back_a_good_candidate() -> None:
    chance, rolled_back, rounds = random.Random(1), 0, 200
    for _ in range(rounds):
        candidate, stable = Counts(), Counts()
        for _ in range(200):
            candidate, stable = more(candidate, 40, chance), more(stable, 40, chance)
            if judge(BOUNDS, candidate, stable).state == "Broken":
                rolled_back += 1
                break
    assert rolled_back / rounds <= 0.05


def more(
    counts: Counts, number: int, chance: random.Random, errors: float = 0.01, taken: float = 0.3
) -> Counts:
    """Some more requests, as bad as the bounds just allow."""

    def some(share: float) -> int:
        return sum(chance.random() < share for _ in range(number))

    return Counts(
        requests=counts.requests + number,
        errors=counts.errors + some(errors),
        slow=counts.slow + some(0.05),
        shown=counts.shown + number,
        accepted=counts.accepted + some(taken),
    )


@pytest.mark.parametrize(
    ("worse", "within"),
    [
        pytest.param({"errors": 0.05}, 1500, id="five-percent-of-errors"),
        pytest.param({"taken": 0.2}, 4000, id="a-third-fewer-accepted"),
    ],
)
def test_a_bad_candidate_is_found(worse: dict[str, Any], within: int) -> None:
    chance, found = random.Random(2), []
    for _ in range(20):
        candidate, stable = Counts(), Counts()
        while judge(BOUNDS, candidate, stable).state != "Broken":
            candidate, stable = more(candidate, 40, chance, **worse), more(stable, 40, chance)
            assert candidate.requests < 20 * within
        found.append(candidate.requests)
    assert sorted(found)[10] <= within


@given(st.integers(1, 500), st.data())
def test_the_same_metrics_are_never_worse(requests: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, requests))
    assert not is_worse((errors, requests), (errors, requests), 200)


@given(st.integers(0, 300), st.integers(0, 300))
def test_more_errors_never_mend_a_verdict(errors: int, extra: int) -> None:
    few = judge(BOUNDS, Counts(requests=600, errors=errors), FINE)
    many = judge(BOUNDS, Counts(requests=600, errors=errors + extra), FINE)
    assert (few.state, many.state) != ("Broken", "Within")


def reading(instance: str, started: float, **models: ModelCounters) -> GatewaySnapshot:
    return GatewaySnapshot(instance=instance, started=started, at=100.0, models=models)


def buckets(**by_bound: int) -> tuple[int, ...]:
    bounds = [f"to_{bound}" for bound in LATENCY_BOUNDS_MS] + ["beyond"]
    return tuple(by_bound.get(bound, 0) for bound in bounds)


def test_metrics_are_differences_since_the_stage_began_over_all_gateways() -> None:
    earlier = [reading("a", 1.0, m=ModelCounters(requests=100, errors=5, latency_buckets=buckets(to_750=7)))]
    now = [
        reading(
            "a", 1.0, m=ModelCounters(requests=150, errors=6, latency_buckets=buckets(to_750=9, to_500=40))
        ),
        reading(
            "b", 1.0, m=ModelCounters(requests=30, shown=20, accepted=4, latency_buckets=buckets(beyond=1))
        ),
    ]
    assert counts_of("m", now, earlier, 500) == Counts(requests=80, errors=1, slow=3, shown=20, accepted=4)


def test_a_gateway_that_was_started_anew_counts_from_its_start() -> None:
    earlier = [reading("a", 1.0, m=ModelCounters(requests=100, errors=50))]
    now = [reading("a", 2.0, m=ModelCounters(requests=10, errors=1))]
    assert counts_of("m", now, earlier, 500) == Counts(requests=10, errors=1)


def test_a_digest_is_found_with_or_without_its_algorithm() -> None:
    now = [
        GatewaySnapshot(instance="a", started=1.0, at=2.0, models={"sha256:ab": ModelCounters(requests=3)})
    ]
    assert counts_of("ab", now, [], 500).requests == 3
    assert counts_of("cd", now, [], 500) == Counts()
