"""A tracker that is away for a while misses nothing, one that refuses an entry misses that one, and both are told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_train.tracking import delivery as tracking_delivery
from daybreak_train.tracking.delivery import LONGEST_WAIT_S, Delivery


class RefusalError(Exception):
    """As MLflow's RestException: it knows its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self._status = status

    def get_http_status_code(self) -> int:
        return self._status


@dataclass
class Server:
    """A tracker that is there or not, and the clock beside it."""

    now: float = 0.0
    trouble: Exception | None = None
    opened: int = 0
    has: list[int] = field(default_factory=list)
    closed: bool = False

    def open(self) -> Server:
        if self.trouble is not None and not isinstance(self.trouble, RefusalError):
            raise self.trouble
        self.opened += 1
        return self

    def tell(self, number: int) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.has.append(number)

    def delivery(self) -> Delivery[Server]:
        return Delivery("MLflow", self.open, lambda: self.now)


def entry(number: int) -> Callable[[Server], None]:
    return lambda server: server.tell(number)


AWAY = ConnectionError("refused")


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_server_that_restarts_costs_no_point(
    from_the_start: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = Server(trouble=AWAY if from_the_start else None)
    delivery = server.delivery()
    for number in range(100):
        server.now += 10
        if number == 30:
            server.trouble = AWAY
        if number == 60:
            server.trouble = None
        delivery.take(entry(number))
    server.now += LONGEST_WAIT_S
    delivery.flush()
    assert server.has == list(range(100))
    assert (server.opened, delivery.unrecorded) == (1, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_while_it_is_away_it_is_not_asked_for_each_point() -> None:
    """A try takes ten seconds where packets are dropped: the other tracker would wait for each."""
    server = Server(trouble=AWAY)
    asked = []
    delivery = Delivery("MLflow", lambda: asked.append(server.now) or server.open(), lambda: server.now)
    for number in range(3600):
        server.now += 1
        delivery.take(entry(number))
    assert len(asked) < 20
    assert delivery.unrecorded == 3600


def test_what_is_refused_for_good_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    delivery = server.delivery()
    for number in range(10):
        server.trouble = RefusalError(400) if number in (3, 4) else None
        delivery.take(entry(number))
    assert server.has == [0, 1, 2, 5, 6, 7, 8, 9]
    assert delivery.unrecorded == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503])
def test_a_refusal_that_passes_is_waited_for(status: int) -> None:
    server = Server(trouble=RefusalError(status))
    delivery = server.delivery()
    delivery.take(entry(1))
    server.trouble, server.now = None, 1000.0
    delivery.flush()
    assert (server.has, delivery.unrecorded) == ([1], 0)


def test_the_oldest_are_given_up_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_delivery, "MOST_KEPT", 5)
    server = Server(trouble=AWAY)
    delivery = server.delivery()
    for number in range(12):
        delivery.take(entry(number))
    server.trouble = None
    delivery.end(lambda sink: setattr(sink, "closed", True))  # the end waits for no time to pass
    assert server.has == [7, 8, 9, 10, 11]
    assert (delivery.unrecorded, server.closed) == (7, True)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0, 400), st.sampled_from(["there", "away", "busy", "refuses"])), max_size=60)
)
def test_whatever_a_server_does_each_entry_is_there_once_in_order_or_counted(
    plays: list[tuple[float, str]],
) -> None:
    troubles = {"there": None, "away": AWAY, "busy": RefusalError(503), "refuses": RefusalError(404)}
    server = Server()
    delivery = server.delivery()
    for number, (passed, behaviour) in enumerate(plays):
        server.now += passed
        server.trouble = troubles[behaviour]
        delivery.take(entry(number))
        assert len(server.has) + delivery.unrecorded == number + 1
    assert server.has == sorted(set(server.has))
    server.trouble = None
    delivery.end(lambda _: None)
    assert delivery.unrecorded <= sum(behaviour == "refuses" for _, behaviour in plays) * len(plays)
    assert len(server.has) + delivery.unrecorded == len(plays)
