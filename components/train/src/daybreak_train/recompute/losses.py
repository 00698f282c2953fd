"""The loss of each sample of a recorded batch, by weights that were kept.

Owns the choice of the weights and says which they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_train import places
from daybreak_train.checkpoints import snapshots
from daybreak_train.loop.run import Run
from daybreak_train.model import Llama, initialise
from daybreak_train.objectives.protocol import IGNORED
from daybreak_train.recompute.locate import RecordedTraining


def nearest(step: int, kept: Sequence[int], last: int | None) -> list[int]:
    """Return after how many steps there are weights, nearest to the beginning of a step first; 0 is the beginning.

    ``last`` is the number of steps of a finished training, whose weights are there too.

    >>> nearest(20, [10, 30], 40), nearest(20, [], None)
    ([10, 30, 0, 40], [0])
    """
    there = {0, *kept, *([last] if last is not None else [])}
    return sorted(there, key=lambda done: (abs(done - (step - 1)), done))


def nearest_weights(training: RecordedTraining, run: Run, step: int) -> tuple[Llama, str, bool]:
    """Return the model nearest to the beginning of a step, which one it is, and whether the step began with it."""
    last = max(training.entries) if training.artifact is not None else None
    kept = training.kept
    for done in nearest(step, kept, last):
        try:
            llama, name = _weights(training, run, done, done in kept)
        except UserError:
            continue  # torn: the next one
        return llama, name, done == step - 1
    raise AssertionError("the weights of the beginning are always there")


def _weights(training: RecordedTraining, run: Run, done: int, is_kept: bool) -> tuple[Llama, str]:
    llama = Llama(run.config)
    if is_kept:
        snapshot = snapshots.read(snapshots.uri_of(training.checkpoints, done), training.record.digest)
        llama.load_state_dict(dict(snapshot.tensors["model"]))
        return llama, f"the weights of the checkpoint after step {done}"
    if done == 0:
        initialise(llama, run.args.seed)
        return llama, "the weights before the first step"
    from safetensors.torch import load

    assert training.artifact is not None
    llama.load_state_dict(load(storage.read_bytes(storage.join(training.artifact, places.WEIGHTS))))
    return llama, f"the final weights, after step {done}"


def sample_losses(llama: Llama, batch: Mapping[str, Tensor]) -> list[tuple[float, int]]:
    """Return for each sample its mean loss in nats and how many tokens it predicts; in fp32 on the CPU."""
    found = []
    llama.eval()
    with torch.no_grad():
        for tokens, labels in zip(batch["tokens"], batch["labels"], strict=True):
            count = int((labels != IGNORED).sum())
            total = float(llama.loss_sum(tokens.unsqueeze(0), labels.unsqueeze(0)))
            found.append((total / max(1, count), count))
    return found
