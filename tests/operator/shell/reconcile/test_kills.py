"""An operator killed after any of its API calls: the next one ends where one that was never killed would have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.core.plan import Finding, Object, ObjectEvent, Plan, Ref, Submit
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import CHILDREN, RUNS
from daybreak_operator.shell.reconcile.execute import Executor
from daybreak_operator.shell.reconcile.work import ReconcileCache, remaining
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.store import ListResult, Store
from tests.cluster.reach import Reach
from tests.operator.shell.test_plays import RUN, make

CONFIG_MAPS = CHILDREN[1]
MOST_PASSES = 12
ATTEMPTS = 2


class KilledError(Exception):
    """The process is gone."""


class Dying:
    """Counts calls that change something, and dies after one of them."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.made = 0

    def __call__(self) -> None:
        self.made += 1
        if self.after is not None and self.made >= self.after:
            raise KilledError


class Backend:
    """Kubeflow as it is: an id that is there is not made again by one who asks first."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.posts: list[str] = []
        self.called = Dying(None)

    def get(self, run_id: str) -> PipelineRun:
        return PipelineRun("Running" if run_id in self.runs else "Absent")

    def submit(self, request: Submit) -> bool:
        if request.run_id in self.runs:
            return False
        self.posts.append(request.run_id)
        self.runs[request.run_id] = "Running"
        self.called()
        return True

    def terminate(self, run_id: str) -> None:
        self.runs[run_id] = "Failed"
        self.called()


@contextmanager
def dying(kube: Kube, called: Dying) -> Iterator[None]:
    """Let the client die after one of its writes was answered, before the answer is looked at."""
    written = kube._write

    def write(*given: Any) -> dict[str, Any]:
        try:
            return written(*given)
        finally:
            called()

    kube._write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        kube._write = written  # type: ignore[method-assign]


def child(run: Object, number: int) -> Object:
    metadata = {"name": names.stage_child(run["metadata"]["name"], "train", number), "namespace": "-"}
    metadata |= {"namespace": run["metadata"]["namespace"], "labels": {names.LABEL_ATTEMPT: str(number)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"attempt": str(number)}}


def decide(run: Object, children: list[Object], runs: Mapping[str, str]) -> Plan:
    """Two attempts: each is written down first, and begins when all of the one before is there."""
    attempt = int((run.get("status") or {}).get("attempt", 0))
    there = {item["metadata"]["name"]: item for item in children}
    now = there.get(names.stage_child(run["metadata"]["name"], "train", attempt))
    begins = attempt == 0 or (now is not None and attempt < ATTEMPTS and f"run-{attempt}" in runs)
    number = attempt + 1 if begins else attempt
    old = [item for item in there.values() if item["metadata"]["labels"][names.LABEL_ATTEMPT] != str(number)]
    request = Submit(f"run-{number}", names.DATA_PIPELINE, "x", "x", {}, "x")
    return Plan(
        status={"attempt": number, "observedGeneration": run["metadata"]["generation"]},
        apply=(child(run, number),),
        delete=tuple(Ref("v1", "ConfigMap", m["namespace"], m["name"], m["uid"]) for m in map(meta, old)),
        submit=() if request.run_id in runs else (request,),
        terminate=tuple(one for one, state in runs.items() if one != request.run_id and state == "Running"),
        events=(ObjectEvent("Normal", "Begins", f"attempt {number}"),),
        status_first=begins,
        finalizer=True,
    )


def meta(body: Object) -> dict[str, Any]:
    return dict(body["metadata"])


def live(kube: Kube, key: ObjectKey, backend: Backend) -> None:
    """One process, from fresh caches until nothing is left to do."""
    store, cache = Store(), ReconcileCache()
    executor = Executor(kube, backend, lambda: datetime.now(UTC))
    for _ in range(MOST_PASSES):
        store.put(kube.get(RUNS, key.namespace, key.name))
        for page, version in kube.pages(CONFIG_MAPS, key.namespace, names.LABEL_OWNER_KIND):
            store.replace_children("v1", "ConfigMap", ListResult(page, version))
        run = store.get(key)
        assert run is not None
        children = store.children_of(run["metadata"]["uid"])
        plan = decide(run, list(children.values()), backend.runs)
        result = executor.carry_out(remaining(plan, run, children, cache, 0.0), cache)
        assert not result.errors
        if not result.wrote:
            return
    raise AssertionError("it never settles")


def end_of(kube: Kube, key: ObjectKey, backend: Backend) -> Any:
    """What is there in the end, without what differs between any two runs."""
    run = kube.get(RUNS, key.namespace, key.name)
    pages = kube.pages(CONFIG_MAPS, key.namespace, f"{names.LABEL_OWNER}={key.name}")
    children = {
        item["metadata"]["name"].removeprefix(key.name): item["data"] for page, _ in pages for item in page
    }
    return run["status"], run["metadata"]["finalizers"], children, backend.runs, backend.posts


def test_it_ends_as_if_nothing_had_happened(cluster: Reach) -> None:
    kube, namespace = clients.connect({}, str(cluster.kubeconfig)), cluster.namespace()
    ends = []
    for after in count(1):
        key, backend = ObjectKey(names.KIND_RUN, namespace, f"killed-{after}"), Backend()
        kube.create({**RUN, "metadata": {"name": key.name, "namespace": namespace}})
        backend.called = Dying(after)
        try:
            with dying(kube, backend.called):
                live(kube, key, backend)
            break
        except KilledError:
            backend.called = Dying(None)
            live(kube, key, backend)
            ends.append(end_of(kube, key, backend))
    never_killed = end_of(kube, key, backend)
    assert ends == [never_killed] * len(ends)
    assert len(ends) >= 10
    status, finalizers, children, runs, posts = never_killed
    assert (status["attempt"], finalizers, list(children)) == (ATTEMPTS, [names.FINALIZER], ["-train-2"])
    assert (runs, posts) == ({"run-1": "Failed", "run-2": "Running"}, ["run-1", "run-2"])


def test_without_a_back_end_nothing_is_submitted_and_all_else_goes_on(cluster: Reach) -> None:
    kube = clients.connect({}, str(cluster.kubeconfig))
    namespace = cluster.namespace()
    make(cluster, namespace)
    cluster.kubectl(
        *("patch", "trainingrun", "first", "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", '{"status": {"attempt": 1}}'),
    )
    run = kube.get(RUNS, namespace, "first")
    executor = Executor(kube, None, lambda: datetime.now(UTC))
    result = executor.carry_out(
        remaining(decide(run, [], {}), run, {}, ReconcileCache(), 0.0), ReconcileCache()
    )
    assert result.errors == ["no Kubeflow back end is set up: set DAYBREAK_KUBEFLOW_URL"]
    assert [item["metadata"]["name"] for item in result.children] == ["first-train-1"]


def test_a_pipeline_that_kubeflow_refuses_is_told_and_all_else_goes_on(cluster: Reach) -> None:
    class Strict(Backend):
        def submit(self, request: Submit) -> bool:
            raise UserError("parameter cores must be a number")

    kube = clients.connect({}, str(cluster.kubeconfig))
    namespace = cluster.namespace()
    make(cluster, namespace)
    cluster.kubectl(
        *("patch", "trainingrun", "first", "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", '{"status": {"attempt": 1}}'),
    )
    run, cache = kube.get(RUNS, namespace, "first"), ReconcileCache()
    executor = Executor(kube, Strict(), lambda: datetime.now(UTC))
    result = executor.carry_out(remaining(decide(run, [], {}), run, {}, cache, 0.0), cache)
    assert result.errors == []
    told = list(result.refused.values())
    assert told == [Finding("PipelineRefused", "parameter cores must be a number")]
    assert [item["metadata"]["name"] for item in result.children] == ["first-train-1"]


def test_one_that_does_not_lead_writes_nothing(cluster: Reach) -> None:
    kube = clients.connect({}, str(cluster.kubeconfig))
    kube.may_write = lambda: False
    namespace = cluster.namespace()
    run = make(cluster, namespace)
    executor = Executor(kube, Backend(), lambda: datetime.now(UTC))
    result = executor.carry_out(
        remaining(decide(run, [], {}), run, {}, ReconcileCache(), 0.0), ReconcileCache()
    )
    assert result.errors == ["not the leader: nothing is written"]
    with pytest.raises(TransientError, match="not the leader"):
        kube.apply(child(run, 1), force=False)
    assert (
        kube.get(RUNS, namespace, "first")["metadata"]["resourceVersion"]
        == run["metadata"]["resourceVersion"]
    )


def test_a_decision_on_an_old_object_changes_no_counter(cluster: Reach) -> None:
    kube = clients.connect({}, str(cluster.kubeconfig))
    namespace = cluster.namespace()
    old = make(cluster, namespace)
    cluster.kubectl("label", "trainingrun", "first", "-n", namespace, "color=red")
    executor = Executor(kube, Backend(), lambda: datetime.now(UTC))
    result = executor.carry_out(
        remaining(decide(old, [], {}), old, {}, ReconcileCache(), 0.0), ReconcileCache()
    )
    assert result.errors == ["changed since it was read"]
    assert result.own is not None
    assert result.own["metadata"]["labels"] == {"color": "red"}
    assert "status" not in result.own
    assert kube.find(CONFIG_MAPS, namespace, "first-train-1") is None


def test_an_object_that_nobody_has_looked_at_is_acknowledged_first(cluster: Reach) -> None:
    kube = clients.connect({}, str(cluster.kubeconfig))
    run = make(cluster, cluster.namespace())
    executor = Executor(kube, Backend(), lambda: datetime.now(UTC))
    result = executor.carry_out(
        remaining(decide(run, [], {}), run, {}, ReconcileCache(), 0.0), ReconcileCache()
    )
    assert result.own is not None
    assert (result.own["status"]["attempt"], result.said, result.again) == (1, True, True)
    assert result.children == []


def test_a_submission_stands_in_the_log_once(cluster: Reach) -> None:
    """A back end that is slow to know its run is asked to start it again, and does not."""
    kube, backend = clients.connect({}, str(cluster.kubeconfig)), Backend()
    namespace = cluster.namespace()
    make(cluster, namespace)
    cluster.kubectl(
        *("patch", "trainingrun", "first", "-n", namespace, "--subresource=status", "--type=merge"),
        *("-p", '{"status": {"attempt": 1}}'),
    )
    run, cache = kube.get(RUNS, namespace, "first"), ReconcileCache()
    executor = Executor(kube, backend, lambda: datetime.now(UTC))
    told = []
    for _ in range(2):
        work = remaining(decide(run, [], {}), run, {}, cache, 0.0)
        told.append(executor.carry_out(work, cache).did.get("submitted", []))
        run = kube.get(RUNS, namespace, "first")
    assert [len(names) for names in told] == [1, 0]
    assert len(backend.posts) == 1
