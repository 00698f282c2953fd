"""What platform teams reported of other operators: each case as their clusters said it, and what ours says of it.

Texts of pods and events are those of the reports (kubernetes, kserve, trainer, spark-operator, minio, piraeus,
argo-cd), with names changed. A case is good when the status says what is wrong and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import ObservedWarning
from daybreak_operator.shell.kube import answers
from tests.operator.deployment.world import M1, M2, Traffic, model, serving_world
from tests.operator.deployment.world import World as Serving
from tests.operator.training.world import World

Said = Mapping[str, Any]
EVICTED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 0.",
    "containerStatuses": [
        {
            "name": "pytorch",
            "state": {
                "terminated": {
                    "exitCode": 137,
                    "reason": "ContainerStatusUnknown",
                    "message": "The container could not be located when the pod was terminated",
                }
            },
        }
    ],
}
OVER_ITS_LIMIT = {**EVICTED, "message": 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '}
KILLED = {"exitCode": 137, "reason": "OOMKilled", "message": "train: step 400, loss 2.31"}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
NO_DEVICE = {
    "phase": "Failed",
    "reason": "UnexpectedAdmissionError",
    "message": "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
    "Requested: 1, Available: 0, which is unexpected",
}


def training(**spec: Any) -> World:
    world = World({"training": {"nodes": 1, "launcher": "Job"}, **spec})
    world.make_data()
    return world


def told_of_training(status: Said) -> World:
    world = training()
    world.pods_up()
    world.look()
    world.pod(world.rank(0))["status"] = dict(status)
    world.look()
    return world


@pytest.mark.parametrize(
    ("status", "counted", "words"),
    [
        pytest.param(
            {**EVICTED, "conditions": [DISRUPTED]},
            0,
            ["Evicted: The node was low on resource: ephemeral-storage", "ask for more ephemeral-storage"],
            id="kubernetes#122932: the node's disk is full",
        ),
        pytest.param(
            OVER_ITS_LIMIT,
            1,
            ['EmptyDir volume "scratch" exceeds the limit', "sizeLimit"],
            id="substra#305: it wrote more than it may, and would again",
        ),
        pytest.param(
            {"phase": "Failed", "containerStatuses": [{"name": "pytorch", "state": {"terminated": KILLED}}]},
            1,
            ["code 137: OOMKilled", "raise its memory in podTemplate", "last words: train: step 400"],
            id="kserve#2260: killed in the middle of good news",
        ),
        pytest.param(
            NO_DEVICE,
            1,
            ["UnexpectedAdmissionError", "devices unavailable"],
            id="kubernetes: no device is left",
        ),
    ],
)
def test_a_training_pod_that_the_node_ended(status: Said, counted: int, words: list[str]) -> None:
    world = told_of_training(status)
    assert world.status["countedRestarts"] == counted
    for part in words:
        assert part in world.message("Reconciling")


ACCOUNT = (
    'Error creating: pods "first-light-train-1-0-" is forbidden: error looking up service account '
    'ml/daybreak-pipeline: serviceaccount "daybreak-pipeline" not found'
)
PRIORITY = (
    'Error creating: pods "first-light-train-1-0-" is forbidden: no PriorityClass with name batch was found'
)
RUNTIME = 'Error creating: pods "x" is forbidden: pod rejected: RuntimeClass "nvidia" not found'
WEBHOOK = (
    'Error creating: Internal error occurred: failed calling webhook "mutate.example": failed to call webhook: Post '
    '"https://policy.policy.svc:443/mutate?timeout=10s": no endpoints available for service "policy"'
)
MUST_SPECIFY = (
    'Error creating: pods "x" is forbidden: failed quota: compute: must specify limits.cpu for: pytorch'
)
LIMIT = 'Error creating: pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 8Gi'


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        pytest.param(ACCOUNT, "create that service account in this namespace", id="spark-operator#454"),
        pytest.param(PRIORITY, "create that class, or correct priorityClassName", id="no-priority-class"),
        pytest.param(RUNTIME, "create that class, or correct runtimeClassName", id="no-runtime-class"),
        pytest.param(WEBHOOK, "bring that webhook's service back", id="jobset's FAQ: a webhook that is down"),
        pytest.param(MUST_SPECIFY, "name it in podTemplate (resources)", id="a quota on limits"),
        pytest.param(LIMIT, "change the LimitRange", id="a LimitRange"),
    ],
)
def test_training_pods_that_are_not_made(said: str, remedy: str) -> None:
    """And no other place is tried for hours: each would refuse them."""
    world = training(runPolicy={"podsReadyTimeoutSeconds": 600})
    world.warnings = ({"involvedObject": {"uid": world.training_job["metadata"]["uid"]}, "message": said},)
    world.wait(60)
    world.look()
    assert world.condition("Stalled") == ("True", "PodsRefused")
    assert said.removeprefix("Error creating: ")[:60] in world.message("Stalled")
    assert remedy in world.message("Stalled")


def test_a_child_that_a_dead_webhook_keeps_away_is_a_refusal_and_no_outage() -> None:
    status = {"reason": "InternalError", "message": WEBHOOK.removeprefix("Error creating: ")}
    error = answers.error_of(500, json.dumps(status).encode(), {})
    assert isinstance(error, answers.RefusedError)
    assert 'webhook "mutate.example"' in str(error)


MOUNT = 'MountVolume.SetUp failed for volume "cert" : secret "webhook-server-cert" not found'


@pytest.mark.parametrize("stage", ["data", "train"])
def test_a_volume_that_does_not_come_is_told_when_it_is_no_moment_any_more(stage: str) -> None:
    """minio#618, piraeus#761: the pod's own status says ContainerCreating for ever."""
    world = World(
        {"training": {"nodes": 1, "launcher": "Job"}, "runPolicy": {"podsReadyTimeoutSeconds": 600}}
    )
    if stage == "train":
        world.make_data()
    else:
        world.look()
    world.make_pods()
    pods = [pod for pod in world.of_kind("Pod") if pod["status"]["phase"] == "Pending"]
    pods[-1]["spec"]["nodeName"] = "node-a"
    world.warnings = ({"involvedObject": {"uid": pods[-1]["metadata"]["uid"]}, "message": MOUNT},)
    world.wait(30)
    world.look()
    assert world.condition("Stalled") == ("False", "NotStalled")
    world.wait(5000)
    world.look()
    assert world.condition("Stalled") == ("True", "VolumeDoesNotCome")
    assert MOUNT in world.message("Stalled")
    assert "make what it names in this namespace" in world.message("Stalled")
    assert world.status["restarts"] == 0, "another place would not have it either"
    world.pods_up()
    world.look()
    assert world.condition("Stalled") == ("False", "NotStalled")


