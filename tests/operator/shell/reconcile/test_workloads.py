"""What is remembered of Kueue's Workloads: asked once a job, by the version that the cluster serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.answers import NotFoundError, RefusedError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import ApiResource
from daybreak_operator.shell.reconcile.workloads import FOUND_S, HELD_S, MISSING_S, Workloads

Answer = list[dict[str, Any]] | Exception
GONE = NotFoundError(404, "NotFound", "the server could not find the requested resource")
LABELS = {"kueue.x-k8s.io/queue-name": "gpus"}


class AskedKube:
    """Answers lists by version, and remembers what it was asked."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def pages(self, resource: ApiResource, namespace: str, labels: str) -> Iterator[tuple[Any, str]]:
        version = resource.api_version.rpartition("/")[2]
        self.asked.append((version, labels))
        answer = self.answers[version]
        if isinstance(answer, Exception):
            raise answer
        yield answer, "1"


def job(labels: dict[str, str] = LABELS, uid: str = "one") -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"namespace": "ml", "name": "x", "uid": uid, "labels": labels}}


@pytest.mark.parametrize(
    ("answers", "there", "versions"),
    [
        pytest.param({"v1beta2": [{}]}, True, ["v1beta2"], id="one refers to it"),
        pytest.param({"v1beta2": []}, False, ["v1beta2"], id="none does"),
        pytest.param({"v1beta2": GONE, "v1beta1": [{}]}, True, ["v1beta2", "v1beta1"], id="an older Kueue"),
        pytest.param({"v1beta2": GONE, "v1beta1": GONE}, False, ["v1beta2", "v1beta1"], id="no Kueue"),
        pytest.param({"v1beta2": RefusedError(403, "", "no")}, None, ["v1beta2"], id="it may not ask"),
        pytest.param({"v1beta2": TransientError("down")}, None, ["v1beta2"], id="no answer"),
    ],
)
def test_what_is_known_of_a_job(answers: dict[str, Answer], there: bool | None, versions: list[str]) -> None:
    kube = AskedKube(**answers)
    known = Workloads(cast(Kube, kube), lambda: 0.0)
    known.ask(known.stale([job()]))
    assert [version for version, _ in kube.asked] == versions
    assert {labels for _, labels in kube.asked} == {"kueue.x-k8s.io/job-uid=one"}
    assert known.among([job()], there=True) == (frozenset({"one"}) if there is True else frozenset())
    assert known.among([job()], there=False) == (frozenset({"one"}) if there is False else frozenset())


@pytest.mark.parametrize(("found", "seconds"), [([{}], FOUND_S), ([], MISSING_S)])
def test_a_job_is_asked_about_again_when_its_time_is_over(found: list[Any], seconds: float) -> None:
    now = [100.0]
    known = Workloads(cast(Kube, AskedKube(v1beta2=found)), lambda: now[0])
    known.ask([job()])
    now[0] += seconds - 1
    assert known.stale([job()]) == []
    now[0] += 1
    assert known.stale([job()]) == [job()]


@pytest.mark.parametrize(("held", "seconds"), [(True, HELD_S), (False, MISSING_S)])
def test_a_job_that_is_held_is_asked_about_sooner(held: bool, seconds: float) -> None:
    """Kueue makes its Workload a moment after its webhook held the job: what it says is wanted soon."""
    now, wanted = [100.0], {**job(), "spec": {"suspend": held}}
    known = Workloads(cast(Kube, AskedKube(v1beta2=[])), lambda: now[0])
    known.ask([wanted])
    now[0] += seconds - 1
    assert known.stale([wanted]) == []
    now[0] += 1
    assert known.stale([wanted]) == [wanted]


def test_a_job_that_names_no_queue_is_not_asked_about() -> None:
    assert Workloads(cast(Kube, AskedKube()), lambda: 0.0).stale([job({}), job({"other": "x"})]) == []


def test_jobs_of_long_ago_are_forgotten() -> None:
    now = [0.0]
    known = Workloads(cast(Kube, AskedKube(v1beta2=[])), lambda: now[0])
    known.ask([job(uid="old")])
    now[0] = 10 * FOUND_S
    known.ask([job(uid="new")])
    assert known.among([job(uid="old"), job(uid="new")], there=False) == frozenset({"new"})


WAITS = {"status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": "no quota"}]}}


def test_a_job_that_is_held_is_asked_about_as_often_as_its_run_is_looked_at() -> None:
    now, held = [100.0], {**job(), "spec": {"suspend": True}}
    known = Workloads(cast(Kube, AskedKube(v1beta2=[WAITS])), lambda: now[0])
    known.ask([held])
    assert known.words([held]) == {"one": "no quota"}
    now[0] += HELD_S - 1
    assert known.stale([held]) == []
    now[0] += 1
    assert known.stale([held]) == [held]
    assert known.stale([job()]) == [], "one that was let in is known for an hour"
