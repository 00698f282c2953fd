"""What a queue does to a run: labels that reach it, time that does not count, and a queue that nobody heeds."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.times import timestamp
from daybreak_operator.settings import Settings
from tests.operator.training.world import World

QUEUE = {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": "high"}
LAUNCHERS = ["PyTorchJob", "TrainJob", "Job"]


def queued_world(launcher: str = "Job", labels: dict[str, str] = QUEUE, **spec: Any) -> World:
    return World({"training": {"nodes": 2, "launcher": launcher}, **spec}, labels=dict(labels))


def hold(world: World, job: dict[str, Any], held: bool) -> None:
    """Do what Kueue and the job's controller do."""
    policy = job["spec"].setdefault("runPolicy", {}) if job["kind"] == "PyTorchJob" else job["spec"]
    policy["suspend"] = held
    told = {"type": "Suspended", "status": str(held), "lastTransitionTime": timestamp(world.now)}
    job["status"] = {"conditions": [told]}
    for pod in world.of_kind("Pod") if held else []:
        world.remove(("Pod", pod["metadata"]["name"]))


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("given", [QUEUE, {"kueue.x-k8s.io/queue-name": "gpus"}, {}])
def test_every_job_has_the_runs_own_labels_of_a_queue(launcher: str, given: dict[str, str]) -> None:
    world = queued_world(launcher, given)
    world.make_data()
    jobs = [*world.training_jobs, *world.of_kind("Job")]
    for job in jobs:
        labels = job["metadata"]["labels"]
        assert {name: labels[name] for name in labels if "kueue" in name} == given
    world.make_pods()
    assert all("kueue" not in str(pod["metadata"]["labels"]) for pod in world.of_kind("Pod"))


class TestDeadline:
    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_leaves_out_what_the_job_waited(self, launcher: str) -> None:
        world = queued_world(launcher, runPolicy={"activeDeadlineSeconds": 3600})
        world.make_data()
        hold(world, world.training_job, True)
        world.look()
        world.wait(90_000)
        world.look()
        assert world.condition("Finished")[0] == "False"
        assert world.condition("CapacityAvailable") == ("Unknown", "Queued")
        hold(world, world.training_job, False)
        world.look()
        assert world.status["queuedSeconds"] == 90_000
        assert "queuedSince" not in world.status
        del world.training_job["status"]
        world.pods_up()
        world.wait(3599)
        world.look()
        assert world.condition("Finished")[0] == "False"
        world.wait(1)
        world.look()
        assert world.condition("Succeeded") == ("False", "DeadlineExceeded")

    def test_leaves_out_what_the_data_waited(self) -> None:
        world = queued_world(runPolicy={"activeDeadlineSeconds": 3600})
        world.look()
        hold(world, world.the("Job"), True)
        world.look()
        world.wait(5000)
        world.look()
        assert world.condition("Finished")[0] == "False"

    def test_adds_every_time_up(self) -> None:
        world = queued_world(runPolicy={"activeDeadlineSeconds": 3600})
        world.make_data()
        for _ in range(3):
            hold(world, world.training_job, True)
            world.look()
            world.wait(1000)
            hold(world, world.training_job, False)
            world.look()
            world.wait(100)
        assert world.status["queuedSeconds"] == 3000

    def test_knows_what_happened_while_no_operator_looked(self) -> None:
        """By the transition times of the job's own controller."""
        world = queued_world(runPolicy={"activeDeadlineSeconds": 3600})
        world.make_data()
        hold(world, world.training_job, True)
        world.wait(4000)
        world.look()
        assert world.condition("Finished")[0] == "False"
        hold(world, world.training_job, False)
        world.wait(600)
        world.look()
        assert world.status["queuedSeconds"] == 4000

    def test_asks_to_be_looked_at_when_it_will_be_over(self) -> None:
        world = queued_world(runPolicy={"activeDeadlineSeconds": 3600})
        world.make_data()
        hold(world, world.training_job, True)
        world.look()
        world.wait(10_000)
        hold(world, world.training_job, False)
        world.look()
        del world.training_job["status"]
        world.pods_up()
        world.wait(3595)
        assert world.look().requeue_after_s == 5.0


