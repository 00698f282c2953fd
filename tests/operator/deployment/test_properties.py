"""What holds whatever happens, in whatever order: switches, models, kills, lost pods, missing machines."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from daybreak_contracts.routing import Routing, choose
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.core.deployment.observed.spec import parse, rollout_digest
from tests.operator.deployment.world import M1, M2, M3, Traffic, World, a_spec, is_ready, model

pytestmark = pytest.mark.slow

USERS = [f"user-{number}" for number in range(200)]
RAMP = (10, 50, 100)
GOOD = Traffic(requests=20, shown=20, accepted=6)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A play is dear: a failing one is shown as it was found, not made smaller for minutes."""
BAD = Traffic(requests=20, errors=10, shown=20, accepted=6)

EVENTS = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([1, 5, 15, 40, 90])),
    st.tuples(st.just("time"), st.sampled_from([15, 40, 90])),
    st.tuples(st.just("staff"), st.booleans()),
    st.tuples(st.just("everyone"), st.booleans()),
    st.tuples(st.just("everyone"), st.just(True)),
    st.tuples(st.just("model"), st.sampled_from([M1, M2, M3])),
    st.tuples(st.just("replicas"), st.integers(0, 4)),
    st.tuples(st.just("killed"), st.sampled_from([(), ("status",), ("apply",), ("apply", "delete")])),
    st.tuples(st.just("falls"), st.integers(0, 20)),
    st.tuples(st.just("reclaim"), st.integers(0, 20)),
    st.tuples(st.just("machines"), st.sampled_from([0, 1, 8])),
    st.tuples(st.just("fails"), st.sampled_from([M1, M2, M3])),
    st.tuples(st.just("onBreach"), st.sampled_from(["Rollback", "Hold"])),
)


def a_world(serves: bool) -> World:
    """A world with everything to come, or one in which the second model just begins its way to everyone."""
    rollout = {"ramp": list(RAMP), "soakSeconds": 30, "guardrails": {"minRequests": 50}}
    world = World(spec=a_spec(rollout=rollout))
    world.traffic = {M1: GOOD, M2: GOOD, M3: GOOD}
    world.mirrored = Traffic(requests=2)
    if serves:
        world.switch(everyone=True)
        world.run(40, step=20)
        world.change(model=model(M2))
    return world


def happen(world: World, what: str, value: object) -> None:
    """One event, before the operator looks."""
    pods = world.pods()
    if what == "time":
        world.tick(int(str(value)))
    elif what in ("staff", "everyone", "onBreach"):
        world.switch(**{what: value})
    elif what == "model":
        world.change(model=model(str(value)))
    elif what == "replicas":
        world.change(replicas=value)
    elif what == "killed":
        world.carry_out(world.plan(), parts=value)  # type: ignore[arg-type]
    elif what == "machines":
        world.machines = {"a": int(str(value)), "b": 8}
    elif what == "fails":
        world.traffic[str(value)] = BAD
    elif pods and what == "falls":
        world.set_ready(pods[int(str(value)) % len(pods)], "False")
    elif pods and what == "reclaim":
        world.reclaimed.add(pods[int(str(value)) % len(pods)]["metadata"]["name"])


def look_and_check(world: World) -> None:
    """One pass of the operator, and what must hold of it."""
    observed = world.observed()
    untouched = copy.deepcopy(observed)
    plan = decide(observed, world.now)
    assert observed == untouched, "a decision changes nothing it was given"
    assert plan == decide(untouched, world.now), "the same observation gives the same plan"
    reclaimed = set(world.reclaimed)
    known = len(world.routings)
    before = world.stable
    stays = [pod for pod in world.pods(before or "") if pod["metadata"]["name"] not in reclaimed]
    could_answer = before is not None and any(is_ready(pod) for pod in stays)
    ready = {digest: world.ready(digest) for digest in (M1, M2, M3)}
    world.carry_out(plan)
    for routing in world.routings[known:]:
        check_routing(world, routing, ready)
    if world.stable != before:
        assert world.stable is not None
        assert ready[world.stable] > 0, "who becomes stable answers already"
        assert world.spec["rollout"].get("everyone"), "nobody's model changes while the switch is off"
    elif could_answer and world.spec["replicas"]:
        assert world.ready(before or "") > 0, "the operator takes nobody's last replica"
    assert observed.deployment["metadata"]["generation"] == world.status["observedGeneration"]


