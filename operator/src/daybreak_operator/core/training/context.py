"""One pass over one run: what was observed, the spec that counts, the status as stored, the time.

Owns these values only; the rules that read them stand in the modules named after stages and failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from daybreak_contracts import names
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.run_status import MetricStatus, StepStatus, TrainingRunStatus
from daybreak_operator.core.conditions import ConditionUpdate
from daybreak_operator.core.observed.objects import ObservedConfigMap, ObservedJob, ObservedObject
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Finding, Object, Ref, Submit
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.launcher import Launcher
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.core.training.placement import PlacementTarget
from daybreak_operator.settings import Backend, Images

Child = TypeVar("Child", bound=ObservedObject)
STAGES = (names.STAGE_DATA, names.STAGE_TRAIN, names.STAGE_MODEL)
STAGE_STEPS: Mapping[str, tuple[str, ...]] = {
    names.STAGE_DATA: (
        names.STEP_DOCUMENTS,
        names.STEP_XRAY,
        names.STEP_TOKENIZER,
        names.STEP_SHARDS,
    ),
    names.STAGE_TRAIN: (names.STEP_TRAIN,),
    names.STAGE_MODEL: (names.STEP_EXPORT, names.STEP_EVALUATE),
}
DATA_ALONE = (names.STAGE_DATA,)
"""The stages of a run that names no model."""
PIPELINES: Mapping[str, str] = {
    names.STAGE_DATA: names.DATA_PIPELINE,
    names.STAGE_MODEL: names.MODEL_PIPELINE,
}


@dataclass(frozen=True)
class RunContext:
    """What all rules about an active run are given."""

    observed: RunObservation
    run: TrainingRun
    """With the spec that it was started with, and the parts that may change as they are now."""
    status: TrainingRunStatus
    """As stored."""
    steps: tuple[StepStatus, ...]
    """All of the run's; as stored at first, then as the stages before this one left them."""
    moment: datetime
    """When this pass is taken."""
    images: Images
    backend: Backend
    launcher: Launcher

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.metadata.name

    @property
    def namespace(self) -> str:
        """Namespace of the run and of all that it owns."""
        return self.run.metadata.namespace

    @property
    def pipelines_namespace(self) -> str:
        """Namespace that the pods of the run's pipelines lie in."""
        elsewhere = self.observed.settings.kubeflow_namespace
        return elsewhere if elsewhere and self.backend == "KubeflowPipelines" else self.namespace

    @property
    def uid(self) -> str:
        """Uid of the run."""
        return objects.uid(self.observed.run)

    def pods(self, stage: str, attempt: int | None = None) -> tuple[ObservedPod, ...]:
        """Return the run's own pods of a stage, or of one attempt of it."""
        return tuple(pod for pod in self._own(ObservedPod, stage) if attempt in (None, pod.attempt))

    def jobs(self, stage: str, attempt: int | None = None) -> tuple[ObservedJob, ...]:
        """Return the run's own jobs of a stage, of whatever kind, oldest attempt first, or those of one attempt."""
        return tuple(job for job in self._own(ObservedJob, stage) if attempt in (None, job.attempt))

    def config_map(self, stage: str, name: str) -> ObservedConfigMap | None:
        """Return a ConfigMap of the run's own by its name."""
        return next((item for item in self._own(ObservedConfigMap, stage) if item.name == name), None)

    def _own(self, kind: type[Child], stage: str) -> list[Child]:
        found = [
            item
            for item in self.observed.children
            if isinstance(item, kind)
            and item.label(names.LABEL_STAGE) == stage
            and item.label(names.LABEL_OWNER_UID) == self.uid
        ]
        return sorted(found, key=lambda item: (item.attempt, item.name))


@dataclass(frozen=True)
class StageOutcome:
    """What a pass over one stage found, and what it wants done."""

    steps: tuple[StepStatus, ...]
    apply: tuple[Object, ...] = ()
    delete: tuple[Ref, ...] = ()
    submit: tuple[Submit, ...] = ()
    terminate: tuple[str, ...] = ()
    failed: Finding | None = None
    """The run fails of this."""
    stalled: Finding | None = None
    """What a person must mend before it can go on."""
    outdated: Finding | None = None
    """What is wrong with the stored spec of a run that goes on by the one that it began with."""
    waiting: Finding | None = None
    """What it waits for that mends itself."""
    capacity: ConditionUpdate | None = None
    health: ConditionUpdate | None = None
    queue: ConditionUpdate | None = None
    """Whether the queue that the run names heeds its job; None: not known, or it names none."""
    shared: ConditionUpdate | None = None
    """Who else works below the output; None: nobody does, nor did."""
    restarts: int = 0
    """Restarts to add, of any kind."""
    counted: int = 0
    """Restarts to add that count."""
    place: PlacementTarget | None = None
    """Where training shall be tried from now on; None leaves it."""
    metrics: tuple[MetricStatus, ...] = ()
    share: float = 0.0
    """How much of the step that goes on is done, 0 to 1."""
    activity: str = ""
    seconds_left: float | None = None
    """Of the step that goes on, where it says so itself."""
    requeue_after_s: float | None = None
