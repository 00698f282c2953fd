"""What counts as different: our fields, not what the server or others add."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_operator.core.plan import Finding
from daybreak_operator.shell.reconcile import drift

OWNER = {
    "apiVersion": names.API_VERSION,
    "kind": names.KIND_RUN,
    "metadata": {"name": "run", "namespace": "here", "uid": "u"},
}
WANTED = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "replicas": 2,
        "containers": [{"name": "main", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}]}],
        "volumes": [],
    },
}


def changed(at: list[Any], value: Any) -> Any:
    found = copy.deepcopy(WANTED)
    place: Any = found
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    return found


CONTAINER = WANTED["spec"]["containers"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        pytest.param(WANTED, [], id="the-same"),
        pytest.param(changed(["metadata", "labels", "b"], "2"), [], id="somebody-added-a-label"),
        pytest.param(changed(["metadata", "labels", "a"], "2"), [".metadata.labels.a"], id="a-label-changed"),
        pytest.param(changed(["spec", "replicas"], 3), [".spec.replicas"], id="scaled-by-hand"),
        pytest.param(changed(["spec", "replicas"], True), [".spec.replicas"], id="true-is-not-a-number"),
        pytest.param(
            changed(["spec", "containers"], [{"name": "sidecar"}, CONTAINER]), [], id="a-sidecar-was-put-in"
        ),
        pytest.param(
            changed(["spec", "containers"], [{"name": "other"}]), [".spec.containers[main]"], id="gone"
        ),
        pytest.param(
            changed(["spec", "containers", 0, "args"], ["x"]), [".spec.containers[main].args"], id="args-cut"
        ),
        pytest.param(
            changed(["spec", "containers", 0, "env", 0, "value"], "2"),
            [".spec.containers[main].env[A].value"],
            id="an-environment-changed",
        ),
        pytest.param({"metadata": WANTED["metadata"]}, [".spec"], id="all-of-it-gone"),
    ],
)
def test_differences_are_named(found: Any, paths: list[str]) -> None:
    assert drift.differences(WANTED, found) == frozenset(paths)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON)
@example([{"name": []}])
def test_a_thing_is_as_itself(value: Any) -> None:
    assume(not _has_twins(value))
    assert drift.differences(value, copy.deepcopy(value)) == frozenset()


def _has_twins(value: Any) -> bool:
    """A list with two things of one name: no API takes it."""
    if isinstance(value, dict):
        return any(map(_has_twins, value.values()))
    if not isinstance(value, list):
        return False
    named = [str(item["name"]) for item in value if isinstance(item, dict) and "name" in item]
    return len(set(named)) < len(named) or any(map(_has_twins, value))


@given(JSON)
def test_plain_is_what_json_brings_back(value: Any) -> None:
    once = drift.plain(value)
    assert drift.plain(once) == once


def test_a_child_is_stamped_with_its_owner_and_what_it_says() -> None:
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}
    made = drift.stamped(child, OWNER)
    assert made["metadata"]["namespace"] == "here"
    assert made["metadata"]["ownerReferences"][0]["controller"] is True
    assert made["metadata"]["labels"][names.LABEL_OWNER_UID] == "u"
    assert drift.stamp_of(made) == drift.stamp_of(drift.stamped(child, OWNER))
    assert drift.stamp_of(made) != drift.stamp_of(drift.stamped({**child, "data": {"a": "2"}}, OWNER))
    assert drift.stamp_of(child) == ""


def test_a_refusal_lies_over_the_status_and_keeps_its_time() -> None:
    now, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    well = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}]}
    first = drift.overlaid(well, well, Finding("QuotaExceeded", "no"), 3, now)
    again = drift.overlaid(well, first, Finding("QuotaExceeded", "still no"), 3, later)
    stalled = again["conditions"][-1]
    assert [c["type"] for c in again["conditions"]] == ["Ready", "Stalled"]
    assert (stalled["status"], stalled["message"]) == ("True", "still no")
    assert stalled["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert drift.overlaid(well, first, None, 3, later) == well


def test_a_decision_that_says_stalled_itself_is_believed() -> None:
    said = {"conditions": [{"type": "Stalled", "status": "True", "reason": "ChildRefused"}]}
    assert drift.overlaid(said, {}, Finding("ApplyFailed", "x"), 1, datetime(2026, 1, 1, tzinfo=UTC)) == said
