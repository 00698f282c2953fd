"""More of what platform teams reported of other operators: refusals, sizes, webhooks, autoscalers, schedulers' words.

Texts are those of the reports (kubermatic, pv-mounter, kubeflow, awx, flyte, nifikop, kthena, volcano), names changed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_operator.core.deployment.decide import decide as decide_deployment
from daybreak_operator.core.pod_shape.remedies import remedy_of
from daybreak_operator.core.times import instant, seconds_of
from daybreak_operator.core.training.decide import decide as decide_run
from daybreak_operator.shell.kube.answers import RefusedError, error_of
from daybreak_operator.shell.reconcile.gather import unschedulable_s
from tests.operator.deployment.world import M1, serving_world
from tests.operator.test_public_reports import training
from tests.operator.training.world import World

SCOPES = "insufficient quota to match these scopes: [{PriorityClass In [high]}]"
POLICY = (
    "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'labels.example' with binding 'all' denied request: the label "
    "team is required"
)
SCC = (
    'pods "x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": Forbidden: '
    "not usable by user or serviceaccount, provider restricted-v2: .spec.securityContext.fsGroup: Invalid value: "
    "[]int64{10001}: 10001 is not an allowed group]"
)
RATIO = 'pods "x" is forbidden: cpu max limit to request ratio per Container is 10, but provided ratio is 100.000000'
UNKNOWN = 'pods "x" is forbidden: status unknown for quota: compute, resources: limits.cpu'
TOLERATIONS = (
    'pods "x" is forbidden: pod tolerations (possibly merged with namespace default tolerations) conflict with its '
    "namespace whitelist"
)
SELECTOR = 'pods "x" is forbidden: pod node label selector conflicts with its namespace node label selector'
LABELS = (
    'admission webhook "vpol.validate.kyverno.svc-fail" denied the request: Policy require-labels failed: The labels '
    "business-owner and priority are required."
)
IMAGES = 'pods "x" is forbidden: image policy webhook backend denied one or more images: not signed'
REFUSALS = [
    pytest.param(
        SCOPES, "priority class", id="kubermatic#7584, cilium#13852, admiralty#124: a quota for a class"
    ),
    pytest.param(POLICY, "labels", id="kueue#2507: a policy in CEL, that says it without a webhook"),
    pytest.param(SCC, "fixedUserIds", id="kubeflow#6721: OpenShift"),
    pytest.param(RATIO, "LimitRange", id="pv-mounter#123: limit by request"),
    pytest.param(UNKNOWN, "by itself", id="a quota that was just made"),
    pytest.param(TOLERATIONS, "namespace", id="tolerations that the namespace forbids"),
    pytest.param(SELECTOR, "namespace", id="a node selector of the namespace"),
    pytest.param(LABELS, "labels", id="awx-operator#2130: labels that a policy wants"),
    pytest.param(IMAGES, "image", id="an image policy"),
]


@pytest.mark.parametrize(("said", "remedy"), REFUSALS)
@pytest.mark.parametrize("kind", ["train", "engine"])
def test_pods_that_are_refused_are_told_with_what_helps(kind: str, said: str, remedy: str) -> None:
    world: Any
    if kind == "train":
        world = training(runPolicy={"podsReadyTimeoutSeconds": 600})
        uid = world.training_job["metadata"]["uid"]
        world.warnings = ({"involvedObject": {"uid": uid}, "message": f"Error creating: {said}"},)
        world.wait(60)
        world.look()
        world.wait(1200)
        world.look()
        assert world.status["restarts"] == 0, "another place would refuse them too"
    else:
        world = serving_world()
        for child in world.children.values():
            if child["kind"] == "Deployment":
                failure = {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": said,
                }
                child.setdefault("status", {})["conditions"] = [failure]
        world.status = dict(world.plan().status)
    assert world.condition("Stalled")[0] == "True"
    assert said[:60] in world.message("Stalled")
    assert remedy in remedy_of(said)


@pytest.mark.parametrize(
    ("code", "message", "refused"),
    [
        pytest.param(
            500, "etcdserver: request is too large", True, id="flyte#4349, kubernetes#74600: no outage"
        ),
        pytest.param(
            500,
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2200000 vs. 2097152)",
            True,
            id="argo-workflows#2936: the same of etcd's client",
        ),
        pytest.param(413, "Request entity too large: limit is 3145728", True, id="argo-workflows#913, #3738"),
        pytest.param(
            500,
            'conversion webhook for kubeflow.org/v1, Kind=PyTorchJob failed: Post "https://c.k.svc:443/c": service '
            '"c" not found',
            True,
            id="kubernetes#71925, osm#4466: who converts is gone",
        ),
        pytest.param(
            500, "etcdserver: mvcc: database space exceeded", False, id="argo-workflows#12802: etcd is full"
        ),
        pytest.param(500, "etcdserver: leader changed", False, id="etcd has another leader"),
    ],
)
def test_what_would_be_refused_again_is_told_from_an_outage(code: int, message: str, refused: bool) -> None:
    """Or it is tried every few seconds for ever, with a status that goes on."""
    error = error_of(code, json.dumps({"message": message}).encode(), {})
    assert isinstance(error, RefusedError if refused else TransientError)


# Webhooks that change what we apply ------------------------------------------------------------------------------
@pytest.mark.parametrize("lost", [False, True], ids=["its status kept", "its status lost"])
@pytest.mark.parametrize("change", ["mirror", "sidecar"])
def test_an_image_that_a_webhook_rewrites_is_no_new_revision(change: str, lost: bool) -> None:
    """nifikop#541, aerospike#402: pods ended and made again for ever, since their image has another registry."""
    world = serving_world()
    for child in world.children.values():
        if child["kind"] != "Deployment":
            continue
        containers = child["spec"]["template"]["spec"]["containers"]
        if change == "mirror":
            containers[0]["image"] = f"mirror.local/hub/{containers[0]['image']}"
        else:
            containers.insert(0, {"name": "linkerd-proxy", "image": "proxy:1"})
    if lost:
        world.status = {}
    plan = world.plan()
    assert [one for one in plan.delete if one.kind == "Deployment"] == []
    assert plan.status.get("candidate") is None or plan.status["candidate"]["digest"] == M1
    engines = {one["metadata"]["name"] for one in plan.apply if one["kind"] == "Deployment"}
    assert engines <= {name for kind, name in world.children if kind == "Deployment"}


