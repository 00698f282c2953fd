"""Runs that wait in a queue of the real Kueue, whatever makes their pods; only where it was built.

A queue counts GPUs of one flavor, nodes of one zone; a run is two pods of one GPU each. KWOK plays nodes and pods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from daybreak_contracts import names
from tests.cluster.managers import PYTORCH_JOBS
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.queues import PRIORITY, QUEUE, Queues
from tests.operator.live.stage import Stage, staged

pytestmark = pytest.mark.slow
DEADLINE_S = 20


@pytest.fixture
def stage(queue_cluster: Reach) -> Iterator[Stage]:
    """Of a run by a Job; a class may say otherwise."""
    queue_cluster.queues_look_after()
    with staged(queue_cluster, "Job") as made:
        yield made


@pytest.fixture
def queues(stage: Stage) -> Iterator[Queues]:
    made = Queues(stage.cluster, stage.namespace)
    made.flavor()
    yield made
    made.close()


class QueuePlays:
    """Of a run of two pods, alike whatever makes them."""

    def test_a_queue_holds_a_run_and_lets_it_in(self, stage: Stage, queues: Queues) -> None:
        queues.give(1)
        queues.open()
        stage.begin({QUEUE: "gpus"})
        stage.is_said("CapacityAvailable", "Unknown", "Queued")
        wait_for("Kueue's own words", lambda: "insufficient" in stage.message("CapacityAvailable"))
        assert not stage.pods(1)
        assert "queuedSince" in stage.status
        uid = stage.uid_of_job(1)
        queues.give(2)
        pods = stage.are_up(1)
        assert stage.uid_of_job(1) == uid, "nobody made it anew"
        zones = {pod["spec"]["nodeSelector"][names.LABEL_NODE_ZONE] for pod in stage.pods(1).values()}
        assert zones == {"live-a"}, "Kueue's flavor reached the pods"
        assert stage.restarts() == (0, 0)
        stage.is_said("QueueIgnored", "False", "QueueHeeds")
        assert "queuedSince" not in stage.status
        stage.finish(1, pods)
        stage.is_said("Trained", "True", "Completed")
        stage.hand_over_model()
        stage.is_said("Succeeded", "True", "Completed")

    def test_a_run_that_is_preempted_goes_on_when_the_other_is_done(
        self, stage: Stage, queues: Queues
    ) -> None:
        """Its trainer says that it was told to stop, as it does: another attempt, which counts as none."""
        queues.priority("low", 1)
        queues.priority("high", 100)
        queues.give(2)
        queues.open()
        stage.begin({QUEUE: "gpus", PRIORITY: "low"})
        stage.are_up(1)
        other = stage.another()
        other.begin({QUEUE: "gpus", PRIORITY: "high"})
        theirs = other.are_up(1)
        stage.is_said("CapacityAvailable", "Unknown", "Queued")
        wait_for("no pods", lambda: not stage.pods(1))
        assert stage.restarts() == (0, 0)
        stage.says_that_it_was_told_to_stop(1)
        wait_for("the second attempt", lambda: stage.status.get("attempt") == 2)
        stage.is_said("CapacityAvailable", "Unknown", "Queued")
        assert stage.restarts() == (1, 0)
        other.finish(1, theirs)
        stage.finish(2, stage.are_up(2))
        stage.is_said("Trained", "True", "Completed")
        assert stage.restarts() == (1, 0)
        assert stage.status["queuedSeconds"] > 0

    def test_a_run_that_is_preempted_before_it_said_a_word_keeps_its_job(
        self, stage: Stage, queues: Queues
    ) -> None:
        queues.give(2)
        queues.open()
        stage.begin({QUEUE: "gpus"})
        stage.are_up(1)
        uid = stage.uid_of_job(1)
        queues.stop("HoldAndDrain")
        stage.is_said("CapacityAvailable", "Unknown", "Queued")
        wait_for("no pods", lambda: not stage.pods(1))
        queues.stop("None")
        stage.are_up(1)
        assert stage.restarts() == (0, 0)
        assert stage.uid_of_job(1) == uid

    def test_a_run_that_is_suspended_while_it_waits_goes_on_later(self, stage: Stage, queues: Queues) -> None:
        queues.give(1)
        queues.open()
        stage.begin({QUEUE: "gpus"})
        stage.is_said("CapacityAvailable", "Unknown", "Queued")
        stage.suspend(True)
        stage.is_said("Suspended", "True", "Suspended")
        wait_for("no job", lambda: stage.job(1) is None)
        queues.give(2)
        stage.suspend(False)
        stage.are_up(2)
        assert stage.restarts() == (0, 0)


class TestQueueOfAJob(QueuePlays):
    """By the Job controller."""


class TestQueueOfATrainJob(QueuePlays):
    """By Trainer and JobSet."""

    @pytest.fixture
    def stage(self, queue_cluster: Reach) -> Iterator[Stage]:
        queue_cluster.queues_look_after()
        with staged(queue_cluster, "TrainJob") as made:
            yield made


class TestQueueOfAPyTorchJob(QueuePlays):
    """By the training operator, where Kueue was told to look after that kind too."""

    @pytest.fixture
    def stage(self, queue_cluster: Reach) -> Iterator[Stage]:
        queue_cluster.queues_look_after(PYTORCH_JOBS)
        with staged(queue_cluster, "PyTorchJob") as made:
            yield made


def test_a_pytorch_job_that_kueue_does_not_look_after_is_told(queue_cluster: Reach) -> None:
    queue_cluster.queues_look_after()
    with staged(queue_cluster, "PyTorchJob") as stage:
        queues = Queues(queue_cluster, stage.namespace)
        queues.flavor()
        queues.give(0)
        queues.open()
        stage.begin({QUEUE: "gpus"})
        stage.are_up(1)
        wait_for("QueueIgnored", lambda: stage.condition("QueueIgnored") == ("True", "NoWorkload"), 120)
        assert "kubeflow.org/pytorchjob" in stage.message("QueueIgnored")
        queues.close()


def test_a_queue_that_does_not_exist_is_told_until_it_does(stage: Stage, queues: Queues) -> None:
    queues.give(2)
    stage.begin({QUEUE: "gpus"})
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    wait_for("its words", lambda: "LocalQueue gpus doesn't exist" in stage.message("CapacityAvailable"))
    queues.open()
    stage.are_up(1)
    assert stage.restarts() == (0, 0)


def test_a_queue_whose_nodes_are_elsewhere_has_the_run_try_its_next_place(
    stage: Stage, queues: Queues
) -> None:
    queues.give(2)
    queues.open()
    placement = {"zones": ["live-b", "live-a"]}
    stage.begin({QUEUE: "gpus"}, {"podsReadyTimeoutSeconds": DEADLINE_S}, placement=placement)
    wait_for("Kueue's own words", lambda: "node affinity" in stage.message("CapacityAvailable"))
    stage.are_up(2)
    assert stage.status["zone"] == "live-a"
    assert stage.restarts() == (1, 0)


def test_a_queue_can_be_corrected_while_the_run_waits(stage: Stage, queues: Queues) -> None:
    queues.give(2)
    queues.open("gpus")
    stage.begin({QUEUE: "gpsu"})
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    stage.label({QUEUE: "gpus"})
    stage.are_up(2)
    assert stage.restarts() == (1, 0)


def test_a_priority_class_that_does_not_exist_is_told(stage: Stage, queues: Queues) -> None:
    queues.give(2)
    queues.open()
    stage.begin({QUEUE: "gpus", PRIORITY: "nobody-made-it"})
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    wait_for("its words", lambda: "nobody-made-it" in stage.message("CapacityAvailable"))


def test_a_queue_of_the_namespace_takes_a_run_that_names_none(stage: Stage, queues: Queues) -> None:
    queues.give(1)
    queues.open("default")
    stage.begin()
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    queues.give(2)
    stage.are_up(1)


def test_data_waits_in_the_queue_too_and_its_time_does_not_count(stage: Stage, queues: Queues) -> None:
    queues.give(2, cpu="0")
    queues.open()
    stage.apply({QUEUE: "gpus"}, policy={"activeDeadlineSeconds": DEADLINE_S})
    stage.is_said("Reconciling", "True", "Queued")
    wait_for("Kueue's own words", lambda: "cpu" in stage.message("Reconciling"))
    time.sleep(DEADLINE_S + 3)
    assert stage.condition("Finished")[0] == "False", "time in the queue does not count"
    queues.give(2)
    wait_for("its pod", lambda: stage.pods(1, names.STAGE_DATA))
    stage.is_said("Succeeded", "False", "DeadlineExceeded")
    assert stage.status["queuedSeconds"] >= DEADLINE_S


def test_the_time_for_pods_to_be_ready_begins_when_they_are_let_in(stage: Stage, queues: Queues) -> None:
    queues.give(1)
    queues.open()
    stage.begin({QUEUE: "gpus"}, policy={"podsReadyTimeoutSeconds": DEADLINE_S})
    stage.is_said("CapacityAvailable", "Unknown", "Queued")
    time.sleep(DEADLINE_S + 10)
    assert stage.restarts() == (0, 0)
    queues.give(2)
    stage.are_up(1)
