"""Loss and gradient norm of real tiny trainings, step by step, clean and with a fault planted.

Owns the recordings: our own model, AdamW with warm-up, plateau and decay, code of the standard library. A planted
fault forks the training at a step: a few steps with the fault beside the same steps without it, so that the height of
a spike is known. Owns no detector.
"""

from __future__ import annotations

import copy
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from daybreak_contracts import names
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_model.llama.sizes import Dimensions
from daybreak_train.model import Llama, ModelConfig, initialise

VOCABULARY, CONTEXT = 1024, 64
CORPUS_FILES = 300
AFTER_FAULT = 4
"""Steps recorded from the fault on."""
Step = tuple[float, float]
"""Loss and gradient norm before clipping, both before the update."""


@dataclass(frozen=True)
class Setting:
    """One training."""

    hidden: int
    rate: float
    batch: int
    steps: int
    seed: int


SETTINGS = (
    Setting(32, 4e-3, 32, 4000, 1),
    Setting(48, 4e-3, 32, 3000, 2),
    Setting(32, 1.6e-2, 16, 4000, 3),
    Setting(64, 8e-3, 32, 2000, 4),
    Setting(32, 2e-3, 8, 6000, 5),
    Setting(32, 8e-3, 64, 2000, 6),
)
FAULTS = ("random ids", "one id repeated", "wrong labels", "doubled learning rate", "corrupted shard")


@dataclass(frozen=True)
class Planted:
    """A fault in a recorded training."""

    fault: str
    at: int
    """The step (from 0) of the fault."""
    steps: tuple[Step, ...]
    """From ``at`` on, with the fault."""
    clean: tuple[Step, ...]
    """The same steps without it."""


@dataclass(frozen=True)
class Recording:
    """A clean training and what was planted into it."""

    setting: Setting
    steps: tuple[Step, ...]
    planted: tuple[Planted, ...]


def corpus() -> NDArray[np.int64]:
    """Return the tokens of the standard library's first files, by a tokenizer trained on them."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:CORPUS_FILES]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = tokenizer.token_to_id(names.END_OF_TEXT)
    tokens = [token for text in texts for token in (*tokenizer.encode(text).ids, end)]
    count = len(tokens) // (CONTEXT + 1)
    return np.array(tokens[: count * (CONTEXT + 1)], dtype=np.int64).reshape(count, CONTEXT + 1)


class Training:
    """A training that can be forked."""

    def __init__(self, setting: Setting, rows: NDArray[np.int64]) -> None:
        heads = max(2, setting.hidden // 16)
        self.setting, self._rows = setting, rows
        dims = Dimensions(setting.hidden, 2, heads, max(1, heads // 2), 2 * setting.hidden)
        self.model = Llama(ModelConfig(dims, VOCABULARY, CONTEXT))
        initialise(self.model, setting.seed)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )
        self.step = 0
        self.rate_times = 1.0
        self._numbers = Hyperparameters(
            setting.rate, round(0.02 * setting.steps), 0.2, setting.batch, 1.0, 0.1
        )

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return inputs and labels of the step that comes."""
        per_epoch = len(self._rows) // self.setting.batch
        epoch, place = divmod(self.step, per_epoch)
        order = np.random.default_rng((self.setting.seed, epoch)).permutation(len(self._rows))
        rows = self._rows[order[place * self.setting.batch : (place + 1) * self.setting.batch]]
        return torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())

    def train(self, tokens: Tensor, labels: Tensor) -> Step:
        """Make one step; return its loss and gradient norm."""
        rate = self._numbers.rate(self.step, self.step / self.setting.steps) * self.rate_times
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model.loss_sum(tokens, labels) / labels.numel()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach()), float(norm)

    def fork(self) -> Training:
        """Return a copy that goes its own way."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        twin.optimizer = torch.optim.AdamW(
            twin.model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )
        twin.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        return twin


def record(setting: Setting, rows: NDArray[np.int64], every: int) -> Recording:
    """Train, and plant every fault at every ``every``-th step, in shares of the batch that make high and low spikes."""
    training = Training(setting, rows)
    steps: list[Step] = []
    planted: list[Planted] = []
    while training.step < setting.steps:
        if training.step and training.step % every == 0 and training.step < setting.steps - AFTER_FAULT:
            planted.extend(_planted(training))
        steps.append(training.train(*training.batch()))
    return Recording(setting, tuple(steps), tuple(planted))


def _planted(training: Training) -> Iterator[Planted]:
    clean = _clean(training.fork())
    draw = np.random.default_rng((training.setting.seed, training.step))
    for fault in FAULTS:
        for share in (0.25, 0.5, 1.0):
            steps = _faulty(training.fork(), fault, share, draw)
            yield Planted(fault, training.step, steps, clean)


def _clean(training: Training) -> tuple[Step, ...]:
    return tuple(training.train(*training.batch()) for _ in range(AFTER_FAULT))


def _faulty(training: Training, fault: str, share: float, draw: np.random.Generator) -> tuple[Step, ...]:
    if fault == "doubled learning rate":
        # doubled once to four times over, for good: how high the loss goes shows in the steps after
        training.rate_times = {0.25: 2.0, 0.5: 4.0, 1.0: 16.0}[share]
        return _clean(training)
    spoil = _SPOILERS[fault]
    steps = []
    for number in range(AFTER_FAULT):
        tokens, labels = training.batch()
        if number == 0:
            count = max(1, round(share * len(tokens)))
            tokens[:count], labels[:count] = spoil(tokens[:count], labels[:count], draw)
        steps.append(training.train(tokens, labels))
    return tuple(steps)


def _random_ids(tokens: Tensor, labels: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    made = torch.from_numpy(draw.integers(0, VOCABULARY, (len(tokens), CONTEXT + 1)))
    return made[:, :-1], made[:, 1:]


def _one_id(tokens: Tensor, labels: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    made = torch.full_like(tokens, int(draw.integers(0, VOCABULARY)))
    return made, made


def _wrong_labels(tokens: Tensor, labels: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    order = torch.from_numpy(draw.permutation(labels.numel()))
    return tokens, labels.flatten()[order].reshape(labels.shape)


def _corrupted(tokens: Tensor, labels: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    # bytes of a shard shifted by one: each id is half of one token and half of the next, cut to the vocabulary
    raw = torch.cat([tokens, labels[:, -1:]], dim=1).numpy().astype(np.uint16)
    shifted = np.roll(raw.view(np.uint8), 1, axis=1).view(np.uint16).astype(np.int64) % VOCABULARY
    made = torch.from_numpy(shifted)
    return made[:, :-1], made[:, 1:]


_SPOILERS: dict[str, Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]] = {
    "random ids": _random_ids,
    "one id repeated": _one_id,
    "wrong labels": _wrong_labels,
    "corrupted shard": _corrupted,
}