UNBOUND = '0/3 nodes are available: persistentvolumeclaim "scratch" not found.'
TAINTED = "0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: ml}."


@pytest.mark.parametrize("words", [UNBOUND, TAINTED])
def test_a_data_pod_that_no_node_takes_is_told(words: str) -> None:
    """trainer#1282: a pod that waits for a node for ever, while the job says that it runs."""
    world = World()
    world.look()
    world.make_pods()
    (pod,) = world.of_kind("Pod")
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    pod["status"]["conditions"] = [told]
    world.look()
    assert world.condition("Reconciling") == ("True", "WaitsForNode")
    assert words in world.message("Reconciling")
    assert world.condition("Stalled") == ("False", "NotStalled")
    world.wait(600)
    world.look()
    assert world.condition("Stalled") == ("True", "NoNodeTakesPod")
    assert "podTemplate" in world.message("Stalled")


def with_pod(change: Callable[[dict[str, Any]], None]) -> Serving:
    """A deployment that serves, and whose second replica was lost and comes up no more."""
    world = serving_world()
    pod = world.pods(M1)[-1]
    pod["status"] = {"phase": "Pending"}
    change(pod)
    world.look()
    return world


def test_an_engine_that_is_killed_for_memory_says_so() -> None:
    """kserve#2260, kserve#868: a log's last line, and not a word of memory."""

    def killed(pod: dict[str, Any]) -> None:
        before = {"terminated": {**KILLED, "message": "I0620 TRITONBACKEND_ModelInitialize"}}
        pod["status"]["containerStatuses"] = [{"name": "engine", "restartCount": 5, "lastState": before}]

    world = serving_world()
    for pod in world.pods(M1):
        pod["status"] = {"phase": "Running"}
        killed(pod)
    world.look()
    assert world.condition("Ready") == ("False", "NoReplicaReady")
    assert "OOMKilled" in world.message("Ready")
    assert "raise its memory in podTemplate" in world.message("Ready")


def test_a_model_that_storage_does_not_give_is_told() -> None:
    """kserve#2037, kserve#1859: Init:CrashLoopBackOff 94 times under Ready=True."""

    def fails(pod: dict[str, Any]) -> None:
        before = {"terminated": {"exitCode": 75, "message": "fetch: s3://m: Access Denied"}}
        waits = {"waiting": {"reason": "CrashLoopBackOff"}}
        told = {"name": "fetch", "restartCount": 5, "state": waits, "lastState": before}
        pod["status"]["initContainerStatuses"] = [told]

    world = with_pod(fails)
    assert world.condition("Stalled") == ("True", "ModelNotFetched")
    assert "could not be fetched 5 times: fetch: s3://m: Access Denied" in world.message("Stalled")
    assert world.condition("Ready") == ("True", "Serving"), "the other replica answers"


