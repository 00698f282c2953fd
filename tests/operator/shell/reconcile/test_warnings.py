"""What events say of a run's jobs and pods reaches its decision, whoever's name they carry."""

from __future__ import annotations

from typing import Any, cast

import pytest

from daybreak_operator.settings import Settings
from daybreak_operator.shell.reconcile.gather import Gather
from daybreak_operator.shell.watches.store import Store


def told(*events: tuple[str, str, str, str]) -> Gather:
    """A gatherer whose store was told these: kind, name, reason and message."""
    store = Store()
    for version, (kind, name, reason, message) in enumerate(events, start=1):
        about = {"kind": kind, "namespace": "ml", "name": name, "uid": f"{kind}/{name}"}
        metadata = {"uid": f"event-{version}", "resourceVersion": str(version)}
        store.put_event({"metadata": metadata, "involvedObject": about, "reason": reason, "message": message})
    nothing = cast(Any, None)
    return Gather(store, nothing, nothing, Settings(), nothing, nothing, nothing, nothing)


def body(kind: str, name: str, **status: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"namespace": "ml", "name": name, "uid": f"{kind}/{name}"},
        "status": status,
    }


@pytest.mark.parametrize("kind", ["TrainJob", "JobSet", "Job"])
def test_what_is_said_of_what_stands_behind_a_train_job_is_said_of_it(kind: str) -> None:
    name = "run-train-1-node-0" if kind == "Job" else "run-train-1"
    gather = told(
        (kind, name, "JobCreationFailed", 'jobs "x" is forbidden: exceeded quota'),
        ("JobSet", "another-train-1", "JobCreationFailed", "not this one's"),
    )
    (found,) = gather._warnings(body("TrainJob", "run-train-1"))
    assert (found.about_uid, found.message) == (
        "TrainJob/run-train-1",
        'jobs "x" is forbidden: exceeded quota',
    )
    assert not list(gather._warnings(body("PyTorchJob", "run-train-1")))


@pytest.mark.parametrize(("phase", "count"), [("Pending", 1), ("Running", 0)])
def test_what_is_said_of_a_volume_counts_while_its_pod_has_not_begun(phase: str, count: int) -> None:
    gather = told(
        ("Pod", "first", "FailedMount", 'secret "ca" not found'),
        ("Pod", "first", "FailedScaleUp", "none left"),
    )
    assert [one.message for one in gather._of_waiting(body("Pod", "first", phase=phase))] == [
        'secret "ca" not found'
    ] * count
