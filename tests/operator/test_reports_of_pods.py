"""More of what platform teams reported of other operators: what pods, kubelets, meshes and schedulers say.

Texts are those of the reports (flyte, linkerd, istio, gpu-operator, volcano, vllm, kubernetes, prow), names changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from daybreak_operator.core.observed.objects import ObservedWarning
from daybreak_operator.core.times import timestamp
from tests.operator.deployment.world import M1, a_spec, serving_world
from tests.operator.deployment.world import World as Serving
from tests.operator.test_public_reports import told_of_training, training, with_pod
from tests.operator.training.world import World

MESH = "istio-proxy"


def ended(world: World, code: int, name: str = MESH, ago_s: int = 0, **more: str) -> dict[str, Any]:
    """A container's status, as the kubelet writes it."""
    finished = timestamp(world.now - timedelta(seconds=ago_s))
    told = {"exitCode": code, "finishedAt": finished, "reason": "Error" if code else "Completed", **more}
    return {"name": name, "state": {"terminated": told}}


def up(launcher: str = "Job") -> World:
    world = World({"training": {"nodes": 1, "launcher": launcher}})
    world.make_data()
    world.pods_up()
    world.look()
    return world


# Containers that others put into our pods -------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["initContainerStatuses", "containerStatuses"])
@pytest.mark.parametrize("launcher", ["Job", "PyTorchJob", "TrainJob"])
def test_how_a_sidecar_ends_says_nothing_of_a_training_that_ended_well(where: str, launcher: str) -> None:
    """linkerd2#13349, locust-k8s-operator#338, tekton#3906: killed with 137 when the work is done, as sidecars are."""
    world = up(launcher)
    native = where == "initContainerStatuses"  # the only one that does not make the pod a failed one
    status = {"phase": "Succeeded" if native else "Failed", "containerStatuses": [ended(world, 0, "pytorch")]}
    world.pod(world.rank(0))["status"] = status
    status.setdefault(where, []).append(ended(world, 137))
    world.look()
    world.training_ends(well=native)
    world.look()
    assert world.status["restarts"] == 0, world.message("Reconciling")
    world.hand_over("train")
    world.settle(2)
    assert world.status["restarts"] == 0
    assert world.states().startswith("SSSSS")


@pytest.mark.parametrize("where", ["initContainerStatuses", "containerStatuses"])
def test_a_sidecar_that_was_ended_first_does_not_stand_for_the_work(where: str) -> None:
    """oz-agent-worker#118: the first code was the mesh's, and a user's mistake was tried again and again."""
    world = World()
    world.settle(2)
    world.pods_up()
    (pod,) = world.of_kind("Pod")
    said = ended(world, 2, "pipeline", message="spec.data: no such repository")
    pod["status"] = {"phase": "Failed", "containerStatuses": [said]}
    pod["status"].setdefault(where, []).append(ended(world, 137, ago_s=5))
    world.job_ends("Job", "Failed")
    world.wait(60)
    world.look()
    assert world.condition("Succeeded") == ("False", "StepFailed")
    assert "no such repository" in world.message("Succeeded")


def test_a_container_of_a_mesh_that_keeps_the_work_from_starting_is_named() -> None:
    """istio#5879: the mesh's first container leaves with 1; "exited with code 1" would be looked for in our log."""
    world = up()
    failed = ended(world, 1, "istio-init", message="Iptables: Chain already exists.")
    world.pod(world.rank(0))["status"] = {"phase": "Failed", "initContainerStatuses": [failed]}
    world.look()
    assert "container istio-init" in world.message("Reconciling")
    assert "Chain already exists" in world.message("Reconciling")


