"""Which jobs Kueue knows: asked of the API for runs that name a queue, and remembered for a while.

Owns asking and remembering. Workloads are not watched: their whole number may be that of the cluster's jobs, and one
question a job answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from daybreak_contracts.errors import TransientError
from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.children.owned import QUEUE_LABEL
from daybreak_operator.shell.kube.answers import ApiError, NotFoundError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import WORKLOADS

JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label that Kueue gives a Workload: the uid of its job."""
FOUND_S = 3600.0
MISSING_S = 30.0


@dataclass
class Workloads:
    """What is known of jobs by their uid. Used by many threads."""

    kube: Kube
    clock: Callable[[], float]
    _known: dict[str, tuple[bool | None, float]] = field(default_factory=dict)
    """Whether one refers to the job (None: it could not be asked), and until when that is believed."""

    def stale(self, jobs: Iterable[Object]) -> list[Object]:
        """Return the jobs that name a queue and of which it is not known now."""
        now = self.clock()
        return [
            job
            for job in jobs
            if (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
            and self._known.get(job["metadata"]["uid"], (None, 0.0))[1] <= now
        ]

    def ask(self, jobs: Iterable[Object]) -> None:
        """Ask the API; blocks. What it does not answer stays unknown."""
        for job in jobs:
            metadata = job["metadata"]
            there = self._refers(metadata["namespace"], metadata["uid"])
            self._forget_old()
            self._known[metadata["uid"]] = (there, self.clock() + (FOUND_S if there else MISSING_S))

    def among(self, jobs: Iterable[Object], *, there: bool) -> frozenset[str]:
        """Return the uids of those jobs that surely have a Workload, or surely have none."""
        uids = (str(job["metadata"]["uid"]) for job in jobs)
        return frozenset(uid for uid in uids if self._known.get(uid, (None, 0.0))[0] is there)

    def _refers(self, namespace: str, uid: str) -> bool | None:
        for resource in WORKLOADS:
            try:
                pages = self.kube.pages(resource, namespace, f"{JOB_UID}={uid}")
                return any(page for page, _ in pages)
            except NotFoundError:
                continue  # this version is not served
            except (ApiError, TransientError):
                return None
        return False  # there is no Kueue

    def _forget_old(self) -> None:
        now = self.clock()
        for uid, (_, until) in list(self._known.items()):
            if until + FOUND_S <= now:
                self._known.pop(uid, None)
