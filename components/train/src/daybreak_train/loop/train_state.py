"""The state of a run between two steps, and its way into and out of a checkpoint.

Owns which values a run must remember: weights, optimizer, every rank's random generators, what was counted. Owns
neither files (``checkpoints``) nor the loop.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from daybreak_contracts.errors import ArtifactError
from daybreak_train import sharded_model
from daybreak_train.checkpoints.parts import WHOLE, Part
from daybreak_train.checkpoints.snapshots import Snapshot
from daybreak_train.checkpoints.writer import copied
from daybreak_train.guard.policy import GuardState, Past
from daybreak_train.model import Llama
from daybreak_train.pod.environment import ProcessPlacement

LEFT_OUT = "leftOut"
"""Steps before a checkpoint whose updates are not in its weights."""


@dataclass
class TrainingOutcome:
    """What is known of the run so far; survives in the checkpoint."""

    step: int = 0
    """Steps done."""
    elapsed_s: float = 0.0
    """Training time, over all restarts."""
    held_out_looks: int = 0
    stopped_by: str = ""
    guard: GuardState = field(default_factory=GuardState)
    past: Past = field(default_factory=Past)
    """What the guard decided, also in a part of the run that was undone; not the checkpoint's but the record's."""
    rewound: bool = False
    """Whether the run has to go on from a checkpoint."""
    failure: str = ""
    """Why the guard stopped the run."""
    continued_from: str = ""
    """The checkpoint of a shorter run that this one began with."""
    computes_in: str = ""
    """What products are computed in, as torch calls it; chosen before the first step."""
    signal: int = 0
    """A signal that asked to stop; 0 is none."""
    seconds_here: float = 0.0
    """Training time of this process."""
    steps_here: int = 0
    stalls_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """The two things whose state a checkpoint holds."""

    model: Llama
    optimizer: torch.optim.Optimizer


@dataclass(frozen=True)
class TrainState:
    """A run as it stands, new or restored."""

    trained: Trained
    outcome: TrainingOutcome
    random_state: Mapping[str, Tensor] | None
    """This rank's generators at the checkpoint; None for a new run."""


def snapshot_of(
    trained: Trained,
    outcome: TrainingOutcome,
    random_states: Mapping[str, Tensor],
    ledger: bytes,
    part: Part = WHOLE,
) -> Snapshot:
    """Copy the state of a run, or this process's part of it, into main memory."""
    groups = {"model": trained.model.state_dict(), "optimizer": dict(_optimizer_tensors(trained))}
    mine = {
        group: copied({name: sharded_model.local(tensor) for name, tensor in tensors.items()})
        for group, tensors in groups.items()
    }
    is_cut = not part.is_whole
    return Snapshot(
        step=outcome.step,
        tensors={**mine, "random": dict(random_states)},
        part=part,
        totals={group: sharded_model.totals(tensors) for group, tensors in groups.items()} if is_cut else {},
        state={
            "elapsedSeconds": outcome.elapsed_s,
            "heldOutLooks": outcome.held_out_looks,
            "stoppedBy": outcome.stopped_by,
            "guard": outcome.guard.to_json(),
            LEFT_OUT: sorted(step for step in outcome.past.left_out if step <= outcome.step),
            "continuedFrom": outcome.continued_from,
            "computesIn": outcome.computes_in,
        },
        ledger=ledger,
    )


def restore(snapshot: Snapshot, trained: Trained) -> TrainingOutcome:
    """Put a snapshot's weights and optimizer state back; return what was known of the run."""
    saved = snapshot.tensors["optimizer"]
    weights, cut = snapshot.tensors["model"], snapshot.totals
    parameters = dict(trained.model.named_parameters())
    if weights.keys() != parameters.keys():
        raise ArtifactError(f"the checkpoint of step {snapshot.step} holds other weights than this model has")
    for name, parameter in parameters.items():
        sharded_model.put(parameter, weights[name], is_cut=name in cut.get("model", {}))
        prefix = f"{name}/"
        moments = {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)}
        trained.optimizer.state[parameter] = {
            key: sharded_model.like(parameter, value, is_cut=prefix + key in cut.get("optimizer", {}))
            for key, value in moments.items()
        }
    return TrainingOutcome(
        step=snapshot.step,
        elapsed_s=float(snapshot.state["elapsedSeconds"]),
        held_out_looks=int(snapshot.state["heldOutLooks"]),
        stopped_by=str(snapshot.state["stoppedBy"]),
        guard=GuardState.from_json(snapshot.state["guard"]),
        continued_from=str(snapshot.state["continuedFrom"]),
        computes_in=str(snapshot.state.get("computesIn", "")),
    )


