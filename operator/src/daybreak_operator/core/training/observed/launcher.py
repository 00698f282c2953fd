"""Which kind of job makes a run's training pods: what it began with, what it names, or what the cluster knows.

Owns the order in which ``Auto`` chooses (0099).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import ObservedJob
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.observation import RunObservation

Launcher = Literal["PyTorchJob", "TrainJob", "Job"]
"""In the order in which ``Auto`` prefers them; a Job every cluster knows."""
INSTALL: dict[Launcher, str] = {
    "PyTorchJob": "PyTorchJob (kubeflow.org/v1): install the training operator 1.9",
    "TrainJob": "TrainJob (trainer.kubeflow.org/v1alpha1): install Kubeflow Trainer 2",
    "Job": "Job (batch/v1)",
}


def launcher_of(observed: RunObservation, asked: str) -> Launcher:
    """Return a run's launcher; a run that has begun keeps the one that it has.

    One that began before launchers were remembered, or whose status was lost, is known by the job that it made.
    """
    began = (observed.run.get("status") or {}).get("launcher")
    made = _made(observed)
    for said in (began, made, asked):
        for known in get_args(Launcher):
            if said == known:
                found: Launcher = known
                return found
    return next(kind for kind in get_args(Launcher) if kind == "Job" or kind not in observed.absent_kinds)


def the_kind_is_absent(launcher: Launcher, run: Object, absent: Iterable[str]) -> Finding | None:
    """The run trains a model, and the cluster does not know the kind of the job that would."""
    spec = run.get("spec") or {}
    if "model" not in spec or launcher not in absent:
        return None
    return Finding(
        "KindMissing",
        f"the cluster does not know the kind {INSTALL[launcher]}, or set training.launcher to Job, which needs no "
        "Kubeflow (in a new run where this one has started), or take model out of the spec to make data alone",
    )


def _made(observed: RunObservation) -> str:
    uid = objects.uid(observed.run)
    jobs = [
        item
        for item in observed.children
        if isinstance(item, ObservedJob)
        and item.label(names.LABEL_STAGE) == names.STAGE_TRAIN
        and item.label(names.LABEL_OWNER_UID) == uid
    ]
    newest = max(jobs, key=lambda job: (job.attempt, job.name), default=None)
    return newest.kind if newest is not None else ""