# What nodes do to pods --------------------------------------------------------------------------------------------
SHUTDOWN = "Pod was terminated in response to imminent node shutdown."
TAKEN_BY_NODES = [
    pytest.param("Terminated", SHUTDOWN, id="prow#117, flyteplugins#354: a spot node went"),
    pytest.param("Shutdown", "Node is shutting, evicting pods", id="kubernetes#102840: in older words"),
    pytest.param(
        "NodeShutdown", "Pod was rejected as node is shutting down.", id="kubernetes#102840: come too late"
    ),
    pytest.param(
        "NodeAffinity",
        "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        id="flyte#6461: before the node had its labels",
    ),
    pytest.param(
        "OutOfcpu",
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 8000, used: 3020, capacity: 8000",
        id="kubernetes#98928: the scheduler was too early",
    ),
    pytest.param(
        "OutOfnvidia.com/gpu", "Pod was rejected: Node didn't have enough resource", id="the same of GPUs"
    ),
    pytest.param(
        "NodeLost", "Node gpu-1 which was running pod is unresponsive", id="trainer#999: the node is lost"
    ),
]


@pytest.mark.parametrize(("reason", "message"), TAKEN_BY_NODES)
@pytest.mark.parametrize("stage", ["data", "train"])
def test_a_pod_that_its_node_gave_up_costs_no_restart(stage: str, reason: str, message: str) -> None:
    """Without the condition DisruptionTarget: kubelets, older clusters and GKE say it by the reason alone."""
    status = {"phase": "Failed", "reason": reason, "message": message}
    if stage == "train":
        world = told_of_training(status)
    else:
        world = World()
        world.settle(2)
        world.make_pods()
        (pod,) = world.of_kind("Pod")
        pod["status"] = dict(status)
        world.job_ends("Job", "Failed")
        world.wait(60)
        world.look()
    assert (world.status["restarts"], world.status["countedRestarts"]) == (1, 0)
    assert message[:40] in world.message("Reconciling")


def test_pods_that_nodes_rejected_and_nobody_removed_do_not_count_as_replicas() -> None:
    """kubernetes#106419, fdb-operator#599: hundreds of Failed pods beside those that answer."""
    world = serving_world()
    old = world.pods(M1)[0]
    for number in range(20):
        name = f"rejected-{number}"
        metadata = {**old["metadata"], "name": name, "uid": name}
        status = {
            "phase": "Failed",
            "reason": "OutOfcpu",
            "message": "Pod was rejected",
            "containerStatuses": [{"name": "engine", "state": {"waiting": {"reason": "ContainerCreating"}}}],
        }
        world.children["Pod", name] = {**old, "metadata": metadata, "status": status, "owner": old["owner"]}
    plan = world.plan()
    conditions = {one["type"]: one["status"] for one in plan.status["conditions"]}
    assert conditions == {
        "Ready": "True", "RolloutHealthy": "True", "CapacityAvailable": "True",
        "Reconciling": "False", "Stalled": "False",
    }  # fmt: skip
    assert plan.status["readyReplicas"] == 2


# What kubelets wait for -------------------------------------------------------------------------------------------
WAITS = [
    pytest.param(
        "RunContainerError", 'exec: "daybreak": executable file not found in $PATH', id="another image"
    ),
    pytest.param("CreateContainerError", "context deadline exceeded", id="a runtime that hangs"),
    pytest.param("ImageInspectError", 'Failed to inspect image "x": rpc error', id="an image that is broken"),
    pytest.param("RegistryUnavailable", "image registry is not available", id="a registry that is down"),
    pytest.param("SignatureValidationFailed", "image signature validation failed", id="an image's signature"),
    pytest.param(
        "ImagePullBackOff", 'Back-off pulling image "x"', id="kuberay#1990: an image that is not there"
    ),
]