class TestAQueueThatIsIgnored:
    def ignored(self, launcher: str, labels: dict[str, str] = QUEUE) -> World:
        world = queued_world(launcher, labels)
        world.make_data()
        world.without_workload = frozenset({world.training_job["metadata"]["uid"]})
        world.pods_up()
        world.wait(31)
        world.look()
        return world

    @pytest.mark.parametrize(
        ("launcher", "remedy"),
        [
            ("PyTorchJob", "kubeflow.org/pytorchjob"),
            ("TrainJob", "trainer.kubeflow.org/trainjob"),
            ("Job", "install Kueue"),
        ],
    )
    def test_is_told_with_its_remedy_and_stops_nothing(self, launcher: str, remedy: str) -> None:
        world = self.ignored(launcher)
        assert world.condition("QueueIgnored") == ("True", "NoWorkload")
        assert remedy in world.message("QueueIgnored")
        assert "queue gpus" in world.message("QueueIgnored")
        assert [(e.type, e.reason) for e in world.events if e.reason == "NoWorkload"] == [
            ("Warning", "NoWorkload")
        ]
        assert world.condition("Stalled")[0] == "False"
        assert world.condition("CapacityAvailable") == ("True", "PodsReady")

    def test_is_not_told_before_kueue_had_its_time(self) -> None:
        world = queued_world()
        world.make_data()
        world.without_workload = frozenset({world.training_job["metadata"]["uid"]})
        world.wait(29)
        world.look()
        assert "QueueIgnored" not in {item["type"] for item in world.status["conditions"]}

    def test_is_taken_back_when_a_workload_comes_or_the_job_is_held(self) -> None:
        world = self.ignored("Job")
        uid = world.training_job["metadata"]["uid"]
        world.with_workload, world.without_workload = frozenset({uid}), frozenset()
        world.look()
        assert world.condition("QueueIgnored") == ("False", "QueueHeeds")

    def test_is_over_with_the_run(self) -> None:
        world = self.ignored("Job")
        world.hand_over("train")
        world.training_ends()
        world.look()
        world.make_model()
        assert world.condition("Succeeded")[0] == "True"
        assert world.condition("QueueIgnored") == ("False", "NothingRuns")

    @pytest.mark.parametrize("labels", [{}, {"kueue.x-k8s.io/priority-class": "high"}])
    def test_is_no_matter_of_a_run_that_names_none(self, labels: dict[str, str]) -> None:
        world = self.ignored("Job", labels)
        assert "QueueIgnored" not in {item["type"] for item in world.status["conditions"]}

    def test_is_not_claimed_of_what_could_not_be_asked(self) -> None:
        world = queued_world()
        world.make_data()
        world.pods_up()
        world.wait(500)
        world.look()
        assert "QueueIgnored" not in {item["type"] for item in world.status["conditions"]}


