"""Whole runs, from apply to the end, on both back ends."""

from __future__ import annotations

import pytest

from daybreak_operator.settings import Settings
from tests.operator.training.world import World

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")


@pytest.mark.parametrize("launcher", ["PyTorchJob", "TrainJob", "Job"])
@pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
def test_a_run_goes_from_apply_to_a_model(settings: Settings, launcher: str) -> None:
    world = World({"training": {"nodes": 2, "launcher": launcher}}, settings)
    world.look()
    assert world.condition("Succeeded")[0] == "Unknown"
    world.make_data()
    assert world.condition("DataReady") == ("True", "Completed")
    assert world.states() == "SSSSRPP"
    world.train()
    assert world.condition("Trained") == ("True", "Completed")
    world.make_model()
    assert world.condition("Succeeded") == ("True", "Completed")
    assert world.condition("Finished") == ("True", "Completed")
    assert world.status["model"] == {"uri": "s3://o/export", "digest": "sha256:export"}
    assert world.status["progressPercent"] == 100
    assert world.states() == "SSSSSSS"
    assert world.status["restarts"] == 0
    assert {"name": "humaneval/pass@1", "value": "0.2"} in world.status["metrics"]


@pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
def test_a_run_that_names_no_model_ends_with_its_data(settings: Settings) -> None:
    world = World(settings=settings)
    del world.run["spec"]["model"]
    world.look()
    assert len(world.states()) == 4
    world.make_data()
    world.settle()
    assert world.condition("Succeeded") == ("True", "DataCompleted")
    assert world.condition("Finished") == ("True", "DataCompleted")
    assert world.condition("DataReady") == ("True", "Completed")
    told = {condition["type"] for condition in world.status["conditions"]}
    assert not told & {"Trained", "Evaluated"}, "what it never does is not said to be missing"
    assert world.status["progressPercent"] == 100
    assert "model" not in world.status
    assert not [key for key in world.children if key[0] == "PyTorchJob"]


def test_of_data_alone_a_wrong_spec_says_no_more_than_there_is() -> None:
    """A condition that was said once stays: of a training that never comes it would say for ever that it is not yet."""
    world = World()
    del world.run["spec"]["model"]
    world.run["spec"]["seed"] = "seven"
    world.look()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert not {condition["type"] for condition in world.status["conditions"]} & {"Trained", "Evaluated"}


def test_data_alone_fails_and_resumes_as_any_other_run() -> None:
    world = World()
    del world.run["spec"]["model"]
    world.look()
    world.run["spec"]["suspend"] = True
    world.look()
    assert world.condition("Suspended")[0] == "True"
    world.run["spec"]["suspend"] = False
    world.make_data()
    world.settle()
    assert world.condition("Succeeded")[0] == "True"
