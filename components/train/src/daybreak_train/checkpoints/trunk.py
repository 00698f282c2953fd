"""The checkpoint from which a longer run goes on: the last one before the rate begins to fall.

Owns ``trunk.json`` beside a run's checkpoints, which names that checkpoint, keeps it from being pruned and says which
training, whatever its length, it belongs to. Owns no tensor: it is looked for before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_train import places


class Trunk(BaseModel):
    """A run's state before its decay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Digest of the training without its length and its decay."""
    run: str
    """Digest of the run that wrote the checkpoint."""
    folder: str
    """Where that run's checkpoints lie, below the output."""
    step: int
    elapsed_seconds: float
    hyperparameters: Hyperparameters
    """The trunk's own numbers: whoever goes on from it inherits rate, warm-up and batch."""

    @property
    def num_samples(self) -> int:
        """Samples that the run had seen there."""
        return self.step * self.hyperparameters.samples_per_step

    @property
    def name(self) -> str:
        """Where the checkpoint lies, below the folder of all runs' checkpoints."""
        return f"{self.folder}/{places.step_folder(self.step)}"


def record(folder: str, trunk: Trunk) -> None:
    """Name the checkpoint that is about to be written: killed in between, the run meets this step again."""
    storage.write_json(storage.join(folder, places.TRUNK), trunk.model_dump(mode="json"))


def kept_step(folder: str) -> int | None:
    """Return the step of the checkpoint that must not be pruned."""
    found = _read(storage.join(folder, places.TRUNK))
    return None if found is None else found.step


def find(checkpoints: str, names: Sequence[str], key: str) -> list[Trunk]:
    """Return the trunks below all runs' checkpoints that belong to this training and whose checkpoint is there.

    ``names`` are the files below ``checkpoints``.
    """
    present = set(names)
    found = (_read(storage.join(checkpoints, name)) for name in names if name.endswith(f"/{places.TRUNK}"))
    return [
        trunk
        for trunk in found
        if trunk is not None and trunk.key == key and f"{trunk.name}/{places.MANIFEST}" in present
    ]


def longest(trunks: Iterable[Trunk], before_decay: Callable[[Trunk], bool]) -> Trunk | None:
    """Return the trunk that saves most steps of those that end before this run's own decay begins."""
    fitting = (trunk for trunk in trunks if before_decay(trunk))
    return max(fitting, key=lambda each: (each.num_samples, each.run), default=None)


def _read(location: str) -> Trunk | None:
    if not storage.exists(location):
        return None
    try:
        return Trunk.model_validate(storage.read_json(location))
    except (UserError, ValidationError):
        return None  # a later version's, or torn by hand: the run then starts from the beginning
