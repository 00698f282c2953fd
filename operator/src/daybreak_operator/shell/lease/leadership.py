"""Who leads: one Lease, held by one replica; another takes it when it was not renewed for its time.

``next_step`` is the rule and pure. As in client-go, a remote clock is never believed: what counts is how long we have
seen the same record ourselves. ``Leadership`` does the calls; ``held`` is the fence that every write asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_operator.core.plan import Object
from daybreak_operator.shell.kube.answers import ApiError, ConflictError, NotFoundError
from daybreak_operator.shell.kube.client import Kube
from daybreak_operator.shell.kube.resources import LEASES

LOG = logging.getLogger(__name__)

Step = Literal["Create", "Renew", "Take", "Wait"]


@dataclass(frozen=True)
class LeaseTimes:
    """client-go's defaults, but for the renewal every 5 s: twelve writes a minute."""

    duration_s: float = 15.0
    """How long the others wait after the last renewal that they saw."""
    deadline_s: float = 10.0
    """A holder that could not renew for this long stops, before anyone else can begin."""
    renew_s: float = 5.0
    retry_s: float = 2.0
    """How often one that waits looks, and a holder tries again after a failed renewal."""
    request_s: float = 3.0
    """A request for the Lease may take so long: a lost connection must not cost the leadership."""


@dataclass(frozen=True)
class Sighting:
    """A record, and when we first saw it (our monotonic clock)."""

    version: str
    at: float


def next_step(lease: Object | None, me: str, sighting: Sighting | None, now: float) -> Step:
    """Return what to do about the Lease; ``sighting`` is of this very record (``sight`` keeps it)."""
    if lease is None:
        return "Create"
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == me:
        return "Renew"
    if not holder:
        return "Take"
    duration = float(spec.get("leaseDurationSeconds") or LeaseTimes.duration_s)
    if sighting is not None and now - sighting.at >= duration:
        return "Take"
    return "Wait"


def sight(lease: Object | None, sighting: Sighting | None, now: float) -> Sighting | None:
    """Return since when this record is seen: a record that changed begins anew."""
    if lease is None:
        return None
    version = str(lease["metadata"]["resourceVersion"])
    if sighting is not None and sighting.version == version:
        return sighting
    return Sighting(version, now)


def record(
    lease: Object | None, namespace: str, holder: str, now: datetime, times: LeaseTimes
) -> dict[str, Any]:
    """Return the Lease to write: held by ``holder`` (empty: given back)."""
    metadata = lease["metadata"] if lease else {"name": names.LEASE, "namespace": namespace}
    before = (lease or {}).get("spec") or {}
    changed = before.get("holderIdentity") != holder
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": max(1, round(times.duration_s)),
        "acquireTime": stamp if changed else before.get("acquireTime", stamp),
        "renewTime": stamp,
        "leaseTransitions": int(before.get("leaseTransitions") or 0) + int(bool(lease) and changed),
    }
    return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}


class LostLeadershipError(TransientError):
    """Another replica leads, or may: this one has to end."""


class Leadership:
    """One replica's side of the Lease. Calls block, so they run in threads by ``call``."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        me: str,
        times: LeaseTimes,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.me = me
        self._kube = kube
        self._namespace = namespace
        self._clock = clock
        self._now = now
        self._times = times
        self._sighting: Sighting | None = None
        self._renewed: float | None = None

    def held(self) -> bool:
        """Return whether we surely lead at this moment: nobody else can have taken over yet."""
        return self._renewed is not None and self._clock() - self._renewed < self._times.deadline_s

    def try_once(self) -> bool:
        """Look, and take or renew where the rule says so; return whether we lead now."""
        began = self._clock()
        lease = self._read()
        self._sighting = sight(lease, self._sighting, began)
        step = next_step(lease, self.me, self._sighting, began)
        if step == "Wait":
            self._renewed = None  # another holds it, whatever we believed
            return False
        body = record(lease, self._namespace, self.me, self._now(), self._times)
        try:
            write = self._kube.create_unfenced if step == "Create" else self._kube.replace_unfenced
            written = write(body, self._times.request_s)
        except ConflictError:
            return False
        self._sighting = sight(written, None, began)
        self._renewed = began  # counted from before the request: what took long is not ours to enjoy
        return True

    def give_back(self) -> None:
        """Let a replica that waits begin at once."""
        if not self.held():
            return
        self._renewed = None
        try:
            lease = self._read()
            if lease is not None and lease["spec"].get("holderIdentity") == self.me:
                body = record(lease, self._namespace, "", self._now(), self._times)
                self._kube.replace_unfenced(body, self._times.request_s)
        except (ApiError, TransientError) as error:
            LOG.warning("lease not released", extra={"error": str(error)})

    async def acquire(self, call: Callable[[Callable[[], bool]], Awaitable[bool]]) -> None:
        """Wait until we lead."""
        while True:
            try:
                if await call(self.try_once):
                    LOG.info("became leader", extra={"holder": self.me})
                    return
            except TransientError as error:
                LOG.warning("lease not read", extra={"error": str(error)})
            await asyncio.sleep(self._times.retry_s)

    async def keep(self, call: Callable[[Callable[[], bool]], Awaitable[bool]]) -> None:
        """Renew until it fails for too long; then raise LostLeadershipError."""
        pause = self._times.renew_s
        while True:
            await asyncio.sleep(pause)
            try:
                renewed = await asyncio.wait_for(call(self.try_once), self._times.deadline_s)
                pause = self._times.renew_s if renewed else self._times.retry_s
            except (ApiError, TransientError, TimeoutError) as error:
                LOG.warning("lease not renewed", extra={"error": str(error) or "no answer"})
                pause = self._times.retry_s
            if not self.held():
                raise LostLeadershipError("the Lease could not be renewed in time: another replica may lead")

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._kube.get(LEASES, self._namespace, names.LEASE, self._times.request_s)
        except NotFoundError:
            return None