@pytest.mark.parametrize(("reason", "message"), WAITS)
@pytest.mark.parametrize("kind", ["data", "train", "engine"])
def test_a_container_that_its_kubelet_cannot_start_is_told(kind: str, reason: str, message: str) -> None:
    """kubernetes#66756, nodewright#306: the pod is Pending for days, and the job is "running"."""
    waits = {"waiting": {"reason": reason, "message": message}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "image": "x", "state": waits}]}
    world: World | Serving
    if kind == "engine":
        world = with_pod(lambda pod: pod.update(status=status))
    elif kind == "train":
        world = told_of_training(status)
    else:
        world = World()
        world.settle(2)
        world.make_pods()
        (pod,) = world.of_kind("Pod")
        pod["status"] = status
        world.look()
    assert world.condition("Stalled")[0] == "True"
    assert message in world.message("Stalled")


SANDBOX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "
    '"nvidia" is configured'
)


@pytest.mark.parametrize("kind", ["train", "engine"])
def test_a_pod_without_a_sandbox_is_told(kind: str) -> None:
    """gpu-operator#413, #730, #759: ContainerCreating for ever, and only an event says why."""
    world: World | Serving
    if kind == "train":
        world = training()
        world.make_pods()
        pod = world.pod(world.rank(0))
        pod["spec"]["nodeName"] = "gpu-1"
        world.warnings = ({"involvedObject": {"uid": pod["metadata"]["uid"]}, "message": SANDBOX},)
        world.wait(200)
        world.look()
    else:
        world = with_pod(lambda pod: None)
        world.pods_wait = (ObservedWarning(world.pods(M1)[-1]["metadata"]["uid"], SANDBOX),)
        world.now += timedelta(hours=1)
        world.look()
    assert world.condition("Stalled")[0] == "True"
    assert SANDBOX in world.message("Stalled")
    assert "volume" not in world.message("Stalled")


# Schedulers -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["data", "train"])
def test_a_pod_that_no_scheduler_looks_at_is_told(kind: str) -> None:
    """volcano#1863, #3872: schedulerName names one that is not there: Pending, no condition, no event, for ever."""
    world = World(
        {"training": {"nodes": 1, "launcher": "Job"}, "runPolicy": {"podsReadyTimeoutSeconds": 3600}}
    )
    if kind == "train":
        world.make_data()
    else:
        world.settle(2)
    world.make_pods()
    for pod in world.of_kind("Pod"):
        pod["spec"]["schedulerName"] = "volcano"
    world.look()
    assert world.condition("Stalled") == ("False", "NotStalled")
    world.wait(700)
    world.look()
    assert world.condition("Stalled")[0] == "True"
    assert "volcano" in world.message("Stalled")


def test_an_engine_that_no_scheduler_looks_at_is_told() -> None:
    world = with_pod(lambda pod: None)
    pod = world.pods(M1)[-1]
    pod["spec"] = {"schedulerName": "volcano"}
    world.machines = dict.fromkeys(world.machines, 0)
    world.now += timedelta(seconds=700)
    world.look()
    assert world.condition("Stalled")[0] == "True"
    assert "volcano" in world.message("Stalled")


# What is in the pods ----------------------------------------------------------------------------------------------
def test_no_pod_is_told_of_the_services_of_its_namespace() -> None:
    """vllm#34199, LLMKube#358: a Service named vllm makes VLLM_PORT a URI, and the engine ends; others find no room."""
    run = training()
    serving = serving_world()
    for child in [*run.children.values(), *serving.children.values()]:
        found = child["spec"].get("template", {}).get("spec", {}) if "spec" in child else {}
        if "containers" in found:
            assert found.get("enableServiceLinks") is False, child["metadata"]["name"]


def test_a_gateway_lets_an_autoscaler_empty_its_node() -> None:
    """gatekeeper#2291, dash0-operator#303, kubermatic#12434: an emptyDir keeps a node for ever.

    An engine stays: what is moved loads its model for minutes; a podTemplate may say otherwise.
    """
    mark = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    serving = serving_world(spec=a_spec(podTemplate={"metadata": {"annotations": {mark: "true"}}}))
    for child in serving.children.values():
        if child["kind"] == "Deployment":
            assert child["spec"]["template"]["metadata"]["annotations"][mark] == "true", child["metadata"][
                "name"
            ]
