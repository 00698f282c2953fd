"""A ModelDeployment's state, to and from its status.

Reads leniently: a status of an older operator, or none, gives a state without what it lacks. Decides nothing.
"""

from __future__ import annotations

from pydantic import ValidationError

from daybreak_contracts import names
from daybreak_contracts.routing import Routing
from daybreak_operator.core.capacity.codec import memory_of
from daybreak_operator.core.deployment.state import (
    CandidateModel,
    ColdStartStages,
    EngineRuntime,
    RetiredModel,
    RolloutState,
    StableModel,
)
from daybreak_operator.core.plan import Json, Status
from daybreak_operator.core.times import seconds_of, text_of


def read(status: Status | None) -> RolloutState:
    """Return what a stored status remembers."""
    status = status or {}
    return RolloutState(
        stable=_stable(status.get("stable")),
        candidate=_candidate(status.get("candidate")),
        rejected=tuple(status.get("rejected") or ()),
        retired=tuple(
            RetiredModel(one["digest"], seconds_of(one.get("since"))) for one in status.get("retired") or ()
        ),
        rollout_digest=status.get("rolloutDigest") or "",
        asleep_since=_moment(status.get("asleepSince")),
        woken_at=_moment(status.get("wokenAt")),
        cold_start_s=status.get("coldStartSeconds"),
        cold_start=_cold_start(status.get("coldStart")),
        routing=_routing((status.get("routing") or {}).get("document")),
        memory=memory_of(status),
        candidate_memory=memory_of(status.get("candidateCapacity") or {}),
    )


STAGES = {
    "machineSeconds": "machine_s",
    "imageSeconds": "image_s",
    "fetchSeconds": "fetch_s",
    "loadSeconds": "load_s",
}


def _cold_start(stored: Status | None) -> ColdStartStages | None:
    if stored is None:
        return None
    return ColdStartStages(**{name: stored.get(key) for key, name in STAGES.items()})


def _cold_start_part(stages: ColdStartStages) -> dict[str, Json]:
    found = {key: getattr(stages, name) for key, name in STAGES.items()}
    return {key: seconds for key, seconds in found.items() if seconds is not None}


def _moment(stored: str | None) -> float | None:
    return seconds_of(stored) if stored else None


def _stable(stored: Status | None) -> StableModel | None:
    if not stored or not stored.get("digest"):
        return None
    since = seconds_of(stored.get("since"))
    return StableModel(_revision(stored), stored.get("uri") or "", since, _runtime(stored))


def _revision(stored: Status) -> str:
    digest, tag = stored["digest"], stored.get("revision")
    return f"{digest}:{tag}" if tag else str(digest)


def _runtime(stored: Status) -> EngineRuntime | None:
    if not stored.get("image"):
        return None
    return EngineRuntime(
        stored["image"], stored.get("maxConcurrency"), stored.get("runtime") or names.RUNTIME_PYTHON
    )


def _identity(one: StableModel | CandidateModel) -> dict[str, Json]:
    model = names.model_of(one.digest)
    part: dict[str, Json] = {"digest": model}
    if one.digest != model:
        part["revision"] = names.short(one.digest)
    if one.runtime is not None:
        part |= {"image": one.runtime.image, "runtime": one.runtime.kind}
        if one.runtime.slots is not None:
            part["maxConcurrency"] = one.runtime.slots
    return part


def _candidate(stored: Status | None) -> CandidateModel | None:
    if not stored or not stored.get("digest"):
        return None
    return CandidateModel(
        digest=_revision(stored),
        uri=stored.get("uri") or "",
        source=stored.get("source") or "",
        stage=stored.get("stage") or "Pending",
        since=seconds_of(stored.get("since")),
        weight=stored.get("weight") or 0,
        verdict=stored.get("verdict") or "",
        runtime=_runtime(stored),
        in_place=stored.get("inPlace") is True,
    )


def _routing(document: Status | None) -> Routing | None:
    try:
        return Routing.model_validate(document) if document else None
    except ValidationError:
        return None


def write(state: RolloutState) -> dict[str, Json]:
    """Return the part of the status that ``read`` reads, but for the memory of zones (``status``)."""
    part: dict[str, Json] = {"rejected": list(state.rejected), "rolloutDigest": state.rollout_digest}
    part["retired"] = [{"digest": one.digest, "since": text_of(one.since)} for one in state.retired]
    if state.stable is not None:
        stable = state.stable
        part["stable"] = {**_identity(stable), "uri": stable.uri, "since": text_of(stable.since)}
    if state.candidate is not None:
        part["candidate"] = _candidate_part(state.candidate)
    if state.asleep_since is not None:
        part["asleepSince"] = text_of(state.asleep_since)
    if state.woken_at is not None:
        part["wokenAt"] = text_of(state.woken_at)
    if state.cold_start_s is not None:
        part["coldStartSeconds"] = state.cold_start_s
    if state.cold_start is not None:
        part["coldStart"] = _cold_start_part(state.cold_start)
    if state.routing is not None:
        document = state.routing.model_dump(mode="json", by_alias=True)
        part["routing"] = {"version": state.routing.version, "document": document}
    return part


def _candidate_part(candidate: CandidateModel) -> dict[str, Json]:
    return {
        **_identity(candidate),
        "uri": candidate.uri,
        "source": candidate.source,
        "stage": candidate.stage,
        "weight": candidate.weight,
        "since": text_of(candidate.since),
        "verdict": candidate.verdict,
        **({"inPlace": True} if candidate.in_place else {}),
    }
