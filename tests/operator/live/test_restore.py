"""Runs that come back without their status, and runs with one output, with the real decisions on a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from daybreak_contracts import names
from tests.bench.operator.gang import hand_over_data, run_of
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.hasty import TIMING, decisions
from tests.operator.shell.replica import Replica
from tests.operator.training.test_lost_status import ended

pytestmark = [pytest.mark.slow, pytest.mark.needs("programs")]


class Place:
    """A namespace, and the operator that looks after it while it is wanted."""

    def __init__(self, cluster: Reach) -> None:
        self.cluster, self.namespace = cluster, cluster.namespace()

    @contextmanager
    def operator(self) -> Iterator[None]:
        with Replica(str(self.cluster.kubeconfig), self.namespace, decisions(), "restore", TIMING):
            yield

    def apply(self, name: str, **spec: Any) -> dict[str, Any]:
        run = run_of(name, self.namespace)
        run["spec"]["training"] |= {"launcher": "Job"}
        run["spec"] |= spec
        self.cluster.apply(run)
        return run

    def status(self, name: str) -> dict[str, Any]:
        found = self.cluster.get("trainingrun", name, self.namespace) or {}
        return dict(found.get("status") or {})

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        held = [item for item in self.status(name).get("conditions") or () if item["type"] == kind]
        return (held[0]["status"], held[0]["reason"]) if held else ("", "")

    def events(self, name: str) -> set[str]:
        about = f"involvedObject.name={name}"
        text = self.cluster.kubectl(
            "get", "events", "-n", self.namespace, "--field-selector", about, "-o", "json"
        )
        return {event["reason"] for event in json.loads(text)["items"]}

    def delete(self, name: str) -> None:
        self.cluster.kubectl("delete", "trainingrun", name, "-n", self.namespace)

    def there(self, kind: str, name: str) -> bool:
        return self.cluster.get(kind, name, self.namespace) is not None


@pytest.fixture
def place(cluster: Reach) -> Place:
    return Place(cluster)


def end(place: Place, name: str) -> None:
    """Say of a run that is under way what is said of one that succeeded."""
    kept = ("snapshot", "startTime", "backend", "launcher")
    before = place.status(name)
    over = {**ended().status, **{part: before[part] for part in kept}}
    patch = json.dumps({"status": over})
    arguments = ("patch", "trainingrun", name, "--subresource=status", "--type=merge", "-p", patch)
    place.cluster.kubectl(*arguments, "-n", place.namespace)


def test_a_restored_run_is_over_and_a_deleted_one_runs_again(place: Place) -> None:
    name, record = "tiny", names.finished_name("tiny")
    job = names.stage_child(name, "data", 1)
    place.apply(name)
    with place.operator():
        wait_for("its data", lambda: place.there("job", job))
        end(place, name)
        wait_for("the record", lambda: place.there("configmap", record))
    before = place.status(name)
    place.delete(name)  # nobody sees it
    place.cluster.kubectl("delete", "jobs,configmaps", "-l", f"{names.LABEL_STAGE}", "-n", place.namespace)
    place.apply(name)
    with place.operator():
        wait_for("its verdict", lambda: place.condition(name, "Finished")[0] == "True")
        assert place.status(name)["completionTime"] == before["completionTime"]
        assert place.status(name)["model"] == before["model"]
        wait_for("the event", lambda: "ResultRecovered" in place.events(name))
        assert not place.there("job", job)
        place.delete(name)
        wait_for("no record", lambda: not place.there("configmap", record))
        place.apply(name)
        wait_for("its data once more", lambda: place.there("job", job))


def test_two_runs_of_one_training_in_one_output_take_turns(place: Place) -> None:
    shared = {"output": {"uri": "s3://models/shared"}}
    place.apply("first", **shared)
    with place.operator():
        wait_for("the first one", lambda: place.status("first"))
        hand_over_data(place.cluster, "first", place.namespace)
        wait_for("its training", lambda: place.there("job", names.stage_child("first", "train", 1)))
        place.apply("second", **shared)
        hand_over_data(place.cluster, "second", place.namespace)
        wait_for("its turn", lambda: place.condition("second", "OutputShared") == ("True", "SameTraining"))
        assert place.condition("second", "Reconciling") == ("True", "SameTraining")
        assert place.condition("first", "OutputShared")[0] in ("True", "")
        assert not place.there("job", names.stage_child("second", "train", 1))
        assert "SameTraining" in place.events("second")
        place.delete("first")
        wait_for(
            "the second one's training", lambda: place.there("job", names.stage_child("second", "train", 1))
        )
        wait_for("its word", lambda: place.condition("second", "OutputShared") == ("False", "Alone"))
