"""What a Workload of Kueue says of its job: why it is not let in. Reads what an API server stored, and never raises.

Owns the reading; asking for Workloads is the shell's. Shapes: `kueue.x-k8s.io/v1beta2` of Kueue 0.19, v1beta1 alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_operator.core.parts import Stored, items, part
from daybreak_operator.core.plan import Object

MAX_WORDS = 600
NOT_ADMITTED = (("Finished", "True"), ("QuotaReserved", "False"), ("Admitted", "False"))
"""Conditions that explain it, the plainest first: given up, no quota, or a check that has not passed."""


def why_not_admitted(workload: Object) -> str:
    """Return Kueue's own words; empty where it lets the job in, or has said nothing yet."""
    found = part(workload, "status")
    conditions = {str(one.get("type")): one for one in items(found, "conditions")}
    for kind, wanted in NOT_ADMITTED:
        held = conditions.get(kind, {})
        if held.get("status") != wanted:
            continue
        checks = _checks(found) if kind == "Admitted" else ""
        return "; ".join(filter(None, (str(held.get("message") or "").strip(), checks)))[:MAX_WORDS]
    return _checks(found)[:MAX_WORDS] if _is_true(conditions, "QuotaReserved", but_not="Admitted") else ""


def _checks(status: Stored) -> str:
    """Return the admission checks that have not passed."""
    waiting = [one for one in items(status, "admissionChecks") if one.get("state") != "Ready"]
    said = (
        f"admission check {one.get('name')} is {one.get('state')}: {one.get('message') or ''}"
        for one in waiting
    )
    return "; ".join(text.rstrip(": ") for text in said)


def _is_true(conditions: Mapping[str, Stored], kind: str, *, but_not: str) -> bool:
    return (
        conditions.get(kind, {}).get("status") == "True"
        and conditions.get(but_not, {}).get("status") != "True"
    )