def test_an_engines_volume_that_does_not_come_is_told() -> None:
    world = with_pod(lambda pod: None)
    pod = world.pods(M1)[-1]
    world.pods_wait = (ObservedWarning(pod["metadata"]["uid"], MOUNT),)
    world.look()
    world.now = world.now.replace(hour=(world.now.hour + 1) % 24)
    world.look()
    assert world.condition("Stalled") == ("True", "VolumeDoesNotCome")


def without_jobs(world: World) -> None:
    """A TTL or a person takes away what has ended."""
    for key in [key for key in world.children if key[0] in ("Job", "PyTorchJob", "Pod")]:
        world.remove(key)
    world.settle(3)


def test_an_ended_job_that_is_taken_away_is_not_made_again() -> None:
    """trainer#2981, trainer#3737: a JobSet that its TTL deletes is made anew each minute, long after the training."""
    world = World()
    world.make_data()
    world.train()
    world.settle(2)
    for key in [key for key in world.children if key == ("PyTorchJob", "first-light-train-1")]:
        world.remove(key)
    world.settle(3)
    assert not world.of_kind("PyTorchJob")
    assert world.status["restarts"] == 0
    world.make_model()
    world.settle(2)
    without_jobs(world)
    world.wait(90_000)
    world.settle(3)
    assert not [key for key in world.children if key[0] in ("Job", "PyTorchJob")]
    assert world.condition("Succeeded") == ("True", "Completed")


M3 = "3" * 64


def rolled_out(traffic: Traffic, seconds: int) -> Serving:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(staff=True, everyone=True)
    world.traffic[M2] = traffic
    world.run(seconds)
    return world


@pytest.mark.slow
def test_a_deployment_that_was_rolled_back_scales_and_takes_the_next_model() -> None:
    """argo-rollouts#2109: Degraded, so neither scaled nor restarted; flagger: a failed canary that nothing wakes."""
    world = rolled_out(Traffic(requests=40, shown=40, accepted=0), 3600)
    assert world.condition("RolloutHealthy") == ("False", "RolledBack")
    world.change(replicas=5)
    world.run(300)
    assert world.status["readyReplicas"] == 5
    world.traffic[M3] = Traffic(requests=40, shown=40, accepted=20)
    world.change(model=model(M3))
    world.run(7200)
    assert world.stable == M3


@pytest.mark.slow
def test_a_rollout_that_nobody_asks_any_more_waits_and_says_for_what() -> None:
    """flagger#1011: advanced without a metric; flagger#1035, #1633: halted or failed for want of requests."""
    world = serving_world()
    world.change(model=model(M2))
    world.switch(staff=True, everyone=True)
    world.traffic[M2] = Traffic(requests=20, shown=20, accepted=6)
    world.run_until(M2, weight=10)
    world.traffic = {digest: Traffic() for digest in world.traffic}
    world.run(7200)
    assert (world.stage, world.weight, world.stable) == ("Ramp", 10, M1)
    assert world.condition("RolloutHealthy") == ("True", "Progressing")
    assert "rollout.guardrails.minRequests" in world.message("RolloutHealthy")


TOOLS = {
    "app.kubernetes.io/instance": "team-app",
    "argocd.argoproj.io/instance": "team-app",
    "kustomize.toolkit.fluxcd.io/name": "apps",
    "app.kubernetes.io/managed-by": "Helm",
}
MARKS = {
    "argocd.argoproj.io/tracking-id": "team-app:daybreak.dev/TrainingRun:ml/first-light",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
    "meta.helm.sh/release-name": "team",
}


def test_what_gitops_tools_put_on_an_object_reaches_none_of_its_children() -> None:
    """argo-cd#8683: tracking labels that an operator copies have the children pruned."""
    run = World(labels=dict(TOOLS), annotations=dict(MARKS))
    run.make_data()
    run.make_pods()
    serving = serving_world(labels=dict(TOOLS), annotations=dict(MARKS))
    for child in [*run.children.values(), *serving.children.values()]:
        text = str(child)
        assert not [mark for mark in (*TOOLS, *MARKS) if mark in text], child["metadata"]["name"]
        assert child["kind"] == "Pod" or names.LABEL_OWNER_UID in child["metadata"]["labels"]
