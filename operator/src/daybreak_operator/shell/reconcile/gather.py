"""Puts together what a decision may know, from what the watches and pollers have brought: in a quiet time no calls.

Owns the two ``Observed``; asks the API only for the Secrets that a spec names, and Kubeflow for the runs that it
started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from daybreak_contracts import names, result_reporter
from daybreak_contracts.errors import TransientError
from daybreak_operator.core.deployment.observed import observation as deployment
from daybreak_operator.core.observed.objects import ObservedConfigMap, ObservedWarning
from daybreak_operator.core.observed.parse import parse_object, parse_warning
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import Object
from daybreak_operator.core.pod_shape.demands import NodeKind
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.observed import observation as training
from daybreak_operator.core.training.observed.snapshot import backend_of
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import PYTORCH_JOBS, ROUTES, SECRETS, TRAIN_JOBS, ApiResource
from daybreak_operator.shell.metrics.snapshots import Readings
from daybreak_operator.shell.reconcile import drift
from daybreak_operator.shell.reconcile.silence import Silence
from daybreak_operator.shell.reconcile.work import Pipelines, ReconcileCache
from daybreak_operator.shell.reconcile.workloads import Workloads
from daybreak_operator.shell.watches.kept import key_of
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.store import Store

SECRET_THERE_S = 300.0
SECRET_MISSING_S = 15.0
STOCKOUT_REASONS = ("FailedScaleUp", "NotTriggerScaleUp")
"""What cluster autoscalers say of a pod that they find no machine for: GKE's, and the common one's."""
WAIT_REASONS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
"""What kubelet and attach controller say of a pod whose volume or sandbox does not come: its status says only that it
waits. The last one counts: a sandbox is tried when all volumes are there."""
JOBS = ("Job", "PyTorchJob", "TrainJob")


@dataclass(frozen=True)
class Named:
    """A Secret that something names, and what names it."""

    namespace: str
    name: str
    by: str

    @property
    def sentence(self) -> str:
        """What to tell a person when it isn't there."""
        return f"Secret {self.name} is not in namespace {self.namespace}: create it, or correct {self.by}"


def named_secrets(body: Object, settings: Settings) -> list[Named]:
    """Return the Secrets that an object needs."""
    namespace, spec = body["metadata"]["namespace"], body.get("spec") or {}
    found = []
    wandb = ((spec.get("tracking") or {}).get("wandb") or {}).get("secretRef")
    key = ((spec.get("signature") or {}).get("publicKeySecretRef") or {}).get("name")
    if wandb:
        found.append(Named(namespace, wandb, "spec.tracking.wandb.secretRef"))
    if key:
        found.append(Named(namespace, key, "spec.signature.publicKeySecretRef"))
    auth = (spec.get("gateway") or {}).get("auth") or {}
    if keys := (auth.get("apiKeysSecretRef") or {}).get("name"):
        found.append(Named(namespace, keys, "spec.gateway.auth.apiKeysSecretRef"))
    if settings.storage_secret:
        places = dict.fromkeys([namespace, *_pipelines_namespace(body, settings)])
        found += [Named(place, settings.storage_secret, "the operator's storage secret") for place in places]
    return found


def _pipelines_namespace(body: Object, settings: Settings) -> list[str]:
    """Return where Kubeflow runs a run's pipelines, if that is said for the whole installation."""
    is_there = body.get("kind") == names.KIND_RUN and backend_of(body, settings) == "KubeflowPipelines"
    return [settings.kubeflow_namespace] if is_there and settings.kubeflow_namespace else []


@dataclass
class Secrets:
    """Which Secrets are there, remembered for a while; a content never comes here. Used by many threads."""

    kube: Kube
    clock: Callable[[], float]
    _known: dict[tuple[str, str], tuple[bool, float]] = field(default_factory=dict)

    def stale(self, wanted: list[Named]) -> list[Named]:
        """Return those of which we don't know whether they are there."""
        now = self.clock()
        return [s for s in wanted if self._known.get((s.namespace, s.name), (False, 0.0))[1] <= now]

    def ask(self, wanted: list[Named]) -> None:
        """Ask the API; blocks. One that can't be asked for counts as there: a pod will tell."""
        for secret in wanted:
            try:
                there = self.kube.exists(SECRETS, secret.namespace, secret.name)
            except (ApiError, TransientError):
                there = True
            until = self.clock() + (SECRET_THERE_S if there else SECRET_MISSING_S)
            self._known[secret.namespace, secret.name] = (there, until)

    def missing(self, wanted: list[Named]) -> tuple[str, ...]:
        """Return a sentence for each that is known not to be there."""
        return tuple(s.sentence for s in wanted if not self._known.get((s.namespace, s.name), (True, 0.0))[0])


