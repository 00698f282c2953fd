"""The API server's time, by what it stamps its answers with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from daybreak_operator.shell.kube.clock import ServerClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def clock(*dates: str | None) -> ServerClock:
    made = ServerClock(lambda: NOON)
    for date in dates:
        made.heard(date)
    return made


@pytest.mark.parametrize(
    ("dates", "ahead_s"),
    [
        ([], 0),
        (["Thu, 01 Jan 2026 12:10:00 GMT"], 600),
        (["Thu, 01 Jan 2026 11:50:00 GMT"], -600),
        pytest.param(["Thu, 01 Jan 2026 11:59:59 GMT"], 0, id="a second is no difference"),
        pytest.param(
            ["Thu, 01 Jan 2026 12:10:00 GMT", "Thu, 01 Jan 2026 12:10:02 GMT"], 600, id="nor a change of one"
        ),
        pytest.param(
            ["Thu, 01 Jan 2026 12:10:00 GMT", "Thu, 01 Jan 2026 12:00:00 GMT"], 0, id="a clock that was set"
        ),
        pytest.param(["Thu, 01 Jan 2026 12:10:00 GMT", None, "", "yesterday"], 600, id="what is no date"),
    ],
)
def test_the_servers_time_counts(dates: list[str | None], ahead_s: int) -> None:
    assert clock(*dates).now() - NOON == timedelta(seconds=ahead_s)
