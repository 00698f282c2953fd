"""What is read of a Workload of Kueue 0.19 that is not let in; the shapes are read from its controller's code."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_operator.core.training.observed.workload import MAX_WORDS, why_not_admitted


def condition(kind: str, status: str, message: str, reason: str = "Any") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


NO_QUOTA = (
    "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor any"
)
RESERVED = condition("QuotaReserved", "True", "Quota reserved in ClusterQueue gpus")
ADMITTED = condition("Admitted", "True", "The workload is admitted")
CHECK = {"name": "machines", "state": "Pending", "message": "waiting for the machines"}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(
            {"conditions": [condition("QuotaReserved", "False", NO_QUOTA)]}, NO_QUOTA, id="no quota"
        ),
        pytest.param(
            {"conditions": [condition("QuotaReserved", "False", "LocalQueue gpus doesn't exist")]},
            "LocalQueue gpus doesn't exist",
            id="no such queue",
        ),
        pytest.param(
            {
                "conditions": [
                    condition("Evicted", "True", "Preempted to accommodate a workload"),
                    condition("QuotaReserved", "False", "Preempted to accommodate a workload"),
                    condition("Admitted", "False", "The workload has no reservation"),
                ]
            },
            "Preempted to accommodate a workload",
            id="preempted",
        ),
        pytest.param(
            {"conditions": [RESERVED], "admissionChecks": [CHECK]},
            "admission check machines is Pending: waiting for the machines",
            id="a check that has not passed",
        ),
        pytest.param(
            {"conditions": [RESERVED], "admissionChecks": [{"name": "machines", "state": "Pending"}]},
            "admission check machines is Pending",
            id="a check that says nothing",
        ),
        pytest.param(
            {
                "conditions": [RESERVED, condition("Admitted", "False", "Not all checks are ready")],
                "admissionChecks": [CHECK, {"name": "other", "state": "Ready"}],
            },
            "Not all checks are ready; admission check machines is Pending: waiting for the machines",
            id="a check after it was let in once",
        ),
        pytest.param(
            {
                "conditions": [
                    condition("QuotaReserved", "False", "waits"),
                    condition("Finished", "True", "it can not be started"),
                ]
            },
            "it can not be started",
            id="given up",
        ),
        pytest.param({"conditions": [RESERVED, ADMITTED]}, "", id="let in"),
        pytest.param({}, "", id="nothing said yet"),
        pytest.param({"conditions": "odd", "admissionChecks": [None]}, "", id="nonsense"),
        pytest.param(
            {"conditions": [condition("QuotaReserved", "False", "x" * 5000)]}, "x" * MAX_WORDS, id="long"
        ),
    ],
)
def test_kueues_words(status: dict[str, Any], said: str) -> None:
    assert why_not_admitted({"kind": "Workload", "status": status}) == said


@pytest.mark.parametrize("workload", [{}, {"status": None}, {"status": "odd"}])
def test_a_workload_without_a_status_says_nothing(workload: dict[str, Any]) -> None:
    assert why_not_admitted(workload) == ""
