"""A replica of the operator for tests: real shell, decisions of a few lines, short times.

``Replica`` runs in a thread; ``python -m tests.operator.shell.replica CONFIG`` is a process that can be killed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.list_watch import BackOff
from daybreak_operator.core import conditions
from daybreak_operator.core.conditions import ConditionUpdate
from daybreak_operator.core.plan import Finding, Object, ObjectEvent, Plan
from daybreak_operator.core.training.stages import blockers
from daybreak_operator.settings import Images, Settings
from daybreak_operator.shell.kube import client as kube
from daybreak_operator.shell.kube.clock import here
from daybreak_operator.shell.lease.leadership import LeaseTimes
from daybreak_operator.shell.reconcile.reconciler import Decisions
from daybreak_operator.shell.run import Operator, OperatorConfig, Timing
from daybreak_operator.shell.watches.keys import ObjectKey

QUICK = Timing(
    silence_s=3.0,
    margin_s=60.0,
    absent_s=2.0,
    request_s=3.0,
    conflict_recheck_s=0.5,
    lease=LeaseTimes(duration_s=4.0, deadline_s=3.0, renew_s=0.5, retry_s=0.3, request_s=1.0),
    back_off=BackOff(0.1, 1.0),
)


def said(observed: Any, now: datetime, *conditions_said: ConditionUpdate) -> dict[str, Any]:
    """Return a status with conditions."""
    own = getattr(observed, "run", None) or observed.deployment
    generation = own["metadata"]["generation"]
    stored = (own.get("status") or {}).get("conditions", [])
    return {
        "observedGeneration": generation,
        "conditions": conditions.merge(stored, conditions_said, generation, now),
    }


def calm(observed: Any, now: datetime) -> dict[str, Any]:
    """Return a status that says that all is well."""
    return said(observed, now, ConditionUpdate("Stalled", "False", Finding("AllWell", "nothing is wrong")))


def config_map(owner: Object, data: Mapping[str, str]) -> Object:
    """Return the one child."""
    metadata = {"name": f"{owner['metadata']['name']}-child", "namespace": owner["metadata"]["namespace"]}
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return {**child, "data": dict(data)} if data else child


def one_child(observed: Any, now: datetime, data: Mapping[str, str] = {"size": "1"}) -> Plan:
    """One ConfigMap, one status, one event; what belongs to others is left alone."""
    own = getattr(observed, "run", None) or observed.deployment
    child = config_map(own, data)
    is_run = own["kind"] == names.KIND_RUN
    taken = (
        blockers.a_name_belongs_to_another(blockers.BlockerInput(observed, wanted=(child,)))
        if is_run
        else None
    )
    if taken is not None:
        return Plan(status=said(observed, now, ConditionUpdate("Stalled", "True", taken)))
    return Plan(
        status=calm(observed, now), apply=(child,), events=(ObjectEvent("Normal", "Seen", "it was seen"),)
    )


def one_child_of(data: Mapping[str, str]) -> Decisions:
    """Return decisions whose child holds these data."""
    decide = partial(one_child, data=data)
    return Decisions(training=decide, deployment=decide, pipeline_ids=lambda run, settings: ())


SIMPLE = Decisions(training=one_child, deployment=one_child, pipeline_ids=lambda run, settings: ())


@dataclass
class Replica:
    """An operator in a thread of this process."""

    kubeconfig: str
    namespace: str
    decisions: Decisions = SIMPLE
    me: str = "one"
    timing: Timing = QUICK
    images: Images = field(default_factory=Images)
    home: str = ""
    """Where its Lease is; the namespace that it watches, if empty."""
    wall: Callable[[], datetime] = here

    def __enter__(self) -> Replica:
        client = kube.connect({}, self.kubeconfig)
        client.clock.local = self.wall
        self.ended_with: list[int] = []
        self.operator = Operator(
            OperatorConfig(
                kube=client,
                settings=Settings(
                    namespace=self.home or self.namespace,
                    watch_namespaces=(self.namespace,),
                    images=self.images,
                ),
                decisions=self.decisions,
                me=self.me,
                port=0,
                timing=self.timing,
                end=self.ended_with.append,
            )
        )
        self._began = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._end = self._thread.submit(asyncio.run, self._main())
        self._began.wait()
        return self

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._began.set()
        await self.operator.run(self._stop)
        await asyncio.sleep(0.1)  # kopf's connections close in the background

    def __exit__(self, *_: object) -> None:
        if not self._end.done():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._end.result(30)
        self._thread.shutdown()
        with warnings.catch_warnings():
            # A connection of kopf's to a server that was silent until the end can't be closed in good order.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def wake(self, kind: str, namespace: str, name: str) -> None:
        """Let the operator look at an object."""
        self._loop.call_soon_threadsafe(self.operator.queue.add, ObjectKey(kind, namespace, name))

    def wait(self) -> None:
        """Wait until the operator ends by itself; raises what it ended with."""
        self._end.result()


def main(document: str) -> None:
    """Run until killed; the document gives kubeconfig, namespace and name."""
    given = json.loads(document)
    timing = replace(QUICK, lease=LeaseTimes(**given.get("lease", {}))) if "lease" in given else QUICK
    with Replica(given["kubeconfig"], given["namespace"], me=given["me"], timing=timing) as replica:
        replica.wait()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