@dataclass(frozen=True)
class ExternalState:
    """What had to be asked for outside the caches."""

    pipelines: Mapping[str, training.PipelineRun] = field(default_factory=dict)
    backend_error: str | None = None


def ask_pipelines(pipelines: Pipelines | None, run_ids: tuple[str, ...]) -> ExternalState:
    """Ask Kubeflow how runs stand; blocks. Once it does not answer, nothing is concluded of any."""
    if not run_ids:
        return ExternalState()
    if pipelines is None:
        return ExternalState(backend_error="no Kubeflow back end is set up: set DAYBREAK_KUBEFLOW_URL")
    try:
        return ExternalState({run_id: pipelines.get(run_id) for run_id in run_ids})
    except TransientError as error:
        return ExternalState(backend_error=str(error))


@dataclass
class Gather:
    """Makes the ``Observed`` of both kinds."""

    store: Store
    readings: Readings
    secrets: Secrets
    settings: Settings
    is_absent: Callable[[ApiResource], bool]
    """Whether the API server does not know a kind now."""
    silence: Silence
    node_kinds: Callable[[], frozenset[NodeKind]]
    """What the nodes that are there look like to placement."""
    workloads: Workloads

    def jobs_of(self, run: Object) -> list[Object]:
        """Return the jobs of a run."""
        children = self.store.children_of(run["metadata"]["uid"]).values()
        return [child for child in children if child["kind"] in JOBS]

    def training(self, run: Object, asked: ExternalState, cache: ReconcileCache) -> training.RunObservation:
        """Return all that a decision about a TrainingRun may know."""
        children = tuple(self.store.children_of(run["metadata"]["uid"]).values())
        jobs = [child for child in children if child["kind"] in JOBS]
        key = key_of(dict(run))
        progress = self.readings.progress(key)
        sign = None if progress is None else (progress.attempt, progress.step, progress.updated)
        return training.RunObservation(
            run=run,
            children=tuple(map(parse_object, (*children, *cache.name_conflicts.values()))),
            record=self._record(run, names.finished_name),
            predecessors=tuple(self._predecessors(key, run["metadata"]["uid"])),
            neighbours=self.store.neighbours_of(key),
            events=(
                *(warning for job in jobs for warning in self._warnings(job)),
                *(warning for child in children for warning in self._of_waiting(child)),
            ),
            refused=cache.refused,
            pipelines=asked.pipelines,
            backend_error=asked.backend_error,
            progress=progress,
            progress_silent_s=self.silence.seconds(key, "metrics", sign),
            report_silent_s=self.silence.seconds(key, "report", _reported(children)),
            absent_kinds=tuple(one.kind for one in (PYTORCH_JOBS, TRAIN_JOBS) if self.is_absent(one)),
            with_workload=self.workloads.among(jobs, there=True),
            without_workload=self.workloads.among(jobs, there=False),
            workload_says=self.workloads.words(jobs),
            missing=self.secrets.missing(named_secrets(run, self.settings)),
            node_kinds=self.node_kinds(),
            settings=self.settings,
        )

    def _predecessors(self, key: ObjectKey, uid: str) -> Iterator[ObservedPod]:
        for child in self.store.pods_of_namesakes(key, uid):
            pod = parse_object(child)
            if isinstance(pod, ObservedPod) and pod.label(names.LABEL_ROLE) == names.ROLE_TRAINING:
                yield pod

    def _of_waiting(self, child: Object) -> Iterator[ObservedWarning]:
        """Yield what was said of the volumes and the sandbox of a pod that has not begun."""
        if child["kind"] == "Pod" and (child.get("status") or {}).get("phase") == "Pending":
            told = self.store.told_of(child)
            yield from (parse_warning(told[reason]) for reason in WAIT_REASONS if reason in told)

    def _warnings(self, job: Object) -> Iterator[ObservedWarning]:
        """Yield what was said about a job, and about the JobSet and its Job that are made for a TrainJob."""
        for event in self.store.told_of(job).values():
            yield parse_warning(event)
        if job["kind"] == TRAIN_JOBS.kind:
            metadata = job["metadata"]
            place, name = metadata["namespace"], metadata["name"]
            for kind, inner in (("JobSet", name), ("Job", f"{name}-node-0")):
                for event in self.store.told.of_name(kind, place, inner).values():
                    yield replace(parse_warning(event), about_uid=metadata["uid"])

    def deployment(self, body: Object, now: datetime) -> deployment.DeploymentObservation:
        """Return all that a decision about a ModelDeployment may know."""
        key = key_of(dict(body))
        children = tuple(self.store.children_of(body["metadata"]["uid"]).values())
        pods = [child for child in children if child["kind"] == "Pod"]
        return deployment.DeploymentObservation(
            deployment=body,
            followed=self.store.followed_by(body),
            children=tuple(map(parse_object, children)),
            record=self._record(body, names.record_name),
            alone=self.store.is_alone(key),
            peers=self.store.peers_of(key),
            snapshots=self.readings.gateways(key),
            silent=self.readings.silent(key),
            earlier=self.readings.earlier(key, window_of(body)),
            unschedulable={
                pod["metadata"]["name"]: waited
                for pod in pods
                if (waited := unschedulable_s(pod, now)) is not None
            },
            pods_wait=tuple(warning for pod in pods for warning in self._of_waiting(pod)),
            reclaimed=tuple(pod["metadata"]["name"] for pod in pods if self._is_reclaimed(pod)),
            stockouts=tuple(pod["metadata"]["name"] for pod in pods if self._has_no_machine(pod)),
            missing=self.secrets.missing(named_secrets(body, self.settings)),
            has_gateway_api=not self.is_absent(ROUTES),
            node_kinds=self.node_kinds(),
            settings=self.settings,
        )

    def _record(self, body: Object, named: Callable[[str], str]) -> ObservedConfigMap | None:
        namespace, name = body["metadata"]["namespace"], named(body["metadata"]["name"])
        found = self.store.child(("v1", "ConfigMap", namespace, name))
        if found is None or not drift.is_record(found):
            return None
        record = parse_object(found)
        return record if isinstance(record, ObservedConfigMap) else None

    def _is_reclaimed(self, pod: Object) -> bool:
        return self.store.is_noticed((pod.get("spec") or {}).get("nodeName", ""))

    def _has_no_machine(self, pod: Object) -> bool:
        waits = not (pod.get("spec") or {}).get("nodeName")
        return waits and any(reason in STOCKOUT_REASONS for reason in self.store.told_of(pod))


