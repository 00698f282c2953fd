"""Who is answered by which revision, whatever documents come in whatever order; and what a gateway counts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.kubernetes_access import access_of_pod
from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot
from daybreak_contracts.routing import Routing
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint, engines_of
from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.events.journal import Record, SuggestionEvent
from daybreak_serve.gateway.experiments.fleet import ServingFleet, chosen
from tests.serve.api_server import endpoint_slice

OLD, NEW, OTHER = "0" * 64, "1" * 64, "2" * 64
DIGESTS = st.none() | st.sampled_from([OLD, NEW, OTHER])
DOCUMENTS = st.builds(
    Routing,
    version=st.integers(0, 9),
    salt=st.just("s"),
    staff_groups=st.just(("staff",)),
    stable=DIGESTS,
    candidate=DIGESTS,
    staff=st.booleans(),
    weight=st.integers(0, 100),
)
USERS = st.none() | st.integers(0, 999).map(str)


def new_fleet() -> ServingFleet:
    return ServingFleet(5, random.Random(7), 30)


@pytest.mark.slow
@given(st.lists(DOCUMENTS, max_size=12))
def test_the_newest_document_is_in_force_and_its_revisions_are_known(documents: list[Routing]) -> None:
    fleet, newest = new_fleet(), -1
    for document in documents:
        assert fleet.route(document) == (document.version > newest)
        newest = max(newest, document.version)
        assert fleet.routing is not None
        assert fleet.routing.version == newest
        assert set(fleet.revisions) == {fleet.routing.stable, fleet.routing.candidate} - {None}


@given(DOCUMENTS, USERS)
def test_the_public_never_gets_a_model_for_staff_not_even_as_a_substitute(
    document: Routing, user: str | None
) -> None:
    fleet = new_fleet()
    fleet.route(document.model_copy(update={"weight": 0, "staff": True}))
    digests = [revision.digest for revision in fleet.choices(user, ("dev",))]
    assert digests == ([] if document.stable is None else [document.stable])


@given(DOCUMENTS, USERS, st.integers(0, 100))
def test_nobody_flips_back_while_the_weight_grows(document: Routing, user: str | None, more: int) -> None:
    heavier = document.model_copy(update={"weight": min(100, document.weight + more)})
    if document.candidate is not None and chosen(document, user, ()) == document.candidate:
        assert chosen(heavier, user, ()) == document.candidate


@given(DOCUMENTS, USERS, st.sampled_from([(), ("staff",)]))
def test_the_last_choice_is_the_stable_model(
    document: Routing, user: str | None, groups: tuple[str, ...]
) -> None:
    fleet = new_fleet()
    fleet.route(document)
    digests = [revision.digest for revision in fleet.choices(user, groups)]
    assert len(set(digests)) == len(digests) <= 2
    assert digests[-1:] == ([document.stable] if document.stable else digests[-1:])


def test_before_a_document_nobody_is_answered() -> None:
    assert new_fleet().choices("ada", ()) == []


class TestSlices:
    def test_an_engine_in_two_slices_is_open_when_either_says_so(self) -> None:
        open_one = endpoint_slice(OLD, "a", (1, 2))
        closed = endpoint_slice(OLD, "a", (1, 2), ready=False)
        expected = {
            "uid-a/127.0.0.1:1": ListedEndpoint(
                "uid-a/127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:2", True
            )
        }
        assert engines_of([open_one, closed]) == engines_of([closed, open_one]) == expected

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            pytest.param({"ready": True, "terminating": True}, False, id="ending"),
            pytest.param({"ready": False}, False, id="not ready"),
            pytest.param({"ready": None, "terminating": None}, True, id="unknown counts as ready"),
            pytest.param({}, True, id="nothing said"),
        ],
    )
    def test_only_what_is_ready_and_does_not_end_is_open(
        self, conditions: dict[str, bool | None], expected: bool
    ) -> None:
        found = {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": conditions}]}
        (engine,) = engines_of([found]).values()
        assert engine == ListedEndpoint("/10.0.0.1:8001", "10.0.0.1:8001", "http://10.0.0.1:8080", expected)

    def test_empty_slices_and_version_6_addresses(self) -> None:
        assert engines_of([{"endpoints": None, "ports": None}, {"endpoints": [{"addresses": []}]}]) == {}
        (engine,) = engines_of([{"endpoints": [{"addresses": ["fd00::1"]}]}]).values()
        assert (engine.address, engine.http) == ("[fd00::1]:8001", "http://[fd00::1]:8080")

    def test_a_pod_with_an_address_that_was_another_ones_is_another_engine(self) -> None:
        first, second = endpoint_slice(OLD, "a", (1, 2)), endpoint_slice(OLD, "b", (1, 2))
        assert set(engines_of([first])).isdisjoint(engines_of([second]))


@pytest.mark.parametrize(
    ("host", "url"),
    [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")],
    ids=["version 4", "version 6"],
)
def test_a_pod_knows_its_api_server(host: str, url: str) -> None:
    access = access_of_pod({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"})
    assert access.server == url
    assert str(access.token_file).endswith("/serviceaccount/token")


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def snapshot_of(counters: GatewayCounters) -> GatewaySnapshot:
    return counters.snapshot(1, {OLD: 2}, 1)


class TestTallies:
    def test_arrivals_are_told_by_second_and_forgotten_after_a_minute(self) -> None:
        clock = Clock()
        counters = GatewayCounters("pod", clock)
        for second, number in ((1000, 2), (1001, 3), (1058, 1)):
            clock.now = second + 0.5
            for _ in range(number):
                counters.arrive()
        clock.now = 1060.0
        found = snapshot_of(counters)
        assert (found.arrivals, found.started, found.at) == (6, 1000.0, 1060.0)
        assert found.arrivals_by_second == (2, 3, *(0,) * 56, 1, 0)
        clock.now = 1061.0
        assert snapshot_of(counters).arrivals_by_second == (3, *(0,) * 56, 1, 0, 0)

    def test_how_long_answers_take_is_told_of_the_last_thousand(self) -> None:
        counters = GatewayCounters("pod", Clock())
        assert (snapshot_of(counters).recent_requests, snapshot_of(counters).recent_seconds) == (0, 0.0)
        for seconds in (*(2.0,) * 3000, *(0.25,) * 600):
            counters.answer(OLD, seconds, failed=False)
        found = snapshot_of(counters)
        assert (found.recent_requests, found.recent_seconds) == (1000, 400 * 2.0 + 600 * 0.25)
        assert found.models[OLD].seconds == 3000 * 2.0 + 600 * 0.25

    @pytest.mark.parametrize(
        ("seconds", "bucket"), [(0.0, 0), (0.010, 0), (0.0101, 1), (10.0, 15), (10.1, 16)]
    )
    def test_durations_fall_into_the_bucket_of_their_bound(self, seconds: float, bucket: int) -> None:
        counters = GatewayCounters("pod", Clock())
        counters.answer(OLD, seconds, failed=False)
        buckets = snapshot_of(counters).models[OLD].latency_buckets
        assert len(buckets) == len(LATENCY_BOUNDS_MS) + 1
        assert buckets.index(1) == bucket

    def test_waiting_is_of_the_last_15_seconds(self) -> None:
        clock = Clock()
        counters = GatewayCounters("pod", clock)
        counters.waited(5.0)
        clock.now += 10
        for number in range(100):
            counters.waited(number / 1000)
        assert snapshot_of(counters).queue_p95_ms == 95.0
        clock.now += 6
        assert snapshot_of(counters).queue_p95_ms == 95.0
        clock.now += 10
        assert snapshot_of(counters).queue_p95_ms == 0.0

    def test_a_model_that_is_no_longer_routed_keeps_its_counts(self) -> None:
        counters = GatewayCounters("pod", Clock())
        counters.answer(NEW, 0.1, failed=True)
        found = snapshot_of(counters)
        assert (found.models[NEW].requests, found.models[NEW].errors, found.models[NEW].inflight) == (1, 1, 0)
        assert (found.models[OLD].inflight, found.inflight, found.held) == (2, 2, 1)

    def test_what_is_kept_counts_once_though_it_is_looked_at_four_times(self) -> None:
        counters = GatewayCounters("pod", Clock())
        record = Record("daybreak", OLD, "python", None, 10)
        for after_s in (30, 120, 300, 600):
            event = SuggestionEvent(completion_id="c", event="retained", characters=7, after_s=after_s)
            counters.event(event, record)
        assert snapshot_of(counters).models[OLD].retained_characters == 7
