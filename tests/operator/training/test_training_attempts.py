"""How an attempt of training ends and what follows: tables of failures, plays of restarts and places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_operator.core.training.stages.restarts import pause_s
from tests.operator.training.world import SPEC, World

MASTER, WORKER = "first-light-train-1-master-0", "first-light-train-1-worker-0"


LAUNCHERS = ("PyTorchJob", "TrainJob", "Job")


def training(launcher: str = "Auto", **spec: Any) -> World:
    """A run whose two training pods are up."""
    world = World({"training": {**SPEC["training"], "launcher": launcher}, **spec})
    world.make_data()
    world.pods_up()
    world.look()
    assert world.condition("CapacityAvailable") == ("True", "PodsReady")
    return world


def lose(world: World, name: str) -> None:
    del world.children[("Pod", name)]


def hold(job: dict[str, Any], held: bool) -> None:
    """Suspend a job or let it go on, as a queue does."""
    policy = job["spec"]["runPolicy"] if job["kind"] == "PyTorchJob" else job["spec"]
    policy["suspend"] = held


def leave(world: World, name: str) -> None:
    world.pod(name)["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"


def replace_pod(world: World) -> None:
    lose(world, world.rank(1))
    world.wait(3)
    world.make_pods()


def end_without_result(world: World) -> None:
    world.training_ends()
    world.wait(30)


def fall_silent(world: World) -> None:
    world.progress = TrainerSnapshot(step=3, total_steps=9, updated=world.now.timestamp())
    world.wait(301)


def disrupt_and_break(world: World) -> None:
    world.hand_error("train", 1, "connection closed by peer")
    world.disrupt(world.rank(1))


def fall_one_after_the_other(world: World) -> None:
    world.pod_fails(world.rank(1), 137)
    world.wait(2)
    world.pod_fails(world.rank(0), 1)


FAILURES = [
    pytest.param(lambda w: w.pod_fails(w.rank(1), 1), (1, 1), "PodFailed", id="a bug is a counted restart"),
    pytest.param(
        lambda w: w.pod_fails(w.rank(0), 75), (1, 1), "PodFailed", id="an absent world is a counted restart"
    ),
    pytest.param(fall_one_after_the_other, (1, 1), "PodFailed", id="the first pod that fell explains it"),
    pytest.param(lambda w: w.disrupt(w.rank(1)), (1, 0), "Disrupted", id="a preempted pod is a free restart"),
    pytest.param(disrupt_and_break, (1, 0), "Disrupted", id="the break that a preemption causes is free too"),
    pytest.param(
        lambda w: leave(w, w.rank(1)), (1, 0), "PodDeleted", id="a pod deleted by hand is a free restart"
    ),
    pytest.param(lambda w: lose(w, w.rank(1)), (1, 0), "PodLost", id="a pod that vanished is a free restart"),
    pytest.param(replace_pod, (1, 0), "PodReplaced", id="a pod that was made anew is a free restart"),
    pytest.param(
        lambda w: w.remove((w.training_job["kind"], "first-light-train-1")),
        (1, 0),
        "JobDeleted",
        id="a job deleted by hand is a free restart",
    ),
    pytest.param(lambda w: w.training_ends(well=False), (1, 1), "JobFailed", id="a failed job is counted"),
    pytest.param(end_without_result, (1, 1), "ResultMissing", id="an end without a result is a failure"),
    pytest.param(fall_silent, (1, 1), "HeartbeatStopped", id="a heartbeat that stopped is a failure"),
    pytest.param(lambda w: w.hand_error("train", 1), (1, 1), "StepCrashed", id="a bug reported is counted"),
    pytest.param(
        lambda w: w.hand_error("train", 75), (1, 1), "StepInterrupted", id="a 75 reported is counted"
    ),
]


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(("happens", "restarts", "reason"), FAILURES)
def test_any_failure_restarts_the_whole_gang(
    happens: Callable[[World], None], restarts: tuple[int, int], reason: str, launcher: str
) -> None:
    world = training(launcher)
    happens(world)
    plan = world.look()
    assert (world.status["restarts"], world.status["countedRestarts"]) == restarts
    assert world.condition("Reconciling") == ("True", reason)
    assert world.condition("CapacityAvailable") == ("Unknown", "Restarting")
    assert world.step("train")["state"] == "Pending"
    assert world.status["attempt"] == 2
    assert plan.status_first
    assert not world.training_jobs, "the whole job goes"
    world.settle(2)
    assert world.training_job["metadata"]["name"] == "first-light-train-2"
    assert world.training_job["kind"] == launcher == world.status["launcher"]
    assert (world.status["restarts"], world.status["countedRestarts"]) == restarts
    assert [event.reason for event in world.events].count("Restarting") == 1


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(lambda w: w.pod_fails(w.rank(0), 2, "deep\nno such shards"), id="exit code 2"),
        pytest.param(lambda w: w.hand_error("train", 2, "no such shards"), id="a user's error reported"),
    ],
)
def test_the_users_fault_ends_the_run_with_its_sentence(
    happens: Callable[[World], None], launcher: str
) -> None:
    world = training(launcher)
    happens(world)
    world.look()
    assert world.condition("Succeeded")[0] == "False"
    assert "no such shards" in world.message("Succeeded")
    assert world.step("train")["state"] == "Failed"
    assert world.status["restarts"] == 0
    assert world.training_job, "it ends by itself, so that its logs stay"
    world.wait(61)
    world.look()
    assert not world.training_jobs


RULES: list[dict[str, Any]] = [
    {"onExitCodes": [137], "action": "RestartFree"},
    {"onPodCondition": "DisruptionTarget", "onExitCodes": [143], "action": "Fail"},
    {"onPodCondition": "DisruptionTarget", "action": "RestartFree"},
    {"onExitCodes": [3, 2], "action": "Fail"},
]


def disrupt_with(code: int) -> Callable[[World], None]:
    def happens(world: World) -> None:
        world.pod_fails(WORKER, code)
        world.disrupt(WORKER)

    return happens


@pytest.mark.parametrize(
    ("rules", "happens", "expected"),
    [
        pytest.param(
            RULES, lambda w: w.pod_fails(WORKER, 137), ("Unknown", 1, 0), id="the first match decides"
        ),
        pytest.param(RULES, lambda w: w.pod_fails(WORKER, 3), ("False", 0, 0), id="any of the codes matches"),
        pytest.param(
            RULES, lambda w: w.pod_fails(WORKER, 1), ("Unknown", 1, 1), id="no match is a counted restart"
        ),
        pytest.param(RULES, disrupt_with(143), ("False", 0, 0), id="a rule wants all that it names"),
        pytest.param(RULES, disrupt_with(1), ("Unknown", 1, 0), id="a rule that names less matches later"),
        pytest.param(
            [{"action": "Fail"}], lambda w: leave(w, WORKER), ("False", 0, 0), id="never means never"
        ),
        pytest.param(
            [], lambda w: leave(w, WORKER), ("Unknown", 1, 0), id="without rules a deletion is free"
        ),
        pytest.param(
            [{"onExitCodes": [2], "action": "Restart"}],
            lambda w: w.hand_error("train", 2),
            ("Unknown", 1, 1),
            id="a rule may restart even the user's fault",
        ),
    ],
)
def test_the_first_rule_that_matches_decides(
    rules: list[dict[str, Any]], happens: Callable[[World], None], expected: tuple[str, int, int]
) -> None:
    world = training(runPolicy={"failureRules": rules})
    happens(world)
    world.look()
    status = world.status
    assert (world.condition("Succeeded")[0], status["restarts"], status["countedRestarts"]) == expected


def test_counted_restarts_are_spent_and_then_the_run_fails() -> None:
    world = training(runPolicy={"backoffLimit": 2})
    for attempt in (1, 2, 3):
        world.wait(700)
        world.settle(2)
        world.pods_up()
        world.look()
        world.pod_fails(f"first-light-train-{attempt}-worker-0", 1, "boom")
        world.look()
    assert world.condition("Succeeded") == ("False", "BackoffLimitExceeded")
    assert "boom" in world.message("Finished")
    assert "2 of 2" in world.message("Finished")
    assert (world.status["restarts"], world.status["countedRestarts"]) == (2, 2)


def test_attempts_that_fail_fast_come_slower_and_slower() -> None:
    world = training(runPolicy={"backoffLimit": 9})
    pauses = []
    for attempt in range(1, 6):
        world.pods_up()
        world.look()
        world.pod_fails(f"first-light-train-{attempt}-worker-0", 1)
        plan = world.look()
        pauses.append(plan.requeue_after_s)
        world.look()
        assert not world.of_kind("PyTorchJob") or attempt == 1
        world.wait(plan.requeue_after_s or 0)
        world.look()
        assert world.the("PyTorchJob")["metadata"]["name"] == f"first-light-train-{attempt + 1}"
    assert pauses == [1.0, 10.0, 20.0, 40.0, 80.0]


def test_an_attempt_that_lasted_owes_nothing() -> None:
    assert pause_s(restarts=8, lasted_s=600) == 0
    assert pause_s(restarts=8, lasted_s=599) == 360


ZONES = {"nodes": 2, "placement": {"zones": ["a", "b"], "markets": ["Spot", "OnDemand"]}}


class TestPlaces:
    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_are_tried_in_order_after_each_disruption(self, launcher: str) -> None:
        world = training(training={**ZONES, "launcher": launcher})
        seen = [(world.status["zone"], world.status["market"])]
        for _ in range(1, 5):
            world.disrupt(world.rank(1))
            world.look()
            world.wait(400)
            world.settle(2)
            world.pods_up()
            world.look()
            seen.append((world.status["zone"], world.status["market"]))
            labels = world.pod(world.rank(0))["metadata"]["labels"]
            assert (labels["daybreak.dev/zone"], labels["daybreak.dev/market"]) == seen[-1]
        assert seen == [("a", "Spot"), ("b", "Spot"), ("a", "OnDemand"), ("b", "OnDemand"), ("a", "Spot")]

    def test_a_bug_stays_where_it_is(self) -> None:
        world = training(training=ZONES)
        world.pod_fails(WORKER, 1)
        world.settle(3)
        assert (world.status["zone"], world.status["market"]) == ("a", "Spot")

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_pods_that_are_late_go_to_the_next_place_free_of_charge(self, launcher: str) -> None:
        world = World(
            {"training": {**ZONES, "launcher": launcher}, "runPolicy": {"podsReadyTimeoutSeconds": 600}}
        )
        world.make_data()
        world.make_pods()
        world.wait(599)
        world.look()
        assert world.status["restarts"] == 0
        world.wait(1)
        world.look()
        assert world.condition("CapacityAvailable") == ("False", "NoCapacity")
        assert "600 s in zone a, Spot; next is zone b, Spot" in world.message("CapacityAvailable")
        assert (world.status["restarts"], world.status["countedRestarts"]) == (1, 0)
        world.settle(2)
        assert world.training_job["metadata"]["labels"]["daybreak.dev/zone"] == "b"

    def test_a_place_is_remembered_over_a_killed_operator(self) -> None:
        world = training(training=ZONES)
        world.disrupt(WORKER)
        world.look(actions=1)
        world.settle(3)
        assert world.status["zone"] == "b"
        assert (world.status["restarts"], world.status["attempt"]) == (1, 2)

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_time_in_a_queue_is_not_held_against_a_place(self, launcher: str) -> None:
        world = World({"training": {"launcher": launcher}, "runPolicy": {"podsReadyTimeoutSeconds": 600}})
        world.make_data()
        job = world.training_job
        hold(job, True)
        world.wait(5000)
        world.look()
        assert world.condition("CapacityAvailable") == ("Unknown", "Queued")
        hold(job, False)
        let_in = {"type": "Suspended", "status": "False", "lastTransitionTime": "2026-01-01T13:23:00Z"}
        job["status"] = {"conditions": [let_in]}
        world.wait(100)
        world.look()
        assert world.status["restarts"] == 0

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_a_queue_that_takes_the_machines_back_costs_no_restart(self, launcher: str) -> None:
        world = training(launcher)
        job = world.training_job
        hold(job, True)
        for name in (world.rank(0), world.rank(1)):
            lose(world, name)
        world.look()
        assert world.condition("CapacityAvailable") == ("Unknown", "Queued")
        world.wait(5000)
        world.look()
        hold(job, False)
        let_in = {"type": "Suspended", "status": "False", "lastTransitionTime": "2026-01-01T13:23:20Z"}
        job["status"] = {"conditions": [let_in]}
        world.look()
        del job["status"]
        world.pods_up()
        world.look()
        assert world.condition("CapacityAvailable") == ("True", "PodsReady")
        assert (world.status["restarts"], world.status["attempt"]) == (0, 1)

    def test_an_image_that_cannot_be_pulled_is_no_lack_of_capacity(self) -> None:
        world = World({"runPolicy": {"podsReadyTimeoutSeconds": 600}})
        world.make_data()
        world.make_pods()
        waiting = {"reason": "ImagePullBackOff", "message": "not found"}
        world.pod(MASTER)["status"]["containerStatuses"] = [{"image": "r/t:1", "state": {"waiting": waiting}}]
        world.wait(900)
        world.look()
        assert world.condition("Stalled") == ("True", "ImageCannotBePulled")
        assert "r/t:1" in world.message("Stalled")
        assert world.status["restarts"] == 0

    def test_what_the_scheduler_says_is_shown(self) -> None:
        world = World()
        world.make_data()
        world.make_pods()
        unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
        world.pod(WORKER)["status"]["conditions"] = [unscheduled]
        world.look()
        assert world.condition("CapacityAvailable") == ("False", "Unschedulable")
        assert world.message("CapacityAvailable") == "0/3 nodes are available"


class TestWhatIsLeftOfAnAttempt:
    def test_a_job_that_will_not_go_holds_the_next_one_back(self) -> None:
        world = training()
        world.pod_fails(WORKER, 1)
        world.look()
        job = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {
                "name": "first-light-train-1",
                "namespace": "ml",
                "uid": "old",
                "deletionTimestamp": "2026-01-01T12:00:00Z",
                "labels": {
                    "daybreak.dev/owner-uid": world.run["metadata"]["uid"],
                    "daybreak.dev/stage": "train",
                    "daybreak.dev/attempt": "1",
                },
            },
        }
        world.children[("PyTorchJob", "first-light-train-1")] = job
        plan = world.settle(3)
        assert plan.delete == ()
        assert world.condition("Reconciling") == ("True", "AttemptEnds")
        assert len(world.of_kind("PyTorchJob")) == 1

    def test_pods_on_a_lost_node_are_waited_for_two_minutes(self) -> None:
        world = training()
        old = world.pod(WORKER)
        world.pod_fails(MASTER, 1)
        world.look()
        world.children[("Pod", WORKER)] = old
        world.settle(2)
        assert not world.of_kind("PyTorchJob")
        world.wait(121)
        world.look()
        assert world.the("PyTorchJob")["metadata"]["name"] == "first-light-train-2"


class TestHeartbeat:
    @pytest.mark.parametrize(
        ("metrics", "silence", "fails"),
        [
            pytest.param({"step": 1, "total_steps": 9}, 299, False, id="five minutes are allowed"),
            pytest.param({"step": 1, "total_steps": 9}, 301, True, id="not more"),
            pytest.param(
                {"step": 1, "total_steps": 9, "seconds_left": 800.0},
                1999,
                False,
                id="slow steps have twenty of them",
            ),
            pytest.param(
                {"step": 1, "total_steps": 9, "seconds_left": 800.0},
                2001,
                True,
                id="slow steps have no more either",
            ),
            pytest.param(
                {"step": 1, "total_steps": 9, "attempt": 7},
                5000,
                False,
                id="another attempt's metrics say nothing",
            ),
        ],
    )
    def test_of_the_trainers_own_metrics(self, metrics: dict[str, Any], silence: float, fails: bool) -> None:
        world = training()
        world.progress = TrainerSnapshot(updated=world.now.timestamp(), **metrics)
        world.wait(silence)
        world.look()
        assert (world.status["restarts"] == 1) == fails

    @pytest.mark.slow
    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(
        skew_s=st.floats(-600, 600), every_s=st.floats(1, 250), signs=st.integers(1, 30), asked=st.booleans()
    )
    def test_a_nodes_clock_that_is_minutes_off_loses_no_run_and_hides_no_silence(
        self, skew_s: float, every_s: float, signs: int, asked: bool
    ) -> None:
        world = training()
        world.skew_s = skew_s
        for step in range(1, signs + 1):
            if asked:
                at = world.now.timestamp() + skew_s
                world.progress = TrainerSnapshot(attempt=1, step=step, total_steps=99, updated=at)
            else:
                world.report("train", step, 99)
            world.look()
            world.wait(every_s)
            world.look()
        assert world.status["restarts"] == 0
        world.wait((300 if asked else 900) + 1 - every_s)
        world.look()
        assert world.status["restarts"] == 1

    def test_of_progress_that_was_handed_over_when_the_trainer_cannot_be_asked(self) -> None:
        world = training()
        world.report("train", 1, 10)
        world.wait(900)
        world.look()
        assert world.status["restarts"] == 0
        world.wait(1)
        world.look()
        assert world.status["restarts"] == 1

    def test_a_trainer_that_never_spoke_is_not_judged(self) -> None:
        world = training()
        world.wait(100_000)
        world.look()
        assert world.status["restarts"] == 0


class TestResults:
    @pytest.mark.parametrize(
        "ends",
        [
            pytest.param(lambda w: w.training_ends(), id="the job succeeded"),
            pytest.param(
                lambda w: w.pod(w.rank(0)).update(status={"phase": "Succeeded"}), id="rank 0 succeeded"
            ),
        ],
    )
    @pytest.mark.parametrize("goes", [leave, lose], ids=["leaves", "is gone"])
    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_pods_that_are_cleaned_up_at_the_end_are_no_failure(
        self, ends: Callable[[World], None], goes: Callable[[World, str], None], launcher: str
    ) -> None:
        world = training(launcher)
        ends(world)
        goes(world, world.rank(1))
        world.look()
        assert world.status["restarts"] == 0
        world.hand_over("train")
        world.look()
        assert world.condition("Trained") == ("True", "Completed")

    def test_a_result_counts_even_when_pods_fail_after_it(self) -> None:
        world = training()
        world.hand_over("train")
        world.pod_fails(WORKER, 1)
        world.look()
        assert world.condition("Trained") == ("True", "Completed")
        assert world.status["restarts"] == 0

    def test_one_that_cannot_be_read_is_an_error_that_says_so(self) -> None:
        world = training(runPolicy={"backoffLimit": 0})
        world.patch("train", {"result": {"uri": "s3://x"}})
        world.look()
        assert world.condition("Succeeded") == ("False", "BackoffLimitExceeded")
        assert "cannot be read" in world.message("Succeeded")

    def test_one_that_is_found_again_is_skipped(self) -> None:
        world = training()
        world.hand_over("train", cached=True)
        world.look()
        assert world.step("train")["state"] == "Skipped"
        assert world.condition("Trained") == ("True", "Completed")

    def test_a_worker_that_never_ends_is_removed_a_while_after(self) -> None:
        world = training()
        world.hand_over("train")
        world.settle(2)
        assert world.of_kind("PyTorchJob")
        world.wait(150)
        world.look()
        assert not world.of_kind("PyTorchJob")