# Autoscalers of pods ---------------------------------------------------------------------------------------------
def test_an_autoscaler_finds_whom_to_scale() -> None:
    """kthena#839, LLMKube#1881: a scale subresource without a selector: "selector is required"."""
    world = serving_world()
    selector = dict(part.split("=") for part in world.status["selector"].split(","))
    pods = [pod for pod in world.pods() if selector.items() <= pod["metadata"]["labels"].items()]
    assert len(pods) == world.status["replicas"] == 2


# What schedulers write -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"lastTransitionTime": None}, id="null"),
        pytest.param({}, id="absent"),
        pytest.param({"lastTransitionTime": "soon"}, id="not a time"),
    ],
)
def test_a_scheduler_that_says_no_time_is_heard(told: dict[str, Any]) -> None:
    """volcano#1094: schedulers write conditions of their own; a deployment is not to stand still for one."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", **told}
    assert unschedulable_s({"status": {"conditions": [refused]}}, now) == 0


@pytest.mark.parametrize(
    "text", ["2016-12-31T23:59:60Z", "2026-03-29T02:30:00+01:00", "0001-01-01T00:00:00Z", "x"]
)
def test_odd_times_are_read_or_left(text: str) -> None:
    """A leap second, an hour that a time zone does not have, Go's zero, and none at all."""
    instant(text)
    seconds_of(text)


# Jobs that others take away --------------------------------------------------------------------------------------
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_data_job_with_a_ttl_of_nothing_has_still_done_its_work(when: str) -> None:
    """trainer#3737, kyverno's clean-up policies: the Job is gone in the second in which it ends."""
    world = World()
    world.settle(2)
    world.pods_up()
    if when == "before":
        world.remove(("Job", "first-light-data-1"))
    for step in ("documents", "xray", "tokenizer", "shards"):
        world.hand_over(step)
    world.remove(("Job", "first-light-data-1"))
    world.settle(2)
    assert world.states().startswith("SSSS")
    assert world.status["restarts"] == 0
    assert not world.of_kind("Job")


def test_a_training_job_with_a_ttl_of_nothing_has_still_done_its_work() -> None:
    world = training()
    world.pods_up()
    world.look()
    world.hand_over("train")
    world.remove(("Job", "first-light-train-1"))
    world.settle(2)
    assert world.status["restarts"] == 0
    assert world.states().startswith("SSSSS")


# Deletion ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", ["foregroundDeletion", "orphan", "backup.example.dev/keep"])
@pytest.mark.parametrize("kind", ["run", "deployment"])
def test_what_is_being_deleted_gets_no_child_anew(kind: str, by: str) -> None:
    """seldon-core#2781, dragonfly#408, clickhouse#309, infinispan#1428: a prune never ends, children are made anew."""
    going = {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": [by]}
    world: Any
    if kind == "run":
        world = training()
        world.run["metadata"] |= going
        observed = world.observe()
        plan = decide_run(observed, world.now)
    else:
        world = serving_world()
        observed = world.observed()
        body = {**observed.deployment, "metadata": {**observed.deployment["metadata"], **going}}
        plan = decide_deployment(replace(observed, deployment=body), world.now)
    assert (list(plan.apply), list(plan.delete), plan.finalizer) == ([], [], False)


# A gateway that does not come up ---------------------------------------------------------------------------------
def test_a_gateway_that_ends_again_and_again_says_why() -> None:
    """wildfly-operator#109, submariner#777: "no gateway pod is ready", and not a word of what it said."""
    world = serving_world()
    for child in world.children.values():
        if child["kind"] == "Deployment" and child["metadata"]["labels"]["daybreak.dev/role"] == "gateway":
            child["status"] = {"readyReplicas": 0}
            labels = child["metadata"]["labels"]
            uid = child["metadata"]["uid"]
    said = {"exitCode": 2, "message": "--jwt: issuer https://id.example answers 404", "reason": "Error"}
    waits = {"waiting": {"reason": "CrashLoopBackOff"}}
    told = {
        "name": "gateway",
        "restartCount": 6,
        "ready": False,
        "state": waits,
        "lastState": {"terminated": said},
    }
    metadata = {"name": "completions-gateway-x", "namespace": "team", "uid": "g-1", "labels": labels}
    pod = {"kind": "Pod", "metadata": metadata, "status": {"phase": "Running", "containerStatuses": [told]}}
    world.children["Pod", "completions-gateway-x"] = {**pod, "owner": uid}
    conditions = {one["type"]: one for one in world.plan().status["conditions"]}
    assert conditions["Ready"]["reason"] == "GatewayNotReady"
    assert "issuer https://id.example answers 404" in conditions["Ready"]["message"]
    assert conditions["Stalled"]["status"] == "True"
