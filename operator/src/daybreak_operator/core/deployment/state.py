"""What a ModelDeployment's status remembers from one decision to the next, as values.

Reads leniently: a status of an older operator, or none, gives a state without what it lacks. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from daybreak_contracts.resources.deployment_status import Stage
from daybreak_contracts.routing import Routing
from daybreak_operator.core.capacity.record import memory_of
from daybreak_operator.core.capacity.values import Memory
from daybreak_operator.core.conditions import timestamp


@dataclass(frozen=True)
class Stable:
    """The model that everyone gets. ``since`` is Unix time."""

    digest: str
    uri: str
    since: float


@dataclass(frozen=True)
class Candidate:
    """The model that the spec asks for. After its promotion it stays here, in stage Everyone."""

    digest: str
    uri: str
    source: str
    stage: Stage
    since: float
    weight: int = 0
    verdict: str = ""


@dataclass(frozen=True)
class Retired:
    """A model that left the routing."""

    digest: str
    since: float


@dataclass(frozen=True)
class State:
    """All that is remembered."""

    stable: Stable | None = None
    candidate: Candidate | None = None
    rejected: tuple[str, ...] = ()
    retired: tuple[Retired, ...] = ()
    rollout_digest: str = ""
    routing: Routing | None = None
    memory: Memory = field(default_factory=Memory)
    """Of the model that carries the load: the stable one, or the first one."""
    candidate_memory: Memory = field(default_factory=Memory)

    @property
    def staff_served(self) -> bool:
        """Whether staff got the candidate as of the last decision."""
        routed, candidate = self.routing, self.candidate
        if routed is None or candidate is None:
            return False
        return routed.staff and routed.candidate == candidate.digest

    @property
    def promoted(self) -> bool:
        """Whether the candidate is the stable model: no rollout is under way."""
        return (
            self.candidate is not None
            and self.stable is not None
            and self.candidate.digest == self.stable.digest
        )

    @property
    def refused(self) -> bool:
        """Whether the model that the spec asks for was rolled back."""
        return self.candidate is not None and self.candidate.stage == "RolledBack"

    @property
    def rolling(self) -> Candidate | None:
        """The candidate of a rollout that is under way."""
        return None if self.promoted or self.refused else self.candidate


def seconds_of(text: Any) -> float:
    """Return the Unix time of RFC 3339 text; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def text_of(seconds: float) -> str:
    """Return Unix time as Kubernetes writes it."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def read(status: Mapping[str, Any] | None) -> State:
    """Return what a stored status remembers."""
    status = status or {}
    return State(
        stable=_stable(status.get("stable")),
        candidate=_candidate(status.get("candidate")),
        rejected=tuple(status.get("rejected") or ()),
        retired=tuple(
            Retired(one["digest"], seconds_of(one.get("since"))) for one in status.get("retired") or ()
        ),
        rollout_digest=status.get("rolloutDigest") or "",
        routing=_routing((status.get("routing") or {}).get("document")),
        memory=memory_of(status),
        candidate_memory=memory_of(status.get("candidateCapacity") or {}),
    )


def _stable(stored: Mapping[str, Any] | None) -> Stable | None:
    if not stored or not stored.get("digest"):
        return None
    return Stable(stored["digest"], stored.get("uri") or "", seconds_of(stored.get("since")))


def _candidate(stored: Mapping[str, Any] | None) -> Candidate | None:
    if not stored or not stored.get("digest"):
        return None
    return Candidate(
        digest=stored["digest"],
        uri=stored.get("uri") or "",
        source=stored.get("source") or "",
        stage=stored.get("stage") or "Pending",
        since=seconds_of(stored.get("since")),
        weight=stored.get("weight") or 0,
        verdict=stored.get("verdict") or "",
    )


def _routing(document: Mapping[str, Any] | None) -> Routing | None:
    try:
        return Routing.model_validate(document) if document else None
    except ValidationError:
        return None


def write(state: State) -> dict[str, Any]:
    """Return the part of the status that ``read`` reads, but for the memory of zones (``status``)."""
    part: dict[str, Any] = {"rejected": list(state.rejected), "rolloutDigest": state.rollout_digest}
    part["retired"] = [{"digest": one.digest, "since": text_of(one.since)} for one in state.retired]
    if state.stable is not None:
        stable = state.stable
        part["stable"] = {"digest": stable.digest, "uri": stable.uri, "since": text_of(stable.since)}
    if state.candidate is not None:
        part["candidate"] = _candidate_part(state.candidate)
    if state.routing is not None:
        document = state.routing.model_dump(mode="json", by_alias=True)
        part["routing"] = {"version": state.routing.version, "document": document}
    return part


def _candidate_part(candidate: Candidate) -> dict[str, Any]:
    return {
        "digest": candidate.digest,
        "uri": candidate.uri,
        "source": candidate.source,
        "stage": candidate.stage,
        "weight": candidate.weight,
        "since": text_of(candidate.since),
        "verdict": candidate.verdict,
    }