def check_routing(world: World, routing: Routing, ready: dict[str, int]) -> None:
    if routing.weight or routing.staff:
        assert routing.candidate is not None
        assert ready[routing.candidate] > 0, "only what answers is routed to"
    if routing.shadow_percent:
        assert world.stage == "Shadow"
        assert routing.candidate is not None
        assert ready[routing.candidate] > 0, "only what answers is mirrored to"
        assert not any(world.spec["rollout"].get(switch) for switch in ("staff", "everyone"))
    assert not routing.staff or world.spec["rollout"].get("staff")
    if not world.spec["rollout"].get("everyone"):
        assert {choose(routing, user, ()) for user in USERS} == {routing.stable}, "a staff-only model"
    assert routing.candidate is None or routing.candidate not in world.status["rejected"]


def check_history(routings: list[Routing]) -> None:
    for one, next_one in pairwise(routings):
        assert next_one.version > one.version
        if next_one.candidate is not None and next_one.candidate == one.candidate:
            rises = {0: {0, RAMP[0]}, 10: {10, 50}, 50: {50, 100}, 100: {100}}[one.weight]
            assert next_one.weight in rises | {0}, "step by step up, or all the way back"
            if next_one.weight >= one.weight:
                moved = [
                    user
                    for user in USERS
                    if choose(one, user, ()) == one.candidate != choose(next_one, user, ())
                ]
                assert moved == [], "nobody flips back while the ramp grows"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(st.booleans(), st.lists(EVENTS, min_size=5, max_size=30))
def test_users_are_safe_in_any_order_of_events(serves: bool, events: list[tuple[str, object]]) -> None:
    world = a_world(serves)
    look_and_check(world)
    for what, value in events:
        happen(world, what, value)
        look_and_check(world)
    check_history(world.routings)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(st.lists(EVENTS, min_size=5, max_size=20))
def test_looking_again_at_the_same_instant_comes_to_rest(events: list[tuple[str, object]]) -> None:
    world = a_world(serves=True)
    for what, value in events:
        happen(world, what, value)
        world.look()
    for _ in range(6):
        world.look()
    writes, children = world.writes, {key: child["metadata"]["uid"] for key, child in world.children.items()}
    plan = world.look()
    assert (world.writes, plan.delete, plan.events) == (writes, (), ())
    assert {key: child["metadata"]["uid"] for key, child in world.children.items()} == children


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES)
@given(st.lists(EVENTS, min_size=5, max_size=20))
def test_it_ends_with_the_asked_model_once_all_is_well_again(events: list[tuple[str, object]]) -> None:
    world = a_world(serves=True)
    for what, value in events:
        happen(world, what, value)
        world.look()
    world.machines = {"a": 8, "b": 8}
    world.traffic = {M1: GOOD, M2: GOOD, M3: GOOD}
    for pod in world.pods():
        if any(one["status"] == "False" for one in pod["status"].get("conditions", ())):
            world.set_ready(pod, "True")
    world.change(replicas=1, model=model(M3))
    world.switch(everyone=True, soakSeconds=31)
    for _ in range(400):
        world.look()
        if world.stable == M3:
            break
        world.tick(20)
    assert world.stable == M3
    world.run(120, step=20)
    assert {pod["metadata"]["labels"]["daybreak.dev/revision"] for pod in world.pods()} == {M3[:10]}


@given(st.integers(0, 9), st.booleans())
def test_scaling_by_hand_gives_a_refused_model_no_second_chance(replicas: int, staff: bool) -> None:
    spec = a_spec(rollout={"staff": staff})
    one, other = parse(spec), parse({**spec, "replicas": replicas})
    assert not isinstance(one, tuple)
    assert not isinstance(other, tuple)
    assert rollout_digest(one) == rollout_digest(other)
    changed = parse({**spec, "rollout": {"staff": not staff}})
    assert not isinstance(changed, tuple)
    assert rollout_digest(one) != rollout_digest(changed)
