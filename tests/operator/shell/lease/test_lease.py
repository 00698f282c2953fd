"""Who leads: the rule as a table, and two replicas in any order of events that never lead at the same time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_operator.shell.kube.answers import ConflictError, NotFoundError
from daybreak_operator.shell.lease.leadership import (
    Leadership,
    LeaseTimes,
    Sighting,
    next_step,
    record,
    sight,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lease(holder: str, version: str = "1", seconds: int = 15) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": "1999-01-01T00:00:00Z"}
    return {"metadata": {"name": "x", "namespace": "y", "resourceVersion": version}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "sighting", "step"),
    [
        pytest.param(None, None, "Create", id="there-is-none"),
        pytest.param(lease("me"), None, "Renew", id="it-is-ours"),
        pytest.param(lease(""), None, "Take", id="it-was-given-back"),
        pytest.param(lease("other"), Sighting("1", 100.0), "Wait", id="another-holds-it-as-we-just-saw"),
        pytest.param(lease("other"), Sighting("1", 85.1), "Wait", id="another-may-still-hold-it"),
        pytest.param(lease("other"), Sighting("1", 85.0), "Take", id="it-did-not-change-for-its-time"),
        pytest.param(lease("other"), None, "Wait", id="a-remote-time-long-past-is-not-believed"),
        pytest.param(lease("other", seconds=60), Sighting("1", 50.0), "Wait", id="its-own-duration-counts"),
    ],
)
def test_what_to_do(found: Any, sighting: Sighting | None, step: str) -> None:
    assert next_step(found, "me", sighting, 100.0) == step


def test_a_record_that_changed_is_seen_anew() -> None:
    first = sight(lease("other", "1"), None, 1.0)
    assert sight(lease("other", "1"), first, 9.0) == Sighting("1", 1.0)
    assert sight(lease("other", "2"), first, 9.0) == Sighting("2", 9.0)


def test_a_new_holder_is_counted_and_the_time_of_taking_kept() -> None:
    times = LeaseTimes()
    first = record(None, "y", "a", NOW, times)["spec"]
    again = record({**lease("a"), "spec": first}, "y", "a", NOW.replace(year=2027), times)["spec"]
    taken = record({**lease("a"), "spec": first}, "y", "b", NOW, times)["spec"]
    assert (first["leaseTransitions"], again["leaseTransitions"], taken["leaseTransitions"]) == (0, 0, 1)
    assert again["acquireTime"] == first["acquireTime"]
    assert again["renewTime"] > first["renewTime"]


class Api:
    """The Lease alone, as an API server keeps it."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] | None = None
        self.version = 0

    def get(self, *_: Any) -> dict[str, Any]:
        if self.kept is None:
            raise NotFoundError(404, "NotFound", "no lease")
        return self.kept

    def create_unfenced(self, body: dict[str, Any], within_s: float) -> dict[str, Any]:
        if self.kept is not None:
            raise ConflictError(409, "AlreadyExists", "there is one")
        return self._keep(body)

    def replace_unfenced(self, body: dict[str, Any], within_s: float) -> dict[str, Any]:
        if self.kept is None or body["metadata"]["resourceVersion"] != str(self.version):
            raise ConflictError(409, "Conflict", "it changed")
        return self._keep(body)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        self.kept = {**body, "metadata": metadata}
        return self.kept


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("try"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.sampled_from([1, 4, 9, 16])),
        st.tuples(st.just("give back"), st.integers(0, 1)),
    ),
    max_size=60,
)


@given(STEPS, st.floats(-1e6, 1e6))
def test_two_never_lead_at_the_same_time_whatever_their_clocks_say(
    steps: list[tuple[str, int]], skew: float
) -> None:
    api: Any = Api()
    now = [0.0]
    clocks = [lambda: now[0], lambda: now[0] + skew]
    replicas = [
        Leadership(api, "y", name, LeaseTimes(), clock=clock, now=lambda: NOW)
        for name, clock in zip("ab", clocks, strict=True)
    ]
    for step, number in steps:
        if step == "wait":
            now[0] += number
        elif step == "try":
            replicas[number].try_once()
        else:
            replicas[number].give_back()
        assert sum(replica.held() for replica in replicas) <= 1


def test_one_that_waits_takes_over_after_the_holders_time() -> None:
    api: Any = Api()
    now = [0.0]
    first, second = (
        Leadership(api, "y", n, LeaseTimes(), clock=lambda: now[0], now=lambda: NOW) for n in "ab"
    )
    assert first.try_once()
    assert not second.try_once()
    for later, leads in [(5.0, False), (14.9, False), (15.0, True)]:
        now[0] = later
        assert second.try_once() is leads
    assert not first.try_once()


def test_one_that_sees_another_holder_stops_at_once() -> None:
    api: Any = Api()
    first = Leadership(api, "y", "a", LeaseTimes(), clock=lambda: 0.0, now=lambda: NOW)
    assert first.try_once()
    api.kept["spec"]["holderIdentity"] = "usurper"
    assert not first.try_once()
    assert not first.held()


def test_one_that_gave_back_is_followed_at_once() -> None:
    api: Any = Api()
    first, second = (Leadership(api, "y", n, LeaseTimes(), clock=lambda: 0.0, now=lambda: NOW) for n in "ab")
    first.try_once()
    first.give_back()
    assert not first.held()
    assert second.try_once()
