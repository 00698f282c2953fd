"""Fields that another sets again and again: how often ours are set back, and whose an object of a child's name is."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.shell.reconcile import standing
from daybreak_operator.shell.reconcile.contests import MAX_WAIT_S, Contests

ENGINE = ("apps/v1", "Deployment", "ml", "engine")
SAID = 'Apply failed with 1 conflict: conflict with "kube-controller-manager" using autoscaling/v1: .spec.replicas'


def fought(every_s: float, until_s: float) -> tuple[Contests, list[float]]:
    """Another changes the child each so many seconds; return when it was set back."""
    made, times, now = Contests(), [], 0.0
    while now < until_s:
        made.settle(now)
        if made.may_take(ENGINE, now):
            made.taken(ENGINE, now, SAID if made.is_open(ENGINE) else "")
            times.append(now)
        now += every_s
    return made, times


@pytest.mark.parametrize("every_s", [0.02, 5.0, 15.0])
def test_an_endless_contest_costs_ever_less_and_names_the_other(every_s: float) -> None:
    made, times = fought(every_s, 3600.0)
    assert len(times) < 20
    assert MAX_WAIT_S <= times[-1] - times[-2] <= MAX_WAIT_S + every_s + 1e-6
    finding = made.finding()
    assert finding is not None
    assert "kube-controller-manager" in finding.message
    assert ".spec.replicas" in finding.message


def test_a_slip_now_and_then_is_mended_at_once_and_not_told() -> None:
    made, times = fought(120.0, 3600.0)
    assert len(times) == 30
    assert made.finding() is None


def test_it_is_over_once_nobody_insists() -> None:
    made, times = fought(0.02, 60.0)
    left = made.next_look_s(60.0)
    assert left is not None
    made.settle(times[-1] + 2 * MAX_WAIT_S)
    assert made.finding() is None
    assert made.next_look_s(60.0) is None


def labelled(**labels: str) -> dict[str, str]:
    return {f"{names.GROUP}/{key.replace('_', '-')}": value for key, value in labels.items()}


MINE = labelled(owner_kind="ModelDeployment", owner="completions", owner_uid="new")
OLD = {**MINE, **labelled(owner_uid="old")}
A_RUNS = labelled(owner_kind="TrainingRun", owner="tiny", owner_uid="new")
APPLIED = [{"manager": names.FIELD_OWNER, "operation": "Apply"}]


def thing(labels: dict[str, str], controller: str = "", managed: Any = ()) -> dict[str, Any]:
    owners = [{"uid": controller, "controller": True}] if controller else []
    metadata = {"name": "x", "labels": labels, "ownerReferences": owners, "managedFields": list(managed)}
    return {"kind": "Service", "metadata": metadata}


@pytest.mark.parametrize(
    ("found", "wanted", "ours"),
    [
        pytest.param(thing(MINE, "new"), MINE, True, id="ours"),
        pytest.param(thing({}, "new"), MINE, True, id="ours, its labels taken away"),
        pytest.param(thing(OLD, "new"), MINE, True, id="ours, its label changed"),
        pytest.param(thing(MINE, "other"), MINE, False, id="another controls it"),
        pytest.param(thing({}), MINE, False, id="a person's"),
        pytest.param(thing({}, managed=APPLIED), MINE, True, id="ours, all taken away"),
        pytest.param(thing(OLD), MINE, True, id="left of an earlier deployment"),
        pytest.param(thing({**A_RUNS, **labelled(owner_uid="old")}), A_RUNS, False, id="left of a run"),
        pytest.param(thing(OLD), A_RUNS, False, id="left of something else"),
    ],
)
def test_whose_an_object_of_a_childs_name_is(
    found: dict[str, Any], wanted: dict[str, str], ours: bool
) -> None:
    assert standing.is_ours(found, thing(wanted)) is ours
