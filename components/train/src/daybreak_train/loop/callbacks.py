"""What happens around each step of Composer's loop: rate, clipping, ledger, checkpoint, stop.

Owns what is decided between two steps. Owns no loop (Composer calls) and no layout of a checkpoint.
Every decision that ranks must share (time is up, a signal came, a checkpoint is due) is made once from values that
were reduced over all ranks.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_contracts.planning import recipe
from daybreak_contracts.progress import Progress
from daybreak_train.checkpoints.writer import CheckpointWriter
from daybreak_train.lean_imports import import_composer
from daybreak_train.loop.data_loading import batch_digest
from daybreak_train.loop.ledger import Ledger, LedgerEntry
from daybreak_train.loop.tracking import Tracker
from daybreak_train.loop.train_state import (
    TrainState,
    collective_device,
    gathered_random_states,
    set_random_state,
    snapshot_of,
)
from daybreak_train.pod.environment import ProcessPlacement
from daybreak_train.pod.metrics_file import MetricsFile

composer = import_composer()

CLIP_NORM = 1.0
TOTAL_LOSS = "loss/train/total"
HELD_OUT_AT = (0.25, 0.5, 0.75)
"""Shares of the run after which the held-out loss is looked at."""
TRACK_INTERVAL_S = 1.0
SPEED_WINDOW_S = 10.0


@dataclass(frozen=True)
class TrainPlan:
    """All that is fixed before the first step."""

    budget: recipe.Budget
    peak_rate: float
    samples_per_step: int
    context_length: int
    batches_per_epoch: int
    checkpoint_every_s: float | None
    """None: from the measured stall."""
    num_gpus: int
    flops_a_token: int
    peak_flops: float | None


@dataclass(frozen=True)
class Recorders:
    """Where a run leaves its traces; only rank 0 holds any."""

    ledger: Ledger | None
    tracker: Tracker | None
    writer: CheckpointWriter | None
    progress: Progress
    metrics_file: MetricsFile | None = None
    """Where the pod's own process looks; only in a pod."""


