"""A stored spec is checked again: every problem is said, none is raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.observed.spec import parse
from tests.operator.deployment.world import World, a_spec, serving_world


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        pytest.param({}, None, id="a-good-spec"),
        pytest.param({"runtime": None}, None, id="an-empty-field-is-an-absent-one"),
        pytest.param({"pools": []}, ("spec.pools: must have at least 1 item, got a list",), id="no-pools"),
        pytest.param(
            {"rollout": {"ramp": [5, 1, 100]}},
            ("spec.rollout.ramp: ",),
            id="weights-that-do-not-rise",
        ),
        pytest.param(
            {"runtime": {"kind": "TritonTRTLLM"}},
            (
                "spec.runtime.kind: the gateway does not speak to TritonTRTLLM yet (use TritonPython or TritonVLLM)",
            ),
            id="a-runtime-that-nothing-serves-yet",
        ),
        pytest.param(
            {"model": {"uri": "s3://m", "digest": "xyz", "trainingRunRef": {"name": "r"}}, "replica": 3},
            (
                "spec.model: exactly one of",
                "spec.model.digest: must be 64 hex",
                "spec.replica: unknown field",
            ),
            id="everything-at-once",
        ),
    ],
)
def test_problems(changed: dict[str, Any], problems: tuple[str, ...] | None) -> None:
    parsed = parse(a_spec(**changed))
    if problems is None:
        assert isinstance(parsed, ModelDeploymentSpec)
        return
    assert isinstance(parsed, tuple)
    assert len(parsed) >= len(problems)
    for problem in problems:
        assert any(said.startswith(problem) for said in parsed), (problem, parsed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "pools", "zones", "name", "rollout", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(JSON)
def test_nothing_that_can_be_stored_raises(spec: Any) -> None:
    parsed = parse(spec)
    assert isinstance(parsed, ModelDeploymentSpec) or len(parsed) > 0


def test_a_spec_that_does_not_hold_stalls_and_what_runs_goes_on() -> None:
    world = serving_world()
    routing, pods = world.routing, len(world.pods())
    world.change(pools=[{**world.spec["pools"][0], "zones": []}], gateway={"replicas": 0})
    plan = world.look()
    assert (plan.apply, plan.delete) == ((), ())
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.pools[0].zones" in world.message("Stalled")
    assert "spec.gateway.replicas" in world.message("Stalled")
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Reconciling") == ("False", "Stalled")
    assert world.status["observedGeneration"] == world.generation
    world.run(300)
    assert (world.routing, len(world.pods())) == (routing, pods)
    assert world.events.count(("Warning", "InvalidSpec")) == 1


def test_a_spec_that_never_held_is_said_from_the_first_pass() -> None:
    world = World(spec={"model": 7})
    world.look()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.condition("Ready") == ("Unknown", "InvalidSpec")
    assert world.children == {}
