"""Events: joined by id, checked against the record, written once, forgotten in order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.gateway.events.journal import Journal, Record, SuggestionEvent, parse_events, user_hash
from daybreak_serve.gateway.http.problems import ApiProblem


def record(num_characters: int = 10) -> Record:
    return Record("daybreak", "ab", "python", user_hash("ada"), num_characters)


def event(**fields: Any) -> SuggestionEvent:
    return SuggestionEvent.model_validate({"completion_id": "c", "event": "shown", **fields})


def test_a_record_can_be_found_until_it_is_the_oldest_of_too_many() -> None:
    journal = Journal(2, lambda line: None)
    for name in ("a", "b", "c"):
        journal.remember(name, record())
    assert len(journal) == 2
    assert journal.find(event(completion_id="b")).language == "python"
    with pytest.raises(ApiProblem, match="too old"):
        journal.find(event(completion_id="a"))


def test_an_event_is_written_once_with_what_the_gateway_knows() -> None:
    lines: list[str] = []
    journal, known = Journal(2, lines.append), record()
    assert journal.log(event(event="accepted"), known, 12.3456)
    assert not journal.log(event(event="accepted"), known, 13.0)
    assert journal.log(event(event="retained", characters=3, after_s=30), known, 14.0)
    assert journal.log(event(event="retained", characters=2, after_s=120), known, 15.0)
    entries = [json.loads(line) for line in lines]
    assert [(entry["event"], entry["characters"], entry["after_s"]) for entry in entries] == [
        ("accepted", 10, None),
        ("retained", 3, 30),
        ("retained", 2, 120),
    ]
    assert entries[0]["time"] == 12.346
    assert len(entries[0]["user"]) == 16


def test_more_characters_than_were_suggested_are_refused() -> None:
    journal = Journal(2, lambda line: None)
    journal.remember("c", record(5))
    assert journal.find(event(event="partiallyAccepted", characters=5)).num_characters == 5
    with pytest.raises(ApiProblem, match="at most the 5"):
        journal.find(event(event="partiallyAccepted", characters=6))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"event": "partiallyAccepted"}, id="a part without its length"),
        pytest.param({"event": "shown", "characters": 3}, id="a length that says nothing"),
        pytest.param({"event": "retained", "characters": 3}, id="retained without a time"),
        pytest.param({"event": "retained", "characters": 3, "after_s": 31}, id="a time of its own"),
        pytest.param({"event": "shown", "after_s": 30}, id="a time that says nothing"),
        pytest.param({"event": "partiallyAccepted", "characters": -1}, id="less than nothing"),
        pytest.param({"event": "partiallyAccepted", "characters": "3"}, id="a length in words"),
    ],
)
def test_a_wrong_event_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiProblem) as caught:
        parse_events(json.dumps({"completion_id": "c", **fields}).encode())
    assert caught.value.status == 400


@pytest.mark.slow
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_json_is_events_or_a_problem(document: Any) -> None:
    try:
        assert parse_events(json.dumps(document).encode())
    except ApiProblem as problem:
        assert problem.status == 400
