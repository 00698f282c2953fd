"""The list-watch protocol as values: what a line says, and where a watch goes on after anything that can happen."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.list_watch import (
    GONE,
    BackOff,
    WatchError,
    WatchEvent,
    WatchPosition,
    parse_event,
    watch_query,
)


def line(kind: str, version: str) -> str:
    return json.dumps({"type": kind, "object": {"metadata": {"name": "x", "resourceVersion": version}}})


@pytest.mark.parametrize(
    ("kind", "is_change"),
    [("ADDED", True), ("MODIFIED", True), ("DELETED", True), ("BOOKMARK", False)],
)
@pytest.mark.parametrize("encode", [str, lambda text: text.encode()], ids=["text", "bytes"])
def test_a_line_is_an_event(kind: str, is_change: bool, encode: Any) -> None:
    event = parse_event(encode(line(kind, "7")))
    assert (event.kind, event.version, event.is_change) == (kind, "7", is_change)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        pytest.param({"code": 410, "message": "too old"}, GONE, "too old", id="expired"),
        pytest.param({"code": 500, "message": "boom"}, 500, "boom", id="another"),
        pytest.param({}, 500, "no reason given", id="nothing said"),
    ],
)
def test_an_error_event_rises(status: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(WatchError, match=message) as caught:
        parse_event(json.dumps({"type": "ERROR", "object": status}))
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"type": "ADDED"}',
        '{"type": "ADDED", "object": {}}',
        '{"type": "ADDED", "object": {"metadata": {}}}',
        '{"type": "ADDED", "object": []}',
        '{"type": "ERROR", "object": []}',
        '{"object": {}}',
    ],
)
def test_what_is_no_event_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_event(text)


@given(st.text() | st.binary())
def test_any_line_is_an_event_or_an_error_of_two_kinds(text: str | bytes) -> None:
    with contextlib.suppress(ValueError, WatchError):
        assert isinstance(parse_event(text), WatchEvent)


def test_the_query_names_the_place_and_the_time() -> None:
    assert watch_query("7", 30) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "30",
    }


@pytest.mark.parametrize(
    ("steps", "version", "must_list", "failures"),
    [
        pytest.param([], "", True, 0, id="a list comes first"),
        pytest.param([("reached", "5")], "5", False, 0, id="a list was taken in"),
        pytest.param([("reached", "5"), ("reached", "9")], "9", False, 0, id="an event or bookmark"),
        pytest.param([("reached", "5"), ("failed", None)], "5", False, 1, id="a broken stream goes on"),
        pytest.param([("reached", "5"), ("failed", 500)], "5", False, 1, id="an outage goes on"),
        pytest.param([("reached", "5"), ("failed", GONE)], "", True, 1, id="a place too old begins anew"),
        pytest.param([("failed", None), ("failed", None), ("answered",)], "", True, 0, id="it answers again"),
    ],
)
def test_where_it_goes_on(steps: list[Any], version: str, must_list: bool, failures: int) -> None:
    position = WatchPosition()
    for name, *args in steps:
        getattr(position, name)(*args)
    assert (position.version, position.must_list, position.failures) == (version, must_list, failures)


@given(
    st.integers(0, 1000), st.floats(0.0, 1.0, exclude_max=True), st.floats(0.01, 5.0), st.floats(5.0, 60.0)
)
def test_pauses_grow_to_a_bound(failures: int, chance: float, base_s: float, cap_s: float) -> None:
    back_off = BackOff(base_s, cap_s)
    pause = WatchPosition(failures=failures).pause_s(back_off, chance)
    assert base_s / 2 <= pause <= cap_s
    assert pause <= WatchPosition(failures=failures + 1).pause_s(back_off, chance)
