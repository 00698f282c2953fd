"""Which jobs Kueue knows and why it holds them: asked of the API for jobs in a queue, and remembered for a while.

Owns asking and remembering. Workloads are not watched: their whole number may be that of the cluster's jobs, and one
question a job answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from daybreak_contracts.errors import TransientError
from daybreak_operator.core.observed.objects import ObservedJob
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.children.owned import QUEUE_LABEL
from daybreak_operator.core.training.observed.workload import why_not_admitted
from daybreak_operator.shell.kube.answers import ApiError, NotFoundError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import WORKLOADS

JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label that Kueue gives a Workload: the uid of its job."""
FOUND_S = 3600.0
MISSING_S = 30.0
HELD_S = 15.0
"""While a job is held: as often as its run is looked at."""


@dataclass(frozen=True)
class WorkloadAnswer:
    """What the API said of one job's Workload, and until when that is believed."""

    there: bool | None = None
    """Whether one refers to the job; None: it could not be asked."""
    why: str = ""
    """Why it is not let in."""
    until: float = 0.0


UNASKED = WorkloadAnswer()


@dataclass
class Workloads:
    """What is known of jobs by their uid. Used by many threads."""

    kube: Kube
    clock: Callable[[], float]
    _known: dict[str, WorkloadAnswer] = field(default_factory=dict)

    def stale(self, jobs: Iterable[Object]) -> list[Object]:
        """Return the jobs that name a queue and of which it is not known now."""
        return [
            job
            for job in jobs
            if (job["metadata"].get("labels") or {}).get(QUEUE_LABEL) and self._is_old(job)
        ]

    def _is_old(self, job: Object) -> bool:
        known, now = self._known.get(job["metadata"]["uid"], UNASKED), self.clock()
        said_long_ago = known.until - FOUND_S + HELD_S <= now
        return known.until <= now or (bool(known.there) and is_held(job) and said_long_ago)

    def ask(self, jobs: Iterable[Object]) -> None:
        """Ask the API; blocks. What it does not answer stays unknown."""
        for job in jobs:
            metadata = job["metadata"]
            there, why = self._refers(metadata["namespace"], metadata["uid"])
            self._forget_old()
            missing = HELD_S if is_held(job) else MISSING_S
            until = self.clock() + (FOUND_S if there else missing)
            self._known[metadata["uid"]] = WorkloadAnswer(there, why, until)

    def among(self, jobs: Iterable[Object], *, there: bool) -> frozenset[str]:
        """Return the uids of those jobs that surely have a Workload, or surely have none."""
        uids = (str(job["metadata"]["uid"]) for job in jobs)
        return frozenset(uid for uid in uids if self._known.get(uid, UNASKED).there is there)

    def words(self, jobs: Iterable[Object]) -> dict[str, str]:
        """Return by uid why jobs are not let in, of those of which it is known."""
        uids = (str(job["metadata"]["uid"]) for job in jobs)
        return {uid: self._known[uid].why for uid in uids if uid in self._known and self._known[uid].why}

    def _refers(self, namespace: str, uid: str) -> tuple[bool | None, str]:
        for resource in WORKLOADS:
            try:
                pages = self.kube.pages(resource, namespace, f"{JOB_UID}={uid}")
                found = [workload for page, _ in pages for workload in page]
            except NotFoundError:
                continue  # this version is not served
            except (ApiError, TransientError):
                return None, ""
            return bool(found), next(filter(None, map(why_not_admitted, found)), "")
        return False, ""  # there is no Kueue

    def _forget_old(self) -> None:
        now = self.clock()
        for uid, known in list(self._known.items()):
            if known.until + FOUND_S <= now:
                self._known.pop(uid, None)


def is_held(job: Object) -> bool:
    """Return whether a queue holds a job back."""
    read = parse_object(job)
    return isinstance(read, ObservedJob) and read.is_queued
