"""Labels that somebody takes off a pod: put back, so that the watch, which goes by them, does not lose it."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.shell.watches.marks import AGAIN_S, Marks, taken_off

OURS = {names.LABEL_OWNER_KIND: "TrainingRun", names.LABEL_OWNER_UID: "u-1"}


def pod(
    labels: dict[str, str], phase: str = "Running", uid: str = "p-1", *, leaving: bool = False
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "pod", "uid": uid, "labels": {**labels, "team": "ml"}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("before", "body", "is_gone", "back"),
    [
        pytest.param(pod(OURS), pod(OURS), False, {}, id="nothing is off"),
        pytest.param(pod(OURS), pod({}), True, OURS, id="it left the watch alive"),
        pytest.param(
            pod(OURS),
            pod({**OURS, names.LABEL_OWNER_UID: "x"}),
            False,
            {names.LABEL_OWNER_UID: "u-1"},
            id="it is said to be another's",
        ),
        pytest.param(pod(OURS), pod(OURS, leaving=True), True, {}, id="it was deleted"),
        pytest.param(pod(OURS, leaving=True), pod(OURS), True, {}, id="it was being deleted"),
        pytest.param(pod(OURS), pod(OURS, "Succeeded"), True, {}, id="it was over, and removed"),
        pytest.param(pod(OURS), pod(OURS, "Pending"), True, {}, id="it never began, and was removed"),
        pytest.param(pod(OURS), pod({}, uid="p-2"), False, {}, id="a namesake"),
        pytest.param(None, pod(OURS), False, {}, id="it is new"),
    ],
)
def test_labels_that_were_taken_off(before: Any, body: Any, is_gone: bool, back: dict[str, str]) -> None:
    assert taken_off(before, body, is_gone=is_gone) == back


def test_who_takes_them_off_again_at_once_has_his_way() -> None:
    now = [0.0]
    marks = Marks(lambda: now[0])
    assert marks.may_put("p-1")
    now[0] += 1
    assert not marks.may_put("p-1")
    assert marks.may_put("p-2")
    now[0] += AGAIN_S
    assert marks.may_put("p-1")
