"""All that a decision about a TrainingRun may know: gathered by the shell, never fetched by the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_operator.core.observed.objects import ObservedConfigMap, ObservedObject, ObservedWarning
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Object
from daybreak_operator.core.pod_shape.demands import NodeKind
from daybreak_operator.core.training.observed.neighbours import Neighbour
from daybreak_operator.settings import DEFAULTS, Settings

PipelineState = Literal["Absent", "Pending", "Running", "Succeeded", "Failed", "Canceling", "Lost"]


@dataclass(frozen=True)
class PipelineRun:
    """A Kubeflow run as its back end tells it.

    Absent: surely never submitted (404). Lost: the back end says that it goes on, but its workflow and pods are gone.
    """

    state: PipelineState
    message: str = ""
    ended: float | None = None
    """Unix time of its end, where the back end tells it: results that are on their way are waited for a moment."""
    pods: tuple[ObservedPod, ...] = ()
    """Kubeflow's own pods of it, which carry none of our labels (drivers); of a run that goes on."""


@dataclass(frozen=True)
class RunObservation:
    """The run and everything that carries its label."""

    run: Object
    """The TrainingRun as stored, with metadata and status."""
    children: tuple[ObservedObject, ...] = ()
    """ConfigMaps, jobs of all kinds, Pods, Roles, RoleBindings, Services with the run's labels and uid.

    Where the shell met an object of such a name that is not the run's, that one too: it is then left alone.
    """
    record: ObservedConfigMap | None = None
    """What is remembered of a run of this name that ended, whoever had it."""
    predecessors: tuple[ObservedPod, ...] = ()
    """Training pods of runs of this name that are gone: they may be saving still."""
    neighbours: Sequence[Neighbour] = ()
    """TrainingRuns that are not over and have the same output, the oldest first; this one may be among them."""
    events: tuple[ObservedWarning, ...] = ()
    """Warning events (``v1`` Event) about its jobs: how a quota's refusal is told."""
    refused: tuple[str, ...] = ()
    """What the API server said when it refused a child at the last pass."""
    pipelines: Mapping[str, PipelineRun] = field(default_factory=dict)
    """By run id; holds every id of ``pipeline_runs.ids_to_ask``."""
    backend_error: str | None = None
    """Set when the pipelines' back end could not be asked: nothing is concluded from ``pipelines`` then."""
    progress: TrainerSnapshot | None = None
    """The trainer's own metrics; None when it could not be asked."""
    progress_silent_s: float | None = None
    """For how long the trainer has answered the same, by our own clock; pods' clocks may be minutes off."""
    report_silent_s: float | None = None
    """The same of what the newest attempt of training reported into its ConfigMap."""
    node_kinds: frozenset[NodeKind] = frozenset()
    """Labels of the nodes that are there, as far as placement demands any."""
    absent_kinds: tuple[str, ...] = ()
    """Kinds of children that the API server does not know now."""
    with_workload: frozenset[str] = frozenset()
    """Uids of jobs that a Workload of Kueue refers to; asked only of runs that name a queue."""
    without_workload: frozenset[str] = frozenset()
    """Uids of jobs that surely none refers to."""
    workload_says: Mapping[str, str] = field(default_factory=dict)
    """By the uid of a job that a queue holds: why its Workload is not let in, in Kueue's words."""
    missing: tuple[str, ...] = ()
    """Sentences about what the spec names and is not there (Secrets): each with its remedy."""
    settings: Settings = DEFAULTS
