"""A run that comes back without its status: one that was over stays over, one that was not goes on or begins anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts import names
from tests.operator.training.world import World

RECORD = ("ConfigMap", names.finished_name("first-light"))
RESTORED_UID = "8f4cbb2e-0000-4000-8000-00000000000f"


def ended(*, well: bool = True) -> World:
    world = World()
    world.make_data()
    if well:
        world.train()
        world.make_model()
    else:
        world.pods_up()
        world.hand_error("train", 2, "the model is too large")
        world.look()
    world.settle(2)
    assert world.condition("Succeeded")[0] == str(well)
    return world


def restore(world: World, **spec: Any) -> None:
    """A backup's restore: another uid, no status, and no child but what nobody owned."""
    world.children = {key: item for key, item in world.children.items() if key == RECORD}
    world.run["metadata"] |= {"uid": RESTORED_UID, "generation": 1}
    world.run.pop("status", None)
    world.run["spec"] |= spec
    world.events.clear()
    world.made.clear()


def reasons(world: World) -> list[str]:
    return [event.reason for event in world.events]


@pytest.mark.parametrize("well", [True, False], ids=["succeeded", "failed"])
def test_a_run_that_was_over_is_over(well: bool) -> None:
    world = ended(well=well)
    before = json.loads(json.dumps(world.status))
    world.wait(90_000)
    restore(world)
    world.settle(3)
    assert {**world.status, "conditions": [], "observedGeneration": 0} == {
        **before,
        "conditions": [],
        "observedGeneration": 0,
    }
    same = ("type", "status", "reason", "message", "lastTransitionTime")
    assert [[c[name] for name in same] for c in world.status["conditions"]] == [
        [c[name] for name in same] for c in before["conditions"]
    ]
    assert {c["observedGeneration"] for c in world.status["conditions"]} == {1}
    assert reasons(world) == ["ResultRecovered"]
    assert world.made == []
    assert world.children[RECORD]["metadata"]["labels"][names.LABEL_OWNER_UID] == RESTORED_UID
    assert "ownerReferences" not in world.children[RECORD]["metadata"]


def test_another_spec_of_the_name_begins_anew_and_says_so() -> None:
    world = ended()
    restore(world, seed=7)
    world.settle(2)
    assert world.states()[0] == "R"
    assert reasons(world)[0] == "BeginsAnew"
    assert reasons(world).count("BeginsAnew") == 1


@pytest.mark.parametrize("spec", [{"evaluation": {"gates": []}}, {"runPolicy": {"backoffLimit": 1}}])
def test_what_may_change_in_a_started_run_makes_no_other_run(spec: dict[str, Any]) -> None:
    world = ended()
    restore(world, **spec)
    world.look()
    assert world.condition("Finished")[0] == "True"


def test_a_run_that_goes_on_has_no_record_and_goes_on_from_its_artifacts() -> None:
    world = World()
    world.make_data()
    assert RECORD not in world.children
    restore(world)
    world.look()
    assert world.states()[0] == "R"
    assert "ResultRecovered" not in reasons(world)


def test_a_restored_run_whose_time_is_over_goes() -> None:
    world = ended()
    restore(world, runPolicy={"ttlSecondsAfterFinished": 60})
    world.wait(3600)
    world.settle(3)
    assert world.gone


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"snapshot": 3}', '{"conditions": {}}'])
def test_a_record_that_cannot_be_read_is_none(text: str) -> None:
    world = ended()
    record = json.loads(json.dumps(world.children[RECORD]))
    restore(world)
    world.children[RECORD] = {**record, "data": {"finished.json": text}}
    world.look()
    assert world.states()[0] == "R"
    assert not {"ResultRecovered", "BeginsAnew"} & set(reasons(world))
