"""How much one may ask: whatever order requests come in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.access import AccessLimits
from daybreak_serve.gateway.auth.limits import (
    DAY_S,
    MAX_REMEMBERED,
    MINUTE_S,
    Admission,
    Consumptions,
    Moment,
)
from daybreak_serve.gateway.http.problems import ApiProblem

NOON = 20_000 * DAY_S + DAY_S / 2


def moment(seconds: float) -> Moment:
    """So many seconds after a noon."""
    return Moment(5.0 + seconds, NOON + seconds)


def limited(**limits: Any) -> Consumptions:
    return Consumptions(AccessLimits.model_validate(limits))


def refused(consumptions: Consumptions, now: float, user: str = "ada", *groups: str) -> ApiProblem | None:
    """Ask once and leave at once; return why not."""
    try:
        consumptions.leave(consumptions.enter(user, groups, moment(now)))
    except ApiProblem as problem:
        return problem
    return None


def test_without_limits_everything_goes_and_nothing_is_kept() -> None:
    consumptions = limited()
    assert [refused(consumptions, 0) for _ in range(1000)] == [None] * 1000
    assert consumptions.enter("ada", ("staff",), moment(0)).shares == ()


def test_requests_at_once() -> None:
    consumptions = limited(user={"concurrency": 2})
    first, _ = [consumptions.enter("ada", (), moment(0)) for _ in range(2)]
    problem = refused(consumptions, 0)
    assert problem is not None
    assert (problem.status, problem.code, problem.retry_after_s) == (429, "rate_limit_exceeded", 1)
    assert refused(consumptions, 0, "grace") is None
    consumptions.leave(first)
    consumptions.leave(first)  # once more changes nothing
    consumptions.enter("ada", (), moment(0))
    assert refused(consumptions, 0) is not None


def test_requests_in_a_minute_and_when_to_come_again() -> None:
    consumptions = limited(user={"requestsPerMinute": 2})
    assert [refused(consumptions, at) for at in (0, 10.5)] == [None, None]
    problem = refused(consumptions, 20)
    assert problem is not None
    assert problem.headers == {"retry-after": "40"}
    assert refused(consumptions, 59.9) is not None
    assert refused(consumptions, 60) is None
    later = refused(consumptions, 61)
    assert later is not None
    assert later.retry_after_s == 10


def test_tokens_of_a_day_and_when_the_next_begins() -> None:
    consumptions = limited(user={"tokensPerDay": 100})
    running = consumptions.enter("ada", (), moment(0))
    consumptions.spend(running, 99, moment(0))
    assert refused(consumptions, 1) is None
    consumptions.spend(running, 50, moment(2))  # the one that goes beyond is answered
    problem = refused(consumptions, 3.5)
    assert problem is not None
    assert problem.retry_after_s == DAY_S / 2 - 3
    assert refused(consumptions, 3.5, "grace") is None
    assert refused(consumptions, DAY_S / 2) is None


def test_a_groups_users_share_its_limit() -> None:
    consumptions = limited(groups=[{"name": "interns", "requestsPerMinute": 2}])
    assert [refused(consumptions, 0, user, "berlin", "interns") for user in ("a", "b")] == [None, None]
    problem = refused(consumptions, 0, "c", "interns")
    assert problem is not None
    assert "group interns" in problem.message
    assert refused(consumptions, 0, "c") is None


def test_of_several_limits_the_longest_wait_is_told_and_nothing_is_taken_from_the_others() -> None:
    consumptions = limited(
        user={"requestsPerMinute": 1},
        groups=[{"name": "g", "tokensPerDay": 1}, {"name": "h", "requestsPerMinute": 1}],
    )
    consumptions.spend(consumptions.enter("a", ("g",), moment(0)), 1, moment(0))
    problem = refused(consumptions, 1, "a", "g", "h")
    assert problem is not None
    assert problem.retry_after_s == DAY_S / 2 - 1
    assert refused(consumptions, 1, "b", "h") is None


@pytest.mark.slow
def test_users_without_end_are_not_remembered_without_end() -> None:
    consumptions = limited(user={"requestsPerMinute": 1})
    for number in range(MAX_REMEMBERED + 1):
        refused(consumptions, 0, str(number))
    assert refused(consumptions, 0, "0") is None
    assert refused(consumptions, 0, str(MAX_REMEMBERED)) is not None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "spend"]),
        st.sampled_from(["ada", "grace"]),
        st.sampled_from([(), ("g",), ("g", "h")]),
        st.floats(0, 40) | st.just(DAY_S / 3),
        st.integers(0, 40),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_limit_is_passed_and_who_comes_again_when_told_is_let_in(steps: list[Any]) -> None:
    limits = {"concurrency": 3, "requestsPerMinute": 4, "tokensPerDay": 100}
    consumptions = limited(user=limits, groups=[{"name": "g", **limits}])
    now, inside = 0.0, list[tuple[Admission, tuple[str, ...]]]()
    entered: list[tuple[float, tuple[str, ...]]] = []
    tokens: Counter[tuple[str, int]] = Counter()
    for what, user, groups, passed, amount in steps:
        now += passed
        names = (user, *(group for group in groups if group == "g"))
        day = moment(now).day
        if what == "leave" and inside:
            consumptions.leave(inside.pop(0)[0])
        elif what == "spend" and inside:
            consumptions.spend(inside[0][0], amount, moment(now))
            tokens.update({(name, day): amount for name in inside[0][1]})
        elif what == "enter":
            try:
                inside.append((consumptions.enter(user, groups, moment(now)), names))
            except ApiProblem as problem:
                later = now + problem.retry_after_s
                for admission, _ in inside:
                    consumptions.leave(admission)
                inside.clear()
                assert refused(consumptions, later, user, *groups) is None
                now = later
            entered.append((now, names))
            for name in names:
                assert sum(name in one for _, one in inside) <= 3
                assert sum(now - at < MINUTE_S - 0.01 and name in one for at, one in entered) <= 4
                assert tokens[name, moment(now).day] < 100
