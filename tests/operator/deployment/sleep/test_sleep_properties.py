"""What holds of sleep whatever happens: who asks is heard, and nothing is woken or put to sleep for nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.operator.deployment.world import M1, M2, World, a_spec, model

pytestmark = pytest.mark.slow

QUIET_S = 60
EVENTS = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([5, 20, 70])),
    st.tuples(st.just("time"), st.sampled_from([20, 70, 200])),
    st.tuples(st.just("ask"), st.just(0)),
    st.tuples(st.just("hold"), st.integers(0, 9)),
    st.tuples(st.just("work"), st.integers(0, 2)),
    st.tuples(st.just("unread"), st.booleans()),
    st.tuples(st.just("telling"), st.integers(1, 2)),
    st.tuples(st.just("machines"), st.sampled_from([0, 8])),
    st.tuples(st.just("staff"), st.booleans()),
    st.tuples(st.just("everyone"), st.booleans()),
    st.tuples(st.just("model"), st.sampled_from([M1, M2])),
    st.tuples(st.just("falls"), st.integers(0, 20)),
    st.tuples(st.just("killed"), st.sampled_from([(), ("status",), ("apply",), ("apply", "delete")])),
)


class Sleeper:
    """A world, and when somebody last asked there."""

    def __init__(self) -> None:
        spec = a_spec(
            scaling={"spareSpotReplicas": 0, "scaleToZeroSeconds": QUIET_S},
            rollout={"soakSeconds": 30, "guardrails": {"minRequests": 0}},
        )
        del spec["replicas"]
        self.world = World(spec=spec)
        self.world.switch(everyone=True)
        self.world.run(40, step=20)
        self.asked = self.world.now

    def happen(self, what: str, value: object) -> None:
        world = self.world
        pods = world.pods()
        if what == "time":
            world.tick(int(str(value)))
        elif what in ("ask", "hold"):
            world.ask()
            self.asked, world.waking = world.now, int(str(value))
        elif what == "work":
            world.inflight = int(str(value))
        elif what == "unread":
            world.unread = bool(value)
        elif what == "telling":
            world.num_telling = int(str(value))
        elif what == "machines":
            world.machines = dict.fromkeys("abc", int(str(value)))
        elif what in ("staff", "everyone"):
            world.switch(**{what: value})
        elif what == "model":
            world.change(model=model(str(value)))
        elif what == "falls" and pods:
            world.set_ready(pods[int(str(value)) % len(pods)], "False")
        elif what == "killed":
            world.carry_out(world.plan(), parts=value)  # type: ignore[arg-type]

    def look(self) -> None:
        """One pass, and what must hold of it."""
        world, slept = self.world, "asleepSince" in self.world.status
        weight = world.weight if world.stable != (world.status.get("candidate") or {}).get("digest") else 0
        world.look()
        sleeps = "asleepSince" in world.status
        quiet = (world.now - self.asked).total_seconds() >= QUIET_S
        waits = bool(world.inflight or world.waking)
        if sleeps and not world.unread:
            assert quiet, "who asks is heard at the first look"
            assert not waits
        if sleeps and not slept:
            assert world.stable is not None, "the first model is loaded whoever asks"
            assert quiet
            assert not world.unread, "unknown is not idle"
            assert world.num_telling == 2
            assert not weight, "a ramp goes on"
        if slept and not sleeps:
            assert not quiet or waits, "nothing else wakes it"
        if sleeps:
            assert not any(zone["desired"] for zone in world.status["zones"])
            assert world.condition("Ready")[0] == "True"
        elif world.stable is not None:
            assert world.status["capacity"]["needed"] >= 1


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(st.lists(EVENTS, max_size=25))
def test_whatever_happens(events: list[tuple[str, object]]) -> None:
    sleeper = Sleeper()
    for what, value in events:
        sleeper.happen(what, value)
        sleeper.look()
    asks = sum(what in ("ask", "hold", "work") for what, _ in events)
    sleeps = sum(reason == "ScaledToZero" for _, reason in sleeper.world.events)
    wakes = sum(reason == "Woken" for _, reason in sleeper.world.events)
    assert wakes <= asks
    assert sleeps <= wakes + 1
