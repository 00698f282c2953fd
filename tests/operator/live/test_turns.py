"""Another image of the installation, on a real API server: who takes it up when, and on which machines.

The operator ends and begins anew with another image, as `helm upgrade` has it; KWOK plays nodes and pods, each machine
has one card more than what serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from daybreak_operator.core.deployment.rollout import in_place
from daybreak_operator.settings import Images
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.operator.live.hasty import TIMING, decisions
from tests.operator.live.notebook import Notebook, answers
from tests.operator.live.scene import ACCELERATOR, A, deployment, is_engine
from tests.operator.shell.replica import Replica

pytestmark = [pytest.mark.slow, pytest.mark.needs("programs")]
OLD, NEW = "registry/serve:1", "registry/serve:2"
NAMED = ("alpha", "beta")
POOL = {"name": "cards", "zones": [A], "accelerator": ACCELERATOR, "market": "OnDemand", "max": 2}


class Fleet:
    """Two deployments in one namespace, and what was written of them."""

    def __init__(self, cluster: Reach, notebook: Notebook, namespace: str) -> None:
        self.cluster, self.notebook, self.namespace = cluster, notebook, namespace

    @contextmanager
    def operator(self, image: str) -> Iterator[None]:
        images = Images(serve=image)
        with Replica(
            str(self.cluster.kubeconfig), self.namespace, decisions(), "turns", TIMING, images=images
        ):
            yield

    def apply(self, *named: str, pool: dict[str, Any] = POOL, replicas: int = 1) -> None:
        for name in named:
            wanted = deployment(
                self.namespace,
                pools=[pool],
                replicas=replicas,
                rollout={"everyone": True, "ramp": [100], "soakSeconds": 2},
            )
            wanted["metadata"]["name"] = name
            self.cluster.apply(wanted)

    def history(self) -> list[dict[str, tuple[str, str]]]:
        """The images of stable model and candidate of all, after each thing that was written."""
        found: list[dict[str, tuple[str, str]]] = [{}]
        for one in self.notebook.of("ModelDeployment"):
            status = one.body.get("status") or {}
            images = [(status.get(part) or {}).get("image", "") for part in ("stable", "candidate")]
            found.append({**found[-1], one.name: (images[0], images[1])})
        return found

    def are_on(self, image: str, *named: str) -> bool:
        newest = self.history()[-1]
        return all(newest.get(name) == (image, image) for name in named)

    def engines(self) -> list[tuple[int, int]]:
        """How many engines there were, and how many of them answered, after each change of one."""
        there: dict[str, bool] = {}
        counts: list[tuple[int, int]] = []
        for one in self.notebook.of("Pod"):
            if is_engine(one.body):
                there[one.name] = answers(one.body)
                if one.how == "DELETED" or one.body["metadata"].get("deletionTimestamp"):
                    del there[one.name]
                counts.append((len(there), sum(there.values())))
        return counts


@pytest.fixture
def fleet(full_cluster: Reach) -> Iterator[Fleet]:
    namespace = full_cluster.namespace()
    account = {"name": "daybreak-pipeline", "namespace": namespace}
    full_cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    nodes = [NodeSpec(f"cards-{namespace}", A, ACCELERATOR, gpus=4)]
    full_cluster.add_nodes(nodes)
    with ExitStack() as stack:
        notebook = stack.enter_context(Notebook(full_cluster, namespace))
        yield Fleet(full_cluster, notebook, namespace)
        full_cluster.kubectl("delete", "modeldeployments", "--all", "-n", namespace, "--wait=false")
        full_cluster.kubectl("delete", "deployments,pods", "--all", "-n", namespace, "--wait=false")
        full_cluster.kubectl("delete", "node", *(node.name for node in nodes))


def test_deployments_take_an_image_up_one_after_the_other(fleet: Fleet) -> None:
    with fleet.operator(OLD):
        fleet.apply(*NAMED)
        wait_for("both serve", lambda: fleet.are_on(OLD, *NAMED))
    before = len(fleet.history())
    with fleet.operator(NEW):
        wait_for("both are on the new image", lambda: fleet.are_on(NEW, *NAMED), 300)
    since = fleet.history()[before:]
    at_it = [[name for name in NAMED if now[name] == (OLD, NEW)] for now in since]
    assert max(map(len, at_it)) == 1, "each needs a card more while it does"
    assert [name for now in at_it for name in now] == sorted(name for now in at_it for name in now)
    assert all(now[name][0] for now in since for name in NAMED), "each has a stable model at all times"


def test_an_image_is_taken_up_where_no_machine_is_to_spare(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pool has as many cards as serve: the candidate takes them over one by one."""
    monkeypatch.setattr(in_place, "PATIENCE_S", 5)
    with fleet.operator(OLD):
        fleet.apply("alpha", replicas=2)
        wait_for("it serves", lambda: fleet.are_on(OLD, "alpha") and fleet.engines()[-1] == (2, 2))
    before = len(fleet.engines())
    with fleet.operator(NEW):
        wait_for("it is on the new image", lambda: fleet.are_on(NEW, "alpha"), 300)
        wait_for("with both replicas", lambda: fleet.engines()[-1] == (2, 2))
    assert min(ready for _, ready in fleet.engines()[before:]) >= 1
