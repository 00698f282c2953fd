"""A small world that plans are carried out in: an API server's store, a training operator, Kubeflow, a clock.

It does what it is told and nothing more; tests script what pods and pipelines do. ``carry_out`` may be cut short after
any action, as an operator that is killed cuts it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core.observed.objects import ObservedConfigMap
from daybreak_operator.core.observed.parse import parse_object, parse_warning
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import ObjectEvent, Plan, Ref
from daybreak_operator.core.pod_shape.demands import NodeKind
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.decide import decide
from daybreak_operator.core.training.observed.neighbours import Neighbour
from daybreak_operator.core.training.observed.observation import PipelineRun, RunObservation
from daybreak_operator.core.training.stages import pipeline_runs
from daybreak_operator.settings import Settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
UID = "8f4cbb2e-0000-4000-8000-000000000001"
SPEC: dict[str, Any] = {
    "output": {"uri": "s3://models/first-light"},
    "data": {"sources": [{"name": "internal", "directory": {"path": "/data/src"}}]},
    "model": {"size": "1m"},
    "training": {"nodes": 2, "gpusPerNode": 1},
}
STAGE_OF = {
    "documents": "data", "xray": "data", "tokenizer": "data", "shards": "data",
    "train": "train", "export": "model", "evaluate": "model",
}  # fmt: skip
RESULTS: dict[str, dict[str, Any]] = {
    "documents": {
        "num_files": 3, "num_bytes": 9, "num_documents": 2, "document_bytes": 6, "dropped": {}, "languages": {},
    },
    "xray": {"html": "xray.html", "metrics": {}},
    "tokenizer": {"vocabulary_size": 512, "bytes_per_token": {}},
    "shards": {
        "dtype": "uint16", "num_train_tokens": 9, "num_held_out_tokens": 1, "num_train_samples": 9,
        "num_held_out_samples": 1,
    },
    "train": {
        "num_parameters": 10, "steps": 5, "tokens": 50, "loss": 2.5, "held_out_loss": 2.6, "tokens_per_second": 10.0,
        "peak_memory_bytes": 1, "stopped_by": "Tokens",
    },
    "export": {"num_parameters": 10},
    "evaluate": {
        "scores": [{"metric": "humaneval/pass@1", "value": 0.2, "low": 0.1, "high": 0.3, "num_tasks": 164}],
    },
}  # fmt: skip

JOB_KINDS = ("PyTorchJob", "TrainJob", "Job")
Key = tuple[str, str]


class World:
    """One run and everything around it."""

    def __init__(
        self, spec: Mapping[str, Any] | None = None, settings: Settings | None = None, **more: Any
    ) -> None:
        self.now = NOON
        self.settings = settings or Settings()
        self.run: dict[str, Any] = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND_RUN,
            "metadata": {"name": "first-light", "namespace": "ml", "uid": UID, "generation": 1, **more},
            "spec": copy.deepcopy({**SPEC, **(spec or {})}),
        }
        self.children: dict[Key, dict[str, Any]] = {}
        self.pipelines: dict[str, PipelineRun] = {}
        self.backend_error: str | None = None
        self._progress: TrainerSnapshot | None = None
        self._spoke = self._reported = NOON
        """When the trainer's answer and its report changed, by the operator's clock."""
        self.skew_s = 0.0
        """How far the pods' clocks are ahead of the operator's."""
        self.absent_kinds: tuple[str, ...] = ()
        self.with_workload: frozenset[str] = frozenset()
        self.without_workload: frozenset[str] = frozenset()
        self.workload_says: dict[str, str] = {}
        self.missing: tuple[str, ...] = ()
        self.node_kinds: frozenset[NodeKind] = frozenset()
        self.refused: tuple[str, ...] = ()
        self.predecessors: tuple[dict[str, Any], ...] = ()
        self.neighbours: tuple[Neighbour, ...] = ()
        self.warnings: tuple[dict[str, Any], ...] = ()
        self.events: list[ObjectEvent] = []
        self.submitted: list[str] = []
        self.made: list[Key] = []
        self.writes = 0
        self.gone = False
        self._uids = 0
        self.plan: Plan | None = None

    @property
    def progress(self) -> TrainerSnapshot | None:
        """What the trainer answers."""
        return self._progress

    @progress.setter
    def progress(self, told: TrainerSnapshot | None) -> None:
        if told != self._progress:
            self._spoke = self.now
        self._progress = told

    # What the operator does ------------------------------------------------------------------------------------

    def observe(self) -> RunObservation:
        """What a shell gathers; the objects themselves: a decision changes nothing (``test_purity``)."""
        run = dict(self.run)
        ids = pipeline_runs.ids_to_ask(run, self.settings)
        asked = {run_id: self.pipelines.get(run_id, PipelineRun("Absent")) for run_id in ids}
        return RunObservation(
            run=run,
            children=tuple(map(parse_object, self.children.values())),
            pipelines=asked,
            backend_error=self.backend_error,
            progress=self.progress,
            progress_silent_s=None if self.progress is None else (self.now - self._spoke).total_seconds(),
            report_silent_s=(self.now - self._reported).total_seconds(),
            absent_kinds=self.absent_kinds,
            with_workload=self.with_workload,
            without_workload=self.without_workload,
            workload_says=self.workload_says,
            missing=self.missing,
            node_kinds=self.node_kinds,
            refused=self.refused,
            record=self._record(),
            predecessors=tuple(
                pod for pod in map(parse_object, self.predecessors) if isinstance(pod, ObservedPod)
            ),
            neighbours=self.neighbours,
            events=tuple(map(parse_warning, self.warnings)),
            settings=self.settings,
        )

    def _record(self) -> ObservedConfigMap | None:
        found = self.children.get(("ConfigMap", names.finished_name("first-light")))
        record = None if found is None else parse_object(found)
        return record if isinstance(record, ObservedConfigMap) else None

    def actions(self, plan: Plan) -> list[Callable[[], None]]:
        """The plan as single API calls, in the order in which a shell makes them."""
        if self.gone:
            return []
        status = [lambda: self._write(plan)]
        finalizer_on = [lambda: self._finalizer(True)] if plan.finalizer else []
        finalizer_off = [lambda: self._finalizer(False)] if not plan.finalizer else []
        rest: list[Callable[[], None]] = [
            *[lambda item=item: self._apply(item) for item in plan.apply],
            *[lambda ref=ref: self._delete(ref) for ref in plan.delete],
            *[lambda submit=submit: self._submit(submit.run_id) for submit in plan.submit],
            *[lambda run_id=run_id: self._terminate(run_id) for run_id in plan.terminate],
        ]
        ordered = [*status, *finalizer_on, *rest] if plan.status_first else [*finalizer_on, *rest, *status]
        ordered += finalizer_off
        if plan.delete_self:
            ordered.append(self.delete_run)
        return ordered

    def look(self, actions: int | None = None) -> Plan:
        """Decide and carry the plan out, or only its first actions."""
        plan = decide(self.observe(), self.now)
        self.plan = plan
        for action in self.actions(plan)[:actions]:
            action()
        return plan

    def settle(self, looks: int = 4) -> Plan:
        for _ in range(looks):
            plan = self.look()
        return plan

    def _write(self, plan: Plan) -> None:
        TrainingRunStatus.model_validate(plan.status)
        new = json.loads(json.dumps(plan.status))
        if new != self.run.get("status"):
            self.writes += 1
            self.run["status"] = new
            self.events += plan.events

    def _finalizer(self, wanted: bool) -> None:
        self.run["metadata"]["finalizers"] = [names.FINALIZER] if wanted else []
        if not wanted and "deletionTimestamp" in self.run["metadata"]:
            self.gone = True
            self.children.clear()

    def _apply(self, item: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(item))
        key = (wanted["kind"], wanted["metadata"]["name"])
        there = self.children.get(key)
        if there is None:
            self._uids += 1
            wanted["metadata"] |= {"uid": f"child-{self._uids}", "creationTimestamp": timestamp(self.now)}
            self.children[key] = wanted
            if wanted["metadata"]["labels"].get(names.LABEL_ROLE) != names.ROLE_RECORD:
                self.made.append(key)
            return
        for name, value in wanted.items():
            there[name] = {**there["metadata"], **value} if name == "metadata" else value

    def _delete(self, ref: Ref) -> None:
        for key, item in list(self.children.items()):
            if item["metadata"]["uid"] == ref.uid:
                self.remove(key)

    def _submit(self, run_id: str) -> None:
        self.submitted.append(run_id)
        self.pipelines[run_id] = PipelineRun("Running")

    def _terminate(self, run_id: str) -> None:
        self.pipelines[run_id] = PipelineRun("Canceling")

    # What the world does ---------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def remove(self, key: Key) -> None:
        """Delete an object and, as garbage collection does, the pods that it owns."""
        item = self.children.pop(key, None)
        if item is None:
            return
        for other, child in list(self.children.items()):
            owners = child["metadata"].get("ownerReferences", [])
            if any(owner["uid"] == item["metadata"]["uid"] for owner in owners):
                del self.children[other]

    def delete_run(self) -> None:
        if self.run["metadata"].get("finalizers"):
            self.run["metadata"].setdefault("deletionTimestamp", timestamp(self.now))
            return
        self.gone = True
        self.children.clear()

    def change(self, **spec: Any) -> None:
        self.run["spec"] |= spec
        self.run["metadata"]["generation"] += 1

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [item for (of, _), item in self.children.items() if of == kind]

    def the(self, kind: str) -> dict[str, Any]:
        (item,) = self.of_kind(kind)
        return item

    @property
    def training_jobs(self) -> list[dict[str, Any]]:
        """The jobs that train, of whatever kind."""
        return [
            item
            for (kind, _), item in self.children.items()
            if kind in JOB_KINDS and item["metadata"]["labels"].get(names.LABEL_STAGE) == names.STAGE_TRAIN
        ]

    @property
    def training_job(self) -> dict[str, Any]:
        """The one that trains."""
        (item,) = self.training_jobs
        return item

    def rank(self, number: int) -> str:
        """The name of a training pod, as the launcher's controller names it."""
        return self._pods_of(self.training_job)[number][0]

    def hand_over(
        self, step: str, attempt: int | None = None, *, cached: bool = False, **changed: Any
    ) -> None:
        result = {
            "uri": f"s3://o/{step}",
            "digest": f"sha256:{step}",
            "cached": cached,
            **RESULTS[step],
            **changed,
        }
        self.patch(step, {"result": result}, attempt)

    def hand_error(self, step: str, code: int, message: str = "it broke", attempt: int | None = None) -> None:
        kinds = {2: "UserError", 75: "TransientError"}
        error = {"exitCode": code, "kind": kinds.get(code, "ValueError"), "message": message, "traceback": ""}
        self.patch(step, {"error": error}, attempt)

    def patch(self, step: str, document: Any, attempt: int | None = None) -> None:
        stage = STAGE_OF[step]
        number = attempt or max(
            int(item["metadata"]["labels"][names.LABEL_ATTEMPT])
            for item in self.of_kind("ConfigMap")
            if item["metadata"]["labels"].get(names.LABEL_STAGE) == stage
        )
        item = self.children[("ConfigMap", names.stage_child("first-light", stage, number))]
        text = document if isinstance(document, str) else json.dumps(document)
        item.setdefault("data", {})[f"{step}.json"] = text

    def report(self, step: str, done: float, total: float, activity: str = "") -> None:
        stage = STAGE_OF[step]
        state = {
            "step": step,
            "activity": activity,
            "done": done,
            "total": total,
            "updated": self.now.timestamp() + self.skew_s,
        }
        self._reported = self.now
        for item in self.of_kind("ConfigMap"):
            labels = item["metadata"]["labels"]
            if (labels[names.LABEL_ROLE], labels.get(names.LABEL_STAGE)) == (names.ROLE_RESULTS, stage):
                item.setdefault("data", {})["progress.json"] = json.dumps(state)

    def make_pods(self) -> None:
        """Do what training operator and Job controller do: have the pods that their jobs want."""
        for job in [job for kind in JOB_KINDS for job in self.of_kind(kind)]:
            if job.get("status") or job["metadata"].get("deletionTimestamp"):
                continue
            for name, template in self._pods_of(job):
                if ("Pod", name) not in self.children:
                    self._make_pod(name, template, job)

    def _pods_of(self, job: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        if job["kind"] != "TrainJob":
            return _pods_of(job)
        runtime = self.children[("TrainingRuntime", job["spec"]["runtimeRef"]["name"])]
        (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        name, inner = f"{job['metadata']['name']}-node-0", replicated["template"]["spec"]
        return _pods_of({"kind": "Job", "metadata": {"name": name}, "spec": inner})

    def _make_pod(self, name: str, template: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        self._uids += 1
        labels = {**template["metadata"]["labels"]}
        self.children[("Pod", name)] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "ml",
                "uid": f"child-{self._uids}",
                "labels": labels,
                "creationTimestamp": timestamp(self.now),
                "ownerReferences": [{"uid": job["metadata"]["uid"]}],
            },
            "spec": copy.deepcopy(template["spec"]),
            "status": {"phase": "Pending"},
        }

    def pods_up(self) -> None:
        self.make_pods()
        for pod in self.of_kind("Pod"):
            if pod["status"]["phase"] == "Pending":
                pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    def pod(self, name: str) -> dict[str, Any]:
        return self.children[("Pod", name)]

    def pod_fails(self, name: str, code: int, message: str = "") -> None:
        ended = {"exitCode": code, "finishedAt": timestamp(self.now), "message": message, "reason": "Error"}
        self.pod(name)["status"] = {
            "phase": "Failed",
            "containerStatuses": [{"state": {"terminated": ended}}],
        }

    def disrupt(self, name: str) -> None:
        held = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        self.pod(name)["status"].setdefault("conditions", []).append(held)

    def job_ends(self, kind: str, condition: str) -> None:
        self._job_ends(self.the(kind), condition)

    def training_ends(self, *, well: bool = True) -> None:
        """End the training job as its controller does."""
        good = "Succeeded" if self.training_job["kind"] == "PyTorchJob" else "Complete"
        self._job_ends(self.training_job, good if well else "Failed")

    def _job_ends(self, job: dict[str, Any], condition: str) -> None:
        held = {"type": condition, "status": "True", "lastTransitionTime": timestamp(self.now)}
        job["status"] = {"conditions": [held]}

    def pipeline(self, state: Any, message: str = "") -> None:
        self.pipelines[self.submitted[-1]] = PipelineRun(state, message)

    # What tests ask --------------------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run["status"]
        return found

    def condition(self, kind: str) -> tuple[str, str]:
        (found,) = [item for item in self.status["conditions"] if item["type"] == kind]
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        (found,) = [item for item in self.status["conditions"] if item["type"] == kind]
        return str(found["message"])

    def step(self, name: str) -> dict[str, Any]:
        (found,) = [item for item in self.status["steps"] if item["name"] == name]
        return found

    def states(self) -> str:
        """The states of all seven steps by their first letters: ``SSSSRPP``."""
        return "".join(
            item["state"][0] if item["state"] != "Skipped" else "K" for item in self.status["steps"]
        )

    # Whole stages ----------------------------------------------------------------------------------------------

    def make_data(self) -> None:
        self.settle(2)
        for step in ("documents", "xray", "tokenizer", "shards"):
            self.hand_over(step)
        for job in self.of_kind("Job"):
            self._job_ends(job, "Complete")
        if self.submitted:
            self.pipeline("Succeeded")
        self.look()
        if self.of_kind("TrainingRuntime"):
            self.look()  # the job comes a pass after its runtime

    def train(self) -> None:
        self.pods_up()
        self.look()
        self.hand_over("train")
        self.training_ends()
        self.look()

    def make_model(self, **scores: Any) -> None:
        self.settle(2)
        self.hand_over("export")
        self.hand_over("evaluate", **scores)
        self.look()


def _pods_of(job: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    name, spec = job["metadata"]["name"], job["spec"]
    if job["kind"] == "PyTorchJob":
        return [
            (f"{name}-{role.lower()}-{index}", replica["template"])
            for role, replica in spec["pytorchReplicaSpecs"].items()
            for index in range(replica["replicas"])
        ]
    if spec.get("completionMode") != "Indexed":
        return [(f"{name}-x", spec["template"])]
    return [(f"{name}-{index}-x", _numbered(spec["template"], index)) for index in range(spec["completions"])]


def _numbered(template: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """The template with what the Job controller adds to a pod of an Indexed Job."""
    metadata = template["metadata"]
    labels = {**metadata["labels"], "batch.kubernetes.io/job-completion-index": str(index)}
    return {**template, "metadata": {**metadata, "labels": labels}}