class TestARunThatIsHeld:
    """What is said of it, and what can be done about it."""

    def held(self, launcher: str = "Job", labels: dict[str, str] = QUEUE) -> World:
        world = queued_world(launcher, labels)
        world.make_data()
        hold(world, world.training_job, True)
        world.look()
        return world

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_tells_why_in_kueues_words(self, launcher: str) -> None:
        world = self.held(launcher)
        name = world.training_job["metadata"]["name"]
        assert world.message("CapacityAvailable") == f"Queue gpus holds {launcher} {name}."
        world.workload_says = {world.training_job["metadata"]["uid"]: "LocalQueue gpus doesn't exist"}
        world.look()
        assert world.condition("CapacityAvailable") == ("Unknown", "Queued")
        said = f"Queue gpus holds {launcher} {name}: LocalQueue gpus doesn't exist"
        assert world.message("CapacityAvailable") == said

    def test_tells_what_to_look_for_where_kueue_says_nothing(self) -> None:
        """A priority class that is not there, or a controller that is down: the webhook held the job all the same."""
        world = self.held()
        world.without_workload = frozenset({world.training_job["metadata"]["uid"]})
        world.look()
        assert "no Workload" not in world.message("CapacityAvailable"), "it had no time yet"
        world.wait(31)
        world.look()
        assert "whether there is a WorkloadPriorityClass high" in world.message("CapacityAvailable")
        assert world.condition("QueueIgnored") == ("False", "QueueHeeds")

    def test_tells_of_a_queue_that_it_did_not_name(self) -> None:
        """Kueue gives a job the queue `default` of its namespace, where there is one."""
        world = queued_world("Job", {})
        world.make_data()
        world.training_job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "default"
        hold(world, world.training_job, True)
        world.settle(3)
        assert world.message("CapacityAvailable").startswith("Queue default holds")
        assert world.status["attempt"] == 1
        assert world.status["restarts"] == 0

    def test_tells_of_its_data_that_is_held(self) -> None:
        world = queued_world()
        world.look()
        job = world.the("Job")
        hold(world, job, True)
        world.workload_says = {job["metadata"]["uid"]: "insufficient quota"}
        world.look()
        assert world.condition("Reconciling") == ("True", "Queued")
        assert "Queue gpus holds" in world.message("Reconciling")

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    @pytest.mark.parametrize(
        "corrected", [{"kueue.x-k8s.io/queue-name": "cpus"}, {"kueue.x-k8s.io/priority-class": "low"}]
    )
    def test_begins_anew_in_the_queue_that_it_names_now(
        self, launcher: str, corrected: dict[str, str]
    ) -> None:
        world = self.held(launcher)
        world.run["metadata"]["labels"] |= corrected
        world.settle(3)
        assert world.status["attempt"] == 2
        assert (world.status["restarts"], world.status.get("countedRestarts", 0)) == (1, 0)
        assert corrected.items() <= world.training_job["metadata"]["labels"].items()

    def test_stays_where_it_is_when_it_runs(self) -> None:
        world = queued_world()
        world.make_data()
        world.pods_up()
        world.run["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "cpus"
        world.settle(3)
        assert world.status["attempt"] == 1

    def test_begins_its_data_anew_in_the_queue_that_it_names_now(self) -> None:
        world = queued_world()
        world.look()
        hold(world, world.the("Job"), True)
        world.run["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "cpus"
        world.settle(3)
        world.wait(61)
        world.settle(3)
        assert world.the("Job")["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "cpus"

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_is_told_that_another_cluster_cannot_run_it(self, launcher: str) -> None:
        world = queued_world(launcher)
        world.make_data()
        job = world.training_job
        policy = job["spec"].setdefault("runPolicy", {}) if launcher == "PyTorchJob" else job["spec"]
        policy["managedBy"] = "kueue.x-k8s.io/multikueue"
        hold(world, job, True)
        world.look()
        assert world.condition("Stalled") == ("True", "SentElsewhere")
        assert "name a queue of this cluster" in world.message("Stalled")

    def test_may_be_managed_by_its_own_controller(self) -> None:
        world = queued_world("TrainJob")
        world.make_data()
        world.training_job["spec"]["managedBy"] = "trainer.kubeflow.org/trainjob-controller"
        world.look()
        assert world.condition("Stalled")[0] == "False"


class TestTimeForPods:
    """`podsReadyTimeoutSeconds` begins when a job is let in, not when it was made."""

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    @pytest.mark.parametrize("told", [True, False])
    def test_does_not_run_out_in_the_queue(self, launcher: str, told: bool) -> None:
        """Its controller says a moment after Kueue that the job is not suspended any more, or that it ever was."""
        world = queued_world(launcher, runPolicy={"podsReadyTimeoutSeconds": 60})
        world.make_data()
        job = world.training_job
        hold(world, job, True)
        if not told:
            del job["status"]
        world.look()
        world.wait(500)
        world.look()
        (job["spec"]["runPolicy"] if launcher == "PyTorchJob" else job["spec"])["suspend"] = False
        world.look()
        assert world.status.get("restarts", 0) == 0
        if told:
            world.wait(70)
            world.look()
            assert world.status.get("restarts", 0) == 0, "its controller has not begun with it"
        hold(world, job, False)
        world.wait(59)
        world.look()
        assert world.status.get("restarts", 0) == 0
        world.wait(1)
        world.look()
        assert world.status["restarts"] == 1


class TestAQueueWhoseNodesAreElsewhere:
    SAYS = "couldn't assign flavors to pod set main: flavor b doesn't match node affinity"

    def held(self, launcher: str, words: str, **training: Any) -> World:
        world = World(
            {
                "training": {"nodes": 2, "launcher": launcher, **training},
                "runPolicy": {"podsReadyTimeoutSeconds": 60},
            },
            labels=dict(QUEUE),
        )
        world.make_data()
        hold(world, world.training_job, True)
        world.workload_says = {world.training_job["metadata"]["uid"]: words}
        world.look()
        world.wait(59)
        world.settle(2)
        assert world.status["attempt"] == 1
        world.wait(1)
        world.settle(2)
        return world

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_has_the_run_try_its_next_place(self, launcher: str) -> None:
        world = self.held(launcher, self.SAYS, placement={"zones": ["a", "b"]})
        assert (world.status["attempt"], world.status["zone"]) == (2, "b")
        assert (world.status["restarts"], world.status.get("countedRestarts", 0)) == (1, 0)
        said = next(event for event in world.events if "zone a" in event.message)
        assert self.SAYS in said.message
        assert "next is zone b" in said.message

    @pytest.mark.parametrize(
        ("words", "training"),
        [
            pytest.param(SAYS, {}, id="it has no other place"),
            pytest.param(SAYS, {"placement": {"zones": ["a"]}}, id="it names one"),
            pytest.param(
                "insufficient unused quota for nvidia.com/gpu in flavor a, 1 more needed",
                {"placement": {"zones": ["a", "b"]}},
                id="it will have its turn there",
            ),
            pytest.param("", {"placement": {"zones": ["a", "b"]}}, id="nothing was said"),
        ],
    )
    def test_keeps_its_turn_where_another_place_is_no_better(
        self, words: str, training: dict[str, Any]
    ) -> None:
        world = self.held("Job", words, **training)
        world.wait(100_000)
        world.settle(2)
        assert world.status["attempt"] == 1
        assert world.condition("CapacityAvailable") == ("Unknown", "Queued")


class TestARunThatIsPreempted:
    """A queue takes the machines of a run that trains, and gives them back when it can."""

    def trains(self, launcher: str = "Job") -> World:
        world = queued_world(launcher)
        world.make_data()
        world.pods_up()
        world.look()
        assert world.condition("CapacityAvailable") == ("True", "PodsReady")
        world.wait(60)
        return world

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    @pytest.mark.parametrize("code", [75, None])
    def test_counts_no_restart_whatever_its_trainer_says_of_it(self, launcher: str, code: int | None) -> None:
        """It saves its state and says that it was told to stop; the operator may see that when the pods are gone."""
        world = self.trains(launcher)
        if code is not None:
            world.hand_error("train", code, "asked to stop by SIGTERM after step 7")
        hold(world, world.training_job, True)
        world.settle(3)
        assert world.status.get("countedRestarts", 0) == 0
        assert world.status["attempt"] == (1 if code is None else 2), "its place for results holds an error"

    @pytest.mark.parametrize("launcher", LAUNCHERS)
    def test_counts_none_either_where_it_is_let_in_before_anybody_looked(self, launcher: str) -> None:
        world = self.trains(launcher)
        world.hand_error("train", 75, "asked to stop by SIGTERM after step 7")
        hold(world, world.training_job, True)
        world.wait(5)
        hold(world, world.training_job, False)
        world.settle(3)
        assert (world.status["restarts"], world.status.get("countedRestarts", 0)) == (1, 0)

    @pytest.mark.parametrize(("code", "ended"), [(2, True), (1, False)])
    def test_still_fails_of_its_own_fault(self, code: int, ended: bool) -> None:
        world = self.trains()
        world.hand_error("train", code)
        hold(world, world.training_job, True)
        world.settle(3)
        assert (world.condition("Finished")[0] == "True") is ended
        assert world.status.get("countedRestarts", 0) == (0 if ended else 1)


class TestDataThatIsPreempted:
    """Its pod ends with 75, and may stay for a while beside a sidecar."""

    def stopped(self) -> World:
        world = queued_world()
        world.look()
        world.pods_up()
        world.look()
        (pod,) = world.of_kind("Pod")
        ended = {"exitCode": 75, "finishedAt": timestamp(world.now), "reason": "Error"}
        pod["metadata"]["deletionTimestamp"] = timestamp(world.now)
        pod["status"]["containerStatuses"] = [{"name": "pipeline", "state": {"terminated": ended}}]
        world.the("Job")["spec"]["suspend"] = True
        return world

    def test_waits_for_its_turn(self) -> None:
        world = self.stopped()
        world.wait(25)
        world.settle(3)
        assert world.status.get("restarts", 0) == 0
        assert world.condition("Reconciling") == ("True", "Queued")

    def test_goes_on_beside_what_is_left_of_its_first_pod(self) -> None:
        world = self.stopped()
        world.the("Job")["spec"]["suspend"] = False
        world.wait(25)
        world.settle(3)
        assert world.status.get("restarts", 0) == 0


class TestPodOfKubeflows:
    """Kueue holds pods that others make by a scheduling gate: there is no job to suspend."""

    def held(self, labels: dict[str, str]) -> World:
        world = World(
            {"runPolicy": {"activeDeadlineSeconds": 3600}},
            Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline"),
            labels=dict(labels),
        )
        world.settle(2)
        put_pipeline_pod(world, "documents", {**labels})
        gate(world, "documents")
        world.look()
        return world

    def test_takes_the_queue_of_the_run(self) -> None:
        world = World(
            settings=Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline"),
            labels=dict(QUEUE),
        )
        (request,) = world.look().submit
        told = [pods.platform["podMetadata"]["labels"] for pods in request.pods]  # type: ignore[index,call-overload]
        assert all(QUEUE.items() <= labels.items() for labels in told)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (QUEUE, "Queue gpus holds pod documents."),
            ({}, "A scheduling gate, which no queue of the run set, holds pod documents."),
        ],
    )
    def test_that_is_held_is_told(self, labels: dict[str, str], words: str) -> None:
        world = self.held(labels)
        assert world.condition("Reconciling") == ("True", "Queued")
        assert world.message("Reconciling") == words
        assert world.condition("Stalled")[0] == "False"

    def test_that_is_held_costs_no_time(self) -> None:
        world = self.held(QUEUE)
        world.wait(90_000)
        world.look()
        assert world.condition("Finished")[0] == "False"
        world.pod("documents")["status"] = {"phase": "Running"}
        world.look()
        assert world.status["queuedSeconds"] == 90_000
        world.wait(3601)
        world.look()
        assert world.condition("Succeeded") == ("False", "DeadlineExceeded")

    def test_that_is_held_beside_one_that_works_is_told_and_counts(self) -> None:
        """Spark's driver works while a queue holds its executors."""
        world = self.held(QUEUE)
        put_pipeline_pod(world, "driver", QUEUE)
        world.pod("driver")["status"] = {"phase": "Running"}
        world.look()
        assert world.condition("Reconciling") == ("True", "Queued")
        assert "queuedSince" not in world.status


def put_pipeline_pod(world: World, name: str, labels: dict[str, str]) -> None:
    results = world.children[("ConfigMap", "first-light-data-1")]["metadata"]["labels"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ml", "uid": f"pod-{name}"},
    }
    metadata = {"labels": {**results, **labels, names.LABEL_ROLE: names.ROLE_PIPELINE}}
    created = {"creationTimestamp": timestamp(world.now)}
    world.children[("Pod", name)] = {**pod, "metadata": {**pod["metadata"], **metadata, **created}}  # type: ignore[dict-item]


def gate(world: World, name: str) -> None:
    """Do what the scheduler does to a pod with gates."""
    told = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    world.pod(name)["status"] = {"phase": "Pending", "conditions": [told]}
