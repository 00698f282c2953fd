"""What a ModelDeployment's status remembers from one decision to the next, as values. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from daybreak_contracts import names
from daybreak_contracts.resources.deployment_status import Stage
from daybreak_contracts.routing import Routing
from daybreak_operator.core.capacity.values import PlacementMemory


@dataclass(frozen=True)
class EngineRuntime:
    """What a model is served by: with another image or concurrency it answers otherwise."""

    image: str
    slots: int | None = None
    kind: str = names.RUNTIME_PYTHON


@dataclass(frozen=True)
class StableModel:
    """The model that everyone gets. ``since`` is Unix time."""

    digest: str
    """Of the model; with a tag behind it where the same model was there on another runtime (``names.revision_key``)."""
    uri: str
    since: float
    runtime: EngineRuntime | None = None
    """None where an operator wrote it that remembered none."""

    @property
    def words(self) -> str:
        """Return what people know it by."""
        return words_of(self.digest, self.runtime)


@dataclass(frozen=True)
class CandidateModel:
    """The model that the spec asks for. After its promotion it stays here, in stage Everyone."""

    digest: str
    uri: str
    source: str
    stage: Stage
    since: float
    weight: int = 0
    verdict: str = ""
    runtime: EngineRuntime | None = None
    in_place: bool = False
    """Whether it takes the stable model's machines over, one after the other: there are none to spare."""

    @property
    def words(self) -> str:
        """Return what people know it by."""
        return words_of(self.digest, self.runtime)


def words_of(digest: str, runtime: EngineRuntime | None) -> str:
    """Return the model in short, and its image where it is not the only thing that changed."""
    model = names.model_of(digest)
    where = f" on image {runtime.image}" if runtime is not None and digest != model else ""
    return f"{names.short(model)}{where}"


@dataclass(frozen=True)
class RetiredModel:
    """A model that left the routing."""

    digest: str
    since: float


@dataclass(frozen=True)
class ColdStartStages:
    """Seconds of a replica's start; None: its pod's status does not tell."""

    machine_s: int | None = None
    """Until it had a node."""
    image_s: int | None = None
    """From then until its first container ran."""
    fetch_s: int | None = None
    load_s: int | None = None
    """From the model's fetch until it answered."""


@dataclass(frozen=True)
class RolloutState:
    """All that is remembered."""

    stable: StableModel | None = None
    candidate: CandidateModel | None = None
    rejected: tuple[str, ...] = ()
    retired: tuple[RetiredModel, ...] = ()
    rollout_digest: str = ""
    routing: Routing | None = None
    routed: int = 0
    """The newest version of it that gateways may have seen, where the status does not tell."""
    asleep_since: float | None = None
    """Since when no replica shall run because nobody asks; None while awake."""
    woken_at: float | None = None
    """When it was last woken."""
    cold_start_s: int | None = None
    """What it last took until the first replica answered."""
    cold_start: ColdStartStages | None = None
    """The same by its stages."""
    memory: PlacementMemory = field(default_factory=PlacementMemory)
    """Of the model that carries the load: the stable one, or the first one."""
    candidate_memory: PlacementMemory = field(default_factory=PlacementMemory)

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
    def rolling(self) -> CandidateModel | None:
        """The candidate of a rollout that is under way."""
        return None if self.promoted or self.refused else self.candidate
