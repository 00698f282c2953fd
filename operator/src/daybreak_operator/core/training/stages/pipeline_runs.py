"""Runs of the Kubeflow back end: which ids concern a run, which of them still run, what must be stopped.

Owns no submission. An id is used once: a stage that begins anew has the next attempt's id.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.context import PIPELINES, STAGE_STEPS
from daybreak_operator.core.training.observed import objects, snapshot
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.core.training.status import codec
from daybreak_operator.settings import Settings

ALIVE = ("Pending", "Running", "Canceling")
STOPPABLE = ("Pending", "Running")
REMEMBERED = 3
"""Attempts of a stage that may still be about: the newest, the one it replaced, and one more for good measure."""


def ids_to_ask(run: Object, settings: Settings) -> tuple[str, ...]:
    """Return the run ids that the shell must ask the back end about; none where the run's pipelines are Jobs."""
    return ids_of(run) if snapshot.backend_of(run, settings) == "KubeflowPipelines" else ()


def ids_of(run: Object) -> tuple[str, ...]:
    """Return the ids of a run's newest attempts, whether they were submitted or not."""
    attempts = codec.attempts(run.get("status"))
    return tuple(
        names.pipeline_run_id(objects.uid(run), stage, number)
        for stage in PIPELINES
        for number in _recent(max(1, *(attempts.get(step, 0) for step in STAGE_STEPS[stage])))
    )


def _recent(newest: int) -> range:
    return range(max(1, newest - REMEMBERED + 1), newest + 1)


def alive(observed: RunObservation) -> tuple[str, ...]:
    """Return the ids that run, by what the back end says; nothing when it could not be asked."""
    if observed.backend_error is not None or not observed.pipelines:
        return ()
    return tuple(
        run_id
        for run_id in ids_of(observed.run)
        if run_id in observed.pipelines and observed.pipelines[run_id].state in ALIVE
    )


def to_stop(observed: RunObservation) -> tuple[str, ...]:
    """Return the ids to terminate: what runs and is not being stopped already."""
    return tuple(run_id for run_id in alive(observed) if observed.pipelines[run_id].state in STOPPABLE)


def holds_finalizer(observed: RunObservation) -> bool:
    """Return whether the run carries our finalizer now."""
    finalizers = objects.metadata(observed.run).get("finalizers")
    return isinstance(finalizers, list | tuple) and names.FINALIZER in finalizers


def may_run(observed: RunObservation) -> bool:
    """Return whether something may run in the back end that deleting the run would leave behind.

    While the back end cannot be asked, what was held stays held.
    """
    if observed.backend_error is not None:
        return holds_finalizer(observed)
    return bool(alive(observed))