def _optimizer_tensors(trained: Trained) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trained.model.named_parameters():
        for key, value in trained.optimizer.state.get(parameter, {}).items():
            yield f"{name}/{key}", value


def random_state() -> dict[str, Tensor]:
    """Return the state of every process-wide generator as tensors."""
    kind, words, position, has_gauss, gauss = np.random.get_state(legacy=True)
    assert kind == "MT19937"
    version, internal, gauss_next = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.array(words, dtype=np.int64)),
        "numpyRest": torch.tensor([position, has_gauss, gauss], dtype=torch.float64),
        "python": torch.tensor([version, *internal], dtype=torch.int64),
        "pythonRest": torch.tensor([] if gauss_next is None else [gauss_next], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: Mapping[str, Tensor]) -> None:
    """Put every process-wide generator back."""
    torch.set_rng_state(states["torch"])
    position, has_gauss, gauss = states["numpyRest"].tolist()
    np.random.set_state(
        ("MT19937", states["numpy"].numpy().astype(np.uint32), int(position), int(has_gauss), gauss)
    )
    version, *internal = states["python"].tolist()
    rest = states["pythonRest"].tolist()
    random.setstate((version, tuple(internal), rest[0] if rest else None))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def gathered_random_states(placement: ProcessPlacement) -> dict[str, Tensor]:
    """Return the generators of all ranks as ``<rank>/<name>``."""
    mine = random_state()
    everyone: list[Any] = [mine]
    if placement.world_size > 1:
        everyone = [None] * placement.world_size
        dist.all_gather_object(everyone, mine)  # between our own processes, not from storage
    return {f"{rank}/{name}": value for rank, states in enumerate(everyone) for name, value in states.items()}


def random_state_of(snapshot: Snapshot, rank: int) -> dict[str, Tensor] | None:
    """Return the generators of one rank; None for a rank that the checkpoint's run did not have."""
    prefix = f"{rank}/"
    saved = snapshot.tensors["random"]
    return {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)} or None


def collective_device(placement: ProcessPlacement) -> torch.device:
    """Return where tensors must lie for this run's collectives."""
    if placement.world_size > 1 and dist.get_backend() == "nccl":
        return torch.device("cuda", placement.local_rank)
    return torch.device("cpu")


def shared_past(mine: Past, placement: ProcessPlacement) -> Past:
    """Return rank 0's record of the guard on every rank."""
    if placement.world_size == 1:
        return mine
    shared = [mine]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]


def shared_by_leader(mine: Snapshot | None, placement: ProcessPlacement) -> Snapshot | None:
    """Return rank 0's snapshot on every rank: only one process reads the checkpoint store."""
    if placement.world_size == 1:
        return mine
    header: list[Any] = [None if mine is None else (mine.step, dict(mine.state), _shapes(mine))]
    dist.broadcast_object_list(header, src=0)
    if header[0] is None:
        return None
    step, state, shapes = header[0]
    device = collective_device(placement)
    groups: dict[str, dict[str, Tensor]] = {}
    for group, name, shape, dtype in shapes:
        empty = torch.empty(shape, dtype=dtype)
        tensor = (mine.tensors[group][name] if mine is not None else empty).to(device)
        dist.broadcast(tensor, src=0)
        groups.setdefault(group, {})[name] = tensor.cpu()
    return Snapshot(step=step, tensors=groups, state=state, ledger=mine.ledger if mine is not None else b"")


def _shapes(snapshot: Snapshot) -> list[tuple[str, str, torch.Size, torch.dtype]]:
    return [
        (group, name, tensor.shape, tensor.dtype)
        for group, tensors in snapshot.tensors.items()
        for name, tensor in tensors.items()
    ]