def _reported(children: Iterable[Object]) -> tuple[tuple[str, str], ...] | None:
    """Return what tells one report of a training from the next."""
    found = []
    for child in children:
        labels = child["metadata"].get("labels") or {}
        told = (child.get("data") or {}).get(result_reporter.PROGRESS_KEY)
        if labels.get(names.LABEL_STAGE) == names.STAGE_TRAIN and isinstance(told, str):
            found.append((child["metadata"]["name"], told))
    return tuple(sorted(found)) or None


def window_of(deployment: Object) -> Any:
    """Return what tells one window of the guardrails from the next: since when the same users get the same model.

    Not the stage's name: a share that lacks machines for the next one is Starved and then Ramp again, and a window
    that began anew each time would never have enough requests for a verdict.
    """
    candidate = (deployment.get("status") or {}).get("candidate") or {}
    return tuple(candidate.get(name) for name in ("digest", "revision", "weight", "since"))


def unschedulable_s(pod: Object, now: datetime) -> float | None:
    """Return for how many seconds no node takes the pod; None when one did or nobody has looked yet.

    Not every scheduler says since when: then it is since the pod was made.
    """
    for condition in (pod.get("status") or {}).get("conditions") or ():
        refused = (condition.get("type"), condition.get("status")) == ("PodScheduled", "False")
        if refused and condition.get("reason") == "Unschedulable":
            made = pod.get("metadata", {}).get("creationTimestamp")
            since = instant(condition.get("lastTransitionTime")) or instant(made) or now
            return max(0.0, (now - since).total_seconds())
    return None
