"""Which process of how many this is: the environment contract of PyTorchJob and torchrun.

Owns reading and checking the variables. Sets none and starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.errors import UserError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = names.PORT_RENDEZVOUS
"""torch's own default; PyTorchJob sets 23456."""


@dataclass(frozen=True)
class ProcessPlacement:
    """One process among all: ranks count from 0, ``local`` means on this node."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    master_addr: str = LOOPBACK
    master_port: int = DEFAULT_PORT
    restarts: int = 0
    """How often torchrun has restarted this group of processes."""
    run_uid: str = ""
    """Of the TrainingRun; empty outside a cluster."""

    @property
    def num_nodes(self) -> int:
        """Machines (or pods) that take part."""
        return self.world_size // self.local_world_size

    @property
    def is_leader(self) -> bool:
        """True for the one process that writes results."""
        return self.rank == 0

    @property
    def is_local_leader(self) -> bool:
        """True for the one process a machine that prepares shared files."""
        return self.local_rank == 0


@dataclass(frozen=True)
class PodPlacement:
    """What a training pod is told: its node and the rendezvous; torchrun inside makes the ranks from it."""

    node_rank: int
    num_nodes: int
    processes: int
    master_addr: str
    master_port: int


def placement_from(environ: Mapping[str, str]) -> ProcessPlacement:
    """Read what torchrun (or PyTorchJob with one process a pod) set; none of it set means one lone process.

    Contradictions and half-set environments are UserErrors that name the variable.
    """
    if "RANK" not in environ and "WORLD_SIZE" not in environ:
        return ProcessPlacement(run_uid=environ.get(names.ENV_RUN_UID, ""))
    missing = [name for name in ("RANK", "WORLD_SIZE") if name not in environ]
    if missing:
        raise UserError(
            f"{missing[0]} is not set but its partner is: set both RANK and WORLD_SIZE, or neither"
        )
    world_size = _integer(environ, "WORLD_SIZE", 1, low=1)
    local_world_size = _integer(environ, "LOCAL_WORLD_SIZE", 1, low=1)
    placement = ProcessPlacement(
        rank=_integer(environ, "RANK", 0),
        world_size=world_size,
        local_rank=_integer(environ, "LOCAL_RANK", 0),
        local_world_size=local_world_size,
        master_addr=environ.get("MASTER_ADDR", LOOPBACK),
        master_port=_port(environ, "MASTER_PORT"),
        restarts=_integer(environ, "TORCHELASTIC_RESTART_COUNT", 0),
        run_uid=environ.get(names.ENV_RUN_UID, ""),
    )
    _check(placement, environ)
    return placement


def pod_from(environ: Mapping[str, str]) -> PodPlacement | None:
    """Read the ``PET_*`` variables of a training pod (they configure torchrun); None outside one."""
    if "PET_NNODES" not in environ:
        return None
    nodes = environ["PET_NNODES"].rpartition(":")[2]  # elastic jobs say "min:max"
    if not nodes.isdigit() or int(nodes) < 1:
        raise UserError(f"PET_NNODES must be a number or min:max, got {environ['PET_NNODES']!r}")
    return PodPlacement(
        node_rank=_integer(environ, "PET_NODE_RANK", 0),
        num_nodes=int(nodes),
        processes=_processes(environ),
        master_addr=environ.get("PET_MASTER_ADDR", environ.get("MASTER_ADDR", LOOPBACK)),
        master_port=_port(environ, "PET_MASTER_PORT" if "PET_MASTER_PORT" in environ else "MASTER_PORT"),
    )


def _processes(environ: Mapping[str, str]) -> int:
    """Return PET_NPROC_PER_NODE; torchrun's words ``auto``, ``cpu`` and ``gpu`` mean 0: the step decides."""
    if environ.get("PET_NPROC_PER_NODE", "auto") in ("auto", "cpu", "gpu"):
        return 0
    return _integer(environ, "PET_NPROC_PER_NODE", 1, low=1)


def _integer(environ: Mapping[str, str], name: str, default: int, low: int = 0) -> int:
    text = environ.get(name, str(default)).strip()
    if not text.isdecimal() or int(text) < low:
        raise UserError(f"{name} must be a whole number of at least {low}, got {text!r}")
    return int(text)


def _port(environ: Mapping[str, str], name: str) -> int:
    port = _integer(environ, name, DEFAULT_PORT, low=1)
    if port > 65535:
        raise UserError(f"{name} must be a port (1 to 65535), got {port}")
    return port


def _check(placement: ProcessPlacement, environ: Mapping[str, str]) -> None:
    if placement.rank >= placement.world_size:
        raise UserError(f"RANK must be below WORLD_SIZE={placement.world_size}, got {placement.rank}")
    if placement.local_rank >= placement.local_world_size:
        raise UserError(
            f"LOCAL_RANK must be below LOCAL_WORLD_SIZE={placement.local_world_size}, got {placement.local_rank}"
        )
    if placement.world_size % placement.local_world_size:
        raise UserError(
            f"WORLD_SIZE={placement.world_size} is not a multiple of LOCAL_WORLD_SIZE="
            f"{placement.local_world_size}: every node must run the same number of processes"
        )
    if placement.num_nodes > 1 and not environ.get("MASTER_ADDR"):
        raise UserError(f"WORLD_SIZE is {placement.world_size} on several nodes but MASTER_ADDR is not set")
