"""Whole runs, from apply to the end, on both back ends."""

from __future__ import annotations

import pytest

from daybreak_operator.settings import Settings
from tests.operator.training.world import World

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")


@pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
def test_a_run_goes_from_apply_to_a_model(settings: Settings) -> None:
    world = World(settings=settings)
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
