"""One limit at several gateways: whatever they hear of each other, how late, how often, and after which restart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.access import AccessLimits
from daybreak_serve.gateway.auth.limits import DAY_S, Consumptions, Moment
from daybreak_serve.gateway.auth.shared_counts import MAX_SOURCES, SharedCounts, ToldCounts, key_of
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint
from daybreak_serve.gateway.cluster.peers import Peers
from daybreak_serve.gateway.http.problems import ApiProblem

NOON = 20_000 * DAY_S + DAY_S / 2


class Gateway:
    """A gateway's limits, with a clock that began when it did."""

    def __init__(self, source: str, born_s: float = 0.0, **limits: Any) -> None:
        self.counts = SharedCounts(source)
        self._born_s = born_s
        self._consumptions = Consumptions(AccessLimits.model_validate(limits), self.counts)

    def ask(self, now_s: float, user: str = "ada", *groups: str, tokens: int = 0) -> ApiProblem | None:
        now = Moment(now_s - self._born_s, NOON + now_s)
        try:
            admission = self._consumptions.enter(user, groups, now)
        except ApiProblem as problem:
            return problem
        self._consumptions.leave(admission)
        self._consumptions.spend(admission, tokens, now)
        return None

    def hear(self, other: Gateway, now_s: float) -> None:
        told = other.counts.told(NOON + now_s).model_dump_json()
        self.counts.hear(ToldCounts.model_validate_json(told))


def test_requests_a_minute_are_those_of_all_gateways() -> None:
    limits = {"user": {"requestsPerMinute": 4}}
    one, other = Gateway("one", **limits), Gateway("other", born_s=-500, **limits)
    assert [one.ask(second) for second in range(3)] == [None] * 3
    other.hear(one, 3)
    assert other.ask(3) is None
    problem = other.ask(4)
    assert problem is not None
    assert 55 <= problem.retry_after_s <= 62
    assert other.ask(4, "grace") is None
    assert other.ask(4 + problem.retry_after_s) is None  # who comes when told is let in
    one.hear(other, 5)
    assert one.ask(5) is not None


def test_tokens_of_a_day_are_those_of_all_gateways_and_outlive_a_restart() -> None:
    limits = {"groups": [{"name": "interns", "tokensPerDay": 100}]}
    one, other = Gateway("one", **limits), Gateway("other", **limits)
    assert one.ask(0, "ada", "interns", tokens=60) is None
    other.hear(one, 1)
    reborn = Gateway("one, again", **limits)
    reborn.hear(other, 2)  # `one` is gone: `other` still tells of it
    assert reborn.ask(3, "grace", "interns", tokens=50) is None
    assert reborn.ask(4, "ada", "interns") is not None
    other.hear(reborn, 5)
    assert other.ask(5, "x", "interns") is not None
    assert other.ask(DAY_S, "x", "interns") is None  # the next day


def test_what_is_heard_again_counts_once_and_our_own_count_is_ours() -> None:
    limits = {"user": {"requestsPerMinute": 3, "tokensPerDay": 100}}
    one, other = Gateway("one", **limits), Gateway("other", **limits)
    assert one.ask(0, tokens=10) is None
    for second in range(5):
        other.hear(one, second)
        one.hear(other, second)
    key = key_of("user ada")
    assert (other.counts.others_tokens(key, 20_000), one.counts.others_tokens(key, 20_000)) == (10, 0)
    assert sum(other.counts.others_requests(key, NOON).values()) == 1


def test_only_other_gateways_are_told() -> None:
    peers = Peers("10.0.0.1:8080")
    listed = [
        ListedEndpoint(f"uid {n}", f"10.0.0.{n}:8001", f"http://10.0.0.{n}:8080", is_open=True)
        for n in (1, 2)
    ]
    peers.set([*listed, ListedEndpoint("uid 3", "[fd00::3]:8001", "http://[fd00::3]:8080", is_open=False)])
    assert [peers.is_host(one) for one in ("10.0.0.2", "fd00::3", "10.0.0.1", "10.0.0.9", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not Peers().is_host("127.0.0.1")


def test_names_are_not_told() -> None:
    one = Gateway("one", user={"requestsPerMinute": 9}, groups=[{"name": "interns", "tokensPerDay": 9}])
    one.ask(0, "ada", "interns", tokens=1)
    told = one.counts.told(NOON).model_dump_json()
    assert "ada" not in told
    assert "interns" not in told


def test_what_no_longer_counts_is_not_told_nor_kept() -> None:
    one = Gateway("one", user={"requestsPerMinute": 9, "tokensPerDay": 99})
    one.ask(0, tokens=5)
    assert one.counts.told(NOON + 10).sources["one"]
    assert not one.counts.told(NOON + DAY_S).sources["one"]
    for life in range(2 * MAX_SOURCES):
        one.counts.hear(ToldCounts(sources={f"life {life}": {}}))
    assert len(one.counts.told(NOON).sources) == MAX_SOURCES


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 3])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30), st.booleans()), min_size=1, max_size=60))
def test_gateways_that_hear_each_other_let_no_more_in_than_the_limit(
    limit: int, asked: list[tuple[str, float, bool]]
) -> None:
    """In whatever order, where each hears the other before it decides; a restart is heard of as well."""
    limits = {"user": {"requestsPerMinute": limit}}
    gateways = {name: Gateway(name, **limits) for name in "ab"}
    now_s, entered = 0.0, []
    for number, (name, pause_s, restarts) in enumerate(asked):
        now_s += pause_s
        other = gateways["b" if name == "a" else "a"]
        other.hear(gateways[name], now_s)
        if restarts:
            gateways[name] = Gateway(f"{name}{number}", born_s=now_s, **limits)
        gateways[name].hear(other, now_s)
        problem = gateways[name].ask(now_s)
        if problem is None:
            entered.append(now_s)
        else:
            assert 1 <= problem.retry_after_s <= 66
        assert sum(one > now_s - 60 for one in entered) <= limit
