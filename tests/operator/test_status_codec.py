"""A status of an older or edited shape stops nothing: what is sound of it counts, the rest is as if it were not."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts.resources.deployment import DeployedModel
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_operator.core import status_codec
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, target_of
from tests.operator.deployment.world import M1, World

HELD = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
WHOLE = {**HELD, "reason": "Serves", "message": "it serves"}

ODD = [
    pytest.param({"stable": {"digest": 7}}, id="a digest that is a number"),
    pytest.param({"routing": "none"}, id="a routing that is a text"),
    pytest.param({"retired": [M1], "rejected": {"a": 1}}, id="lists of other things"),
    pytest.param({"conditions": [HELD, {"type": "Old"}, "Ready"]}, id="conditions of fewer fields"),
    pytest.param({"conditions": {"Ready": True}}, id="conditions that are no list"),
    pytest.param({"phase": "Serving", "zones": [{"zone": "a"}]}, id="fields that are gone"),
    pytest.param({"candidate": {"digest": M1, "stage": "Canary"}}, id="a stage that is gone"),
    pytest.param({"capacity": {"a": "b"}, "candidateCapacity": []}, id="another memory of zones"),
]


@pytest.mark.parametrize("status", ODD)
@pytest.mark.parametrize("spec", [None, {"model": "mine"}], ids=["a spec that holds", "one that does not"])
def test_a_deployment_goes_on_from_what_is_sound(status: dict[str, Any], spec: dict[str, Any] | None) -> None:
    world = World() if spec is None else World(spec=spec)
    world.status = status
    new = world.plan().status
    ModelDeploymentStatus.model_validate(new)
    known = {condition["type"]: condition["status"] for condition in new["conditions"]}
    assert known["Stalled"] == ("False" if spec is None else "True")


def test_what_is_sound_is_kept_as_it_is() -> None:
    status = {"rejected": [M1], "conditions": [WHOLE], "phase": "Serving", "readyReplicas": -1}
    found = status_codec.sound(ModelDeploymentStatus, status)
    assert found == {"rejected": [M1], "conditions": [WHOLE]}
    assert status_codec.sound(ModelDeploymentStatus, found) == found


@pytest.mark.parametrize("status", [None, "text", [], {}], ids=["none", "a text", "a list", "an empty one"])
def test_no_status_is_an_empty_one(status: Any) -> None:
    assert status_codec.sound(ModelDeploymentStatus, status) == {}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"model": "s3://models/1"}, id="a model that is a text"),
        pytest.param({"conditions": ["Finished"]}, id="conditions that are texts"),
        pytest.param({"conditions": [{"status": "True"}]}, id="a condition without a type"),
    ],
)
def test_a_run_of_another_shape_is_waited_for(status: dict[str, Any]) -> None:
    model = DeployedModel.model_validate({"trainingRunRef": {"name": "old"}})
    found = target_of(model, {"metadata": {"name": "old"}, "status": status})
    assert isinstance(found, AwaitedModel)
    assert found.finding.reason == "WaitingForModel"