class StopSignals:
    """Remembers that the process was asked to end; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.received = 0
        if threading.current_thread() is not threading.main_thread():
            self._before: dict[int, Any] = {}
            return
        self._before = {name: signal.signal(name, self._note) for name in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number

    def restore(self) -> None:
        """Give the signals back."""
        for name, handler in self._before.items():
            signal.signal(name, handler)


class StepCallback(composer.Callback):  # type: ignore[name-defined]
    """The run, as Composer meets it."""

    def __init__(
        self,
        plan: TrainPlan,
        train_state: TrainState,
        recorders: Recorders,
        placement: ProcessPlacement,
        held_out: Callable[[], float],
    ) -> None:
        self.plan, self.recorders = plan, recorders
        self.outcome, self.trained = train_state.outcome, train_state.trained
        self._placement = placement
        self._held_out = held_out
        self._random_state = train_state.random_state
        self._signals = StopSignals()
        self._grad_norm = torch.zeros(())
        self._rate = 0.0
        self._last = self._last_checkpoint = self._last_tracked = 0.0
        self._recent: list[tuple[float, int]] = []

    def fit_start(self, state: Any, logger: Any) -> None:
        """Start the clock."""
        self._last = self._last_checkpoint = time.perf_counter()

    def batch_start(self, state: Any, logger: Any) -> None:
        """Set the rate of this step; put the generators back where the checkpoint left them."""
        if self._random_state is not None:
            set_random_state(self._random_state)
            self._random_state = None
        done = self.plan.budget.progress(self.outcome.step, self.outcome.elapsed_s)
        self._rate = self.plan.peak_rate * recipe.rate_factor(done)
        for group in self.trained.optimizer.param_groups:
            group["lr"] = self._rate

    def after_train_batch(self, state: Any, logger: Any) -> None:
        """Clip the gradients, between the backward pass and the update."""
        self._grad_norm = nn.utils.clip_grad_norm_(self.trained.model.parameters(), CLIP_NORM)

    def batch_end(self, state: Any, logger: Any) -> None:
        """Count the step, write it down, and decide together what comes next."""
        sample_ids, digests = self._gathered(state.batch)
        stop = self._advance()
        done = self.plan.budget.progress(self.outcome.step, self.outcome.elapsed_s)
        finished = done >= 1.0
        held_out = None
        looks = self.outcome.held_out_looks
        if not finished and looks < len(HELD_OUT_AT) and done >= HELD_OUT_AT[looks]:
            self.outcome.held_out_looks = sum(done >= share for share in HELD_OUT_AT)
            held_out = self._held_out()
            state.model.train()
            self._last = time.perf_counter()  # a look at held-out data is not training time
        self._record(state, batch_digest(sample_ids, digests), held_out)
        if finished:
            self.outcome.stopped_by = self.plan.budget.stopped_by(self.outcome.step)
        if stop.signal and not finished:
            self.outcome.signal = stop.signal
        if finished or stop.signal or stop.checkpoint:
            self._save()
        if finished or stop.signal:
            state.stop_training()

    def close(self, state: Any, logger: Any) -> None:
        """Give the signals back."""
        self._signals.restore()

    def _advance(self) -> _Shared:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        due = now - self._last_checkpoint >= self._checkpoint_interval()
        shared = reduced(
            _Shared(spent, self._signals.received, due and self._placement.is_leader), self._placement
        )
        self.outcome.step += 1
        self.outcome.steps_here += 1
        self.outcome.elapsed_s += shared.seconds
        self.outcome.seconds_here += shared.seconds
        return shared

    def _checkpoint_interval(self) -> float:
        if self.plan.checkpoint_every_s is not None:
            return self.plan.checkpoint_every_s
        stall = max(self.outcome.stalls_s, default=0.1)
        return recipe.checkpoint_interval(stall, self.plan.num_gpus)

    def _gathered(self, batch: Mapping[str, Tensor]) -> tuple[Any, Any]:
        mine = torch.stack((batch["sample_ids"], batch["digests"])).to(collective_device(self._placement))
        if self._placement.world_size == 1:
            return mine[0].cpu().numpy(), mine[1].cpu().numpy()
        parts = [torch.empty_like(mine) for _ in range(self._placement.world_size)]
        dist.all_gather(parts, mine)
        both = torch.cat(parts, dim=1).cpu().numpy()
        both = both[:, both[0] >= 0]  # what only fills up a share is none of the batch's samples
        return both[0], both[1]

    def _record(self, state: Any, digest: str, held_out: float | None) -> None:
        ledger = self.recorders.ledger
        if ledger is None:
            return
        plan, step = self.plan, self.outcome.step
        speed = self._speed()
        entry = LedgerEntry(
            step=step,
            epoch=(step - 1) // plan.batches_per_epoch,
            first_sample=(step - 1) * plan.samples_per_step,
            tokens=step * plan.samples_per_step * plan.context_length,
            loss=float(state.total_loss_dict[TOTAL_LOSS]),
            grad_norm=float(self._grad_norm),
            lr=self._rate,
            tokens_per_second=round(speed, 1),
            batch_digest=digest,
            held_out_loss=held_out,
            mfu=self._mfu(speed),
        )
        ledger.append(entry)
        self._tell(entry)

    def _speed(self) -> float:
        """Return tokens per second over the last ten seconds."""
        now = self.outcome.seconds_here
        self._recent.append((now, self.outcome.steps_here))
        while len(self._recent) > 2 and now - self._recent[0][0] > SPEED_WINDOW_S:
            self._recent.pop(0)
        began, first = self._recent[0] if len(self._recent) > 1 else (0.0, 0)
        steps = self.outcome.steps_here - first
        return steps * self.plan.samples_per_step * self.plan.context_length / max(1e-9, now - began)

    def _mfu(self, speed: float) -> float | None:
        if self.plan.peak_flops is None:
            return None
        return round(
            recipe.mfu(speed / self._placement.world_size, self.plan.flops_a_token, self.plan.peak_flops), 4
        )

    def _tell(self, entry: LedgerEntry) -> None:
        done = self.plan.budget.progress(self.outcome.step, self.outcome.elapsed_s)
        left = self.outcome.elapsed_s * max(0.0, 1.0 - done) / max(done, 1e-9)
        words = f"loss {entry.loss:.3f}, {entry.tokens_per_second:,.0f} tokens/s, {_duration(left)} left"
        self.recorders.progress.report(words, min(1.0, done) * 100, 100)
        self._write_snapshot(entry, done, left)
        tracker, now = self.recorders.tracker, time.perf_counter()
        if tracker is None or (now - self._last_tracked < TRACK_INTERVAL_S and entry.held_out_loss is None):
            return
        self._last_tracked = now
        metrics = {
            TOTAL_LOSS: entry.loss,
            "l2_norm/grad/global": entry.grad_norm,
            "lr": entry.lr,
            "throughput/tokens_per_sec": entry.tokens_per_second,
            "memory/peak_bytes": float(peak_memory_bytes()),
            "throughput/device/mfu": entry.mfu,
            "loss/held_out": entry.held_out_loss,
        }
        tracker.log({name: value for name, value in metrics.items() if value is not None}, entry.step)

    def _write_snapshot(self, entry: LedgerEntry, done: float, left: float) -> None:
        metrics_file, writer = self.recorders.metrics_file, self.recorders.writer
        if metrics_file is None:
            return
        metrics_file.write(
            TrainerSnapshot(
                step=entry.step,
                total_steps=self.plan.budget.steps or round(entry.step / max(done, 1e-9)),
                loss=entry.loss,
                tokens_per_second=entry.tokens_per_second,
                mfu=entry.mfu,
                seconds_left=round(left, 1),
                updated=time.time(),
                checkpoint_step=writer.committed_step if writer is not None else 0,
            )
        )

    def _save(self) -> None:
        started = time.perf_counter()
        states = gathered_random_states(self._placement)
        writer, ledger = self.recorders.writer, self.recorders.ledger
        if writer is not None and ledger is not None:
            writer.save(snapshot_of(self.trained, self.outcome, states, ledger.contents()))
        self._last_checkpoint = time.perf_counter()
        self.outcome.stalls_s.append(self._last_checkpoint - started)


@dataclass(frozen=True)
class _Shared:
    """What one rank knows that all must act on."""

    seconds: float
    signal: int
    checkpoint: bool


def reduced(mine: _Shared, placement: ProcessPlacement) -> _Shared:
    """Return the maximum over all ranks of each value: one small collective a step."""
    if placement.world_size == 1:
        return mine
    device = collective_device(placement)
    values = torch.tensor([mine.seconds, mine.signal, mine.checkpoint], dtype=torch.float64, device=device)
    dist.all_reduce(values, op=dist.ReduceOp.MAX)
    seconds, number, checkpoint = values.tolist()
    return _Shared(seconds, int(number), bool(checkpoint))


def peak_memory_bytes() -> int:
    """Return the peak memory of this process: on the GPU if it uses one, else resident."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
