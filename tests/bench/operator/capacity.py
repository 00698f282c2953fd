"""Placement on spot traces: the decision that runs live beside round robin, one zone and SkyServe's placer.

Synthetic traces of several seeds, shaped like the public nine-zone V100 trace; nothing was tuned on these seeds. With
``DAYBREAK_SPOT_TRACES`` naming a folder of public traces (one JSON file per zone, `availability/1-node/aws-02-15-2023`
of skypilot-org/spot-traces) that trace is measured too: the hazard was fitted to its first half, the price of a
shortage tuned on the whole of it.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

from daybreak_contracts.resources.deployment import Pool, Scaling
from daybreak_operator.core.capacity.decide import decide_capacity
from daybreak_operator.core.capacity.policies import OURS, policy_named
from daybreak_operator.core.capacity.simulate import ReplayResult, Trace, simulate
from daybreak_operator.core.capacity.values import Demand, Held, PlacementMemory
from daybreak_operator.shell.traces import trace_of
from daybreak_operator.synthetic_trace import synthetic_trace
from tests.bench.row import Row

SEEDS = (101, 102, 103, 104)
STEPS = 2000
REPLICAS = 4
PEERS = ("skyserve+fallback", "round-robin+fallback", "single-zone+fallback")
TRACES = "DAYBREAK_SPOT_TRACES"


def measure() -> list[Row]:
    """Return the rows of the room."""
    seeds = ", ".join(map(str, SEEDS))
    rows = compare(
        [synthetic_trace(seed, STEPS) for seed in SEEDS], f"synthetic, seeds {seeds}, {STEPS} steps each"
    )
    folder = os.environ.get(TRACES)
    if folder:
        public = trace_of(folder)
        rows += compare([public], "public nine-zone V100 trace; prices of shortage tuned on it")
    return [*rows, deciding(4), deciding(40)]


def compare(traces: list[Trace], note: str) -> list[Row]:
    """Return ours beside each peer, as means over the traces."""
    ours = mean([run(trace, OURS) for trace in traces])
    rows = []
    for peer in PEERS:
        theirs = mean([run(trace, peer) for trace in traces])
        name = f"{peer.removesuffix('+fallback')} with 2 spare and on-demand fallback"
        rows += [
            Row("four of four ready", ours.all_ready, "", ">= 0.9975", name, theirs.all_ready, note),
            Row("any of four ready", ours.any_ready, "", ">= 0.999", name, theirs.any_ready, note),
            Row("cost, share of on-demand", ours.cost, "", "<= 0.48", name, theirs.cost, note),
            Row("failed launches a step", ours.failed, "", "<= 0.04", name, theirs.failed, note),
        ]
    return rows


@dataclass(frozen=True)
class Mean:
    """Means over traces; failed launches per step, so that traces of different length can be compared."""

    all_ready: float
    any_ready: float
    cost: float
    failed: float


def mean(outcomes: list[ReplayResult]) -> Mean:
    """Return the means."""
    return Mean(
        all_ready=statistics.fmean(one.all_ready for one in outcomes),
        any_ready=statistics.fmean(one.any_ready for one in outcomes),
        cost=statistics.fmean(one.cost for one in outcomes),
        failed=sum(one.failed_launches for one in outcomes) / sum(one.steps for one in outcomes),
    )


def run(trace: Trace, name: str) -> ReplayResult:
    """Return what comes of a policy."""
    return simulate(trace, policy_named(name, trace, REPLICAS), REPLICAS)


def deciding(needed: int) -> Row:
    """Return how long one decision takes for nine zones in two markets, from nothing until all is ready."""
    zones = tuple(f"zone-{letter}" for letter in "abcdefghi")
    pools = (
        Pool(
            name="spot", accelerator="l4", zones=zones, market="Spot", price_per_hour="0.35", max=2 * needed
        ),
        Pool(name="od", accelerator="l4", zones=zones, price_per_hour="0.98", max=needed),
    )
    memory, held, took = PlacementMemory(), list[Held](), []
    for second in range(0, 1200, 30):
        began = time.perf_counter()
        decision = decide_capacity(
            pools, Scaling(), replicas=needed, demand=Demand(), held=held, memory=memory, now=1e9 + second
        )
        took.append(1000 * (time.perf_counter() - began))
        memory = decision.memory
        held = [Held(*place, ready=(1e9,) * number) for place, number in decision.desired.items() if number]
    note = f"median; the slowest took {max(took):.0f} ms"
    return Row(
        f"one decision, {needed} replicas, 9 zones, 2 markets",
        statistics.median(took),
        "ms",
        "<= 50",
        note=note,
    )
