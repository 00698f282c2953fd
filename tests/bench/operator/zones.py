"""Placement as it runs: how soon another zone is asked after a stock-out, and a reclaimed machine is left.

The real operator, API server, scheduler and Deployments, machines that KWOK plays, and the tests' small cloud; times
are those at which a watch of the API server saw each change. Placement's patience is the tests' (seconds instead of
minutes): it decides when a zone is tried again, not how soon a stock-out is answered.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.operator.beside import cluster_of
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.notebook import Place
from tests.operator.live.scene import SPOT_A, SPOT_B, SPOT_C, ZONES, Scene, scaling, scene

REPEATS = 6
"""Each on a namespace of its own: what was learnt of zones in one must not answer in the next."""
INTERVAL_S = 5
"""The manifest's default."""


@dataclass(frozen=True)
class Times:
    """What one repeat took, in seconds."""

    fallback: float
    emptied: float
    replaced: float


def measure() -> list[Row]:
    """Return the rows of the room."""
    with cluster_of(launcher.FULL) as cluster:
        times = [once(cluster) for _ in range(REPEATS)]
    slowest = max(one.fallback for one in times)
    return [
        *rows("stock-out told, to another zone asked", [one.fallback for one in times], f"<= {INTERVAL_S}"),
        Row("the same in intervals of 5 s, the slowest", slowest / INTERVAL_S, "intervals", "<= 1"),
        *rows(
            "reclaim notice, to gateways told that the endpoint is gone",
            [one.emptied for one in times],
            "<= 2",
        ),
        *rows(
            "reclaim notice, to a replacement asked for", [one.replaced for one in times], f"<= {INTERVAL_S}"
        ),
    ]


def once(cluster: Reach) -> Times:
    """Play a stock-out, then a notice, on one ModelDeployment of three spot replicas."""
    with scene(cluster) as stage:
        stage.apply(replicas=3, scaling=scaling(intervalSeconds=INTERVAL_S, spareSpotReplicas=0))
        stage.operator()
        stage.wait(
            "three on spot", lambda there: sum(there.values()) == 3 and all(p != "od" for p, _ in there)
        )
        fallback = fallback_s(stage)
        stage.wait("five", lambda there: sum(there.values()) == 5)
        return Times(fallback, *reclaim_s(stage))


def rows(what: str, seconds: Sequence[float], target: str) -> list[Row]:
    """Return median and slowest."""
    note = f"{len(seconds)} times"
    return [
        Row(f"{what}, P50", statistics.median(seconds), "s", "", note=note),
        Row(f"{what}, the slowest", max(seconds), "s", target, note=note),
    ]


def fallback_s(stage: Scene) -> float:
    """Let spot be full where it is and ask for two more; return how long after the first refusal another is asked."""
    stage.empty_machines_gone()
    ready = stage.ready()
    full = {zone[-1]: sum(number for (_, own), number in ready.items() if own == zone) for zone in ZONES}
    stage.capacity("Spot", **full)
    began = time.monotonic()
    stage.apply(replicas=5)
    told = wait_for("a stock-out", lambda: stage.notebook.told("FailedScaleUp", began))
    refused = stage.notebook.places_told("FailedScaleUp", began)[0]
    return float(wait_for("another place", lambda: first_asked(stage, refused, told)) - told)


def first_asked(stage: Scene, refused: Place, since: float) -> float | None:
    """Return when the first place but the one that refused was asked for more."""
    others = [SPOT_A, SPOT_B, SPOT_C, *(("od", zone) for zone in ZONES)]
    found = [stage.notebook.asked(place, since) for place in others if place != refused]
    return min((at for at in found if at is not None), default=None)


def reclaim_s(stage: Scene) -> tuple[float, float]:
    """Give a spot machine notice; return when its endpoint was gone, and when another replica was asked for."""
    place = next(place for place in stage.ready() if place[0] != "od")
    node = stage.node_in(place)
    (pod,) = stage.pods_on(node)
    began = time.monotonic()
    stage.cloud.reclaim(node)
    told = time.monotonic()  # the taint is set; the operator may have heard of it a little earlier
    emptied = wait_for("an empty endpoint", lambda: stage.notebook.emptied(pod, began))
    asked = wait_for("another replica", lambda: first_asked(stage, place, began))
    return max(0.0, emptied - told), max(0.0, asked - told)
