"""What gateways count of mirrored requests, as the shell reads it, keeps it and lets it be decided by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.shell.metrics.snapshots import Readings, ScrapeTarget
from daybreak_operator.shell.reconcile import gather
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_serve.gateway.events.counters import GatewayCounters
from tests.operator.deployment.world import M1, M2, World, model, serving_world

KEY = ObjectKey(names.KIND_DEPLOYMENT, "team", "completions")
EVERY_S = 5.0
GATEWAY = ScrapeTarget(KEY, "u-gateway", "gateway-0", "http://gateway-0:9090/snapshot", "gateway", EVERY_S)


@dataclass
class Shell:
    """The real counters of one gateway, the real readings of them, the real decision."""

    world: World = field(default_factory=serving_world)
    share_failed: float = 0.0
    woken: int = 0

    def __post_init__(self) -> None:
        def clock() -> float:
            return self.world.now.timestamp()

        self.counters = GatewayCounters("gateway-0", clock)
        self.readings = Readings(clock)
        self._credit = 0.0

    def users_type(self, seconds: int, rate: int) -> None:
        """Requests come and are answered; of some the candidate sees a copy."""
        routing = self.world.routing
        for number in range(seconds * rate):
            self.counters.arrive()
            self.counters.answer(M1, 0.2, failed=False)
            if (
                routing.candidate is not None
                and number * routing.shadow_percent % 100 < routing.shadow_percent
            ):
                self._credit += self.share_failed
                self.counters.shadow(routing.candidate, 0.2, failed=self._credit >= 1)
                self._credit %= 1.0

    def read(self) -> bool:
        """Ask the gateway; return whether the deployment is looked at because of what it told."""
        snapshot = self.counters.snapshot(self.world.routing.version, {M1: 0}, 0).model_dump_json()
        return self.readings.take(GATEWAY, GatewaySnapshot.model_validate_json(snapshot))

    def look(self) -> None:
        """One pass, by what was read."""
        body = self.world.deployment()
        earlier = self.readings.earlier(KEY, gather.window_of(body))
        observed = replace(self.world.observed(), snapshots=self.readings.gateways(KEY), earlier=earlier)
        self.world.carry_out(decide(observed, self.world.now))

    def run(self, seconds: int, rate: int) -> None:
        """Let time pass; the operator looks when a reading is news."""
        for _ in range(0, seconds, int(EVERY_S)):
            self.users_type(int(EVERY_S), rate)
            self.world.tick(int(EVERY_S))
            if self.read():
                self.woken += 1
                self.look()


def in_shadow() -> Shell:
    """M1 serves, M2 is warm and nobody's."""
    shell = Shell()
    shell.world.traffic = {}
    shell.world.change(model=model(M2))
    shell.run(60, rate=20)
    assert shell.world.stage == "Shadow"
    return shell


@pytest.mark.slow
def test_a_model_that_fails_mirrored_requests_is_rejected_by_what_the_gateways_count() -> None:
    shell = in_shadow()
    shell.run(120, rate=20)
    assert shell.world.status["candidate"]["verdict"] == "of mirrored requests: within its guardrails"
    shell.share_failed = 0.5
    shell.run(300, rate=20)
    assert (shell.world.stage, shell.world.status["rejected"]) == ("RolledBack", [M2])
    assert shell.world.routing.shadow_percent == 0
    assert all(not one.weight and not one.staff for one in shell.world.routings if one.candidate == M2)


def test_mirrored_requests_alone_are_news_and_no_load() -> None:
    shell = in_shadow()
    shell.read()
    before = shell.counters.snapshot(1, {}, 0)
    shell.counters.shadow(M2, 9.0, failed=True)
    after = shell.counters.snapshot(1, {}, 0)
    assert shell.read()
    assert not shell.read()
    for part in ("arrivals", "arrivals_by_second", "inflight", "held", "queue_p95_ms", "rejected"):
        assert getattr(after, part) == getattr(before, part), part
    assert after.models[M2].seconds == before.models[M2].seconds


def test_an_idle_minute_in_shadow_wakes_nobody_and_writes_nothing() -> None:
    shell = in_shadow()
    shell.run(120, rate=0)
    woken, writes = shell.woken, shell.world.writes
    shell.run(60, rate=0)
    assert (shell.woken, shell.world.writes) == (woken, writes)
    shell.look()
    assert shell.world.writes == writes
