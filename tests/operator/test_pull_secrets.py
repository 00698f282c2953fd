"""Every pod that comes of our objects can fetch its image from a registry that asks who it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_data.spark.kubernetes import executors_from, pod_template
from daybreak_operator.settings import Settings
from daybreak_operator.shell.kubeflow import package as kubeflow_package
from tests.operator.deployment.world import World as Serving
from tests.operator.training.world import SPEC, World

REGISTRY = Settings(pull_secrets=("registry", "mirror"), shared_claim="shared")
NAMED = [{"name": "registry"}, {"name": "mirror"}]
EXECUTORS = {"data": {**SPEC["data"], "executors": {"count": 2}}}


def pods_of(thing: Any) -> Iterator[dict[str, Any]]:
    """Yield the spec of every pod template within an object, however deep."""
    if isinstance(thing, dict):
        if "containers" in thing:
            yield thing
        for value in thing.values():
            yield from pods_of(value)


def of_a_run(settings: Settings) -> dict[str, dict[str, Any]]:
    world = World(EXECUTORS, settings)
    world.make_data()
    world.train()
    world.settle(1)
    return {f"{kind} {name}": pod for (kind, name), child in world.children.items() for pod in pods_of(child)}


def of_a_deployment(settings: Settings) -> dict[str, dict[str, Any]]:
    children = Serving(settings=settings).plan().apply
    return {
        f"{child['kind']} {child['metadata']['name']}": pod for child in children for pod in pods_of(child)
    }


@pytest.mark.parametrize("made", [of_a_run, of_a_deployment], ids=["TrainingRun", "ModelDeployment"])
def test_every_pod_names_the_secrets(made: Any) -> None:
    found = made(REGISTRY)
    assert {name.partition(" ")[0] for name in found} >= (
        {"Job", "PyTorchJob"} if made is of_a_run else {"Deployment"}
    )
    assert {
        name: pod.get("imagePullSecrets") for name, pod in found.items() if not name.startswith("Pod ")
    } == {name: NAMED for name in found if not name.startswith("Pod ")}


@pytest.mark.parametrize("made", [of_a_run, of_a_deployment], ids=["TrainingRun", "ModelDeployment"])
def test_without_any_the_field_is_not_there(made: Any) -> None:
    assert not [name for name, pod in made(Settings()).items() if "imagePullSecrets" in pod]


def test_gateways_and_engines_are_both_among_them() -> None:
    roles = {
        child["metadata"]["labels"][names.LABEL_ROLE]
        for child in Serving(settings=REGISTRY).plan().apply
        if list(pods_of(dict(child)))
    }
    assert roles == {names.ROLE_GATEWAY, names.ROLE_ENGINE}


def test_a_runs_own_secrets_are_added() -> None:
    template = {"spec": {"imagePullSecrets": [{"name": "mine"}]}}
    world = World({"training": {"podTemplate": template}}, REGISTRY)
    world.look()
    (pod,) = pods_of(world.the("Job"))
    assert pod["imagePullSecrets"] == [*NAMED, {"name": "mine"}]
    world = World(
        {"training": {"podTemplate": template}}, REGISTRY.model_copy(update={"backend": "KubeflowPipelines"})
    )
    (request,) = world.settle(1).submit
    secrets = request.pods[0].platform["imagePullSecret"]
    assert [entry["secretName"] for entry in secrets] == ["registry", "mirror", "mine"]


def test_every_task_on_kubeflow_names_them() -> None:
    (request,) = World({}, REGISTRY.model_copy(update={"backend": "KubeflowPipelines"})).settle(1).submit
    package = kubeflow_package.with_pods(kubeflow_package.read(request.pipeline, None), request.pods)
    tasks = package["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for task in tasks.values():
        assert [entry["secretName"] for entry in task["imagePullSecret"]] == ["registry", "mirror"]


def test_executors_name_what_their_driver_is_told() -> None:
    world = World(EXECUTORS, REGISTRY)
    world.look()
    (pod,) = pods_of(world.the("Job"))
    given = {item["name"]: item.get("value", "here") for item in pod["containers"][0]["env"]}
    executors = executors_from({**given, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 2)
    assert executors is not None
    assert pod_template(executors, "/work")["spec"]["imagePullSecrets"] == NAMED
