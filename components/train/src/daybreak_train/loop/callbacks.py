"""What happens around each step of Composer's loop: rate, clipping, ledger, checkpoint, stop.

Owns what is decided between two steps. Owns no loop (Composer calls) and no layout of a checkpoint.
Every decision that ranks must share (time is up, a signal came, a checkpoint is due) is made once from values that
were reduced over all ranks.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_contracts.planning import recipe
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.training import Guard
from daybreak_train import places, sharded_model
from daybreak_train.checkpoints.trunk import Trunk
from daybreak_train.checkpoints.writer import CheckpointWriter
from daybreak_train.guard import policy
from daybreak_train.guard.events import finite
from daybreak_train.guard.health import health_of
from daybreak_train.lean_imports import import_composer
from daybreak_train.loop.data_loading import batch_digest
from daybreak_train.loop.ledger import Ledger, LedgerEntry
from daybreak_train.loop.shared_step import SharedStep, StepSums, reduced
from daybreak_train.loop.stop_signals import StopSignals
from daybreak_train.loop.train_state import (
    TrainState,
    collective_device,
    gathered_random_states,
    set_random_state,
    snapshot_of,
)
from daybreak_train.pod.environment import ProcessPlacement
from daybreak_train.pod.metrics_file import MetricsFile
from daybreak_train.replay import sample_ids as sample_codec
from daybreak_train.tracking.points import PointGatherer, generations_text
from daybreak_train.tracking.tracker import Tracker

composer = import_composer()
log = logging.getLogger(__name__)

HELD_OUT_AT = (0.25, 0.5, 0.75)
"""Shares of the run after which the held-out loss is looked at."""
TRACK_INTERVAL_S = 1.0
SPEED_WINDOW_S = 10.0


@dataclass(frozen=True)
class TrainPlan:
    """All that is fixed before the first step."""

    budget: recipe.Budget
    hyperparameters: Hyperparameters
    context_length: int
    batches_per_epoch: int
    checkpoint_every_s: float | None
    """None: from the measured stall."""
    num_gpus: int
    flops_a_token: int
    peak_flops: float | None
    guard: Guard
    trunk_key: str
    digest: str
    recorded_rates: Mapping[int, float] = field(default_factory=dict)
    """The rate of each step of a run that is made again; none in a new one."""

    @property
    def samples_per_step(self) -> int:
        """Samples of one step, over all processes."""
        return self.hyperparameters.samples_per_step


@dataclass(frozen=True)
class Recorders:
    """Where a run leaves its traces; only rank 0 holds any."""

    ledger: Ledger | None
    tracker: Tracker | None
    writer: CheckpointWriter | None
    progress: Progress
    metrics_file: MetricsFile | None = None
    """Where the pod's own process looks; only in a pod."""
    save_guard: Callable[[policy.Past], None] = lambda _: None
    """Commits what the guard decided."""
    documents_of: Callable[[Sequence[int]], tuple[str, ...]] = lambda _: ()
    """Source, repository and path of the documents in samples."""


class StepCallback(composer.Callback):  # type: ignore[name-defined]
    """The run, as Composer meets it."""

    def __init__(
        self,
        plan: TrainPlan,
        train_state: TrainState,
        recorders: Recorders,
        placement: ProcessPlacement,
        held_out: Callable[[], float],
        sums: StepSums,
    ) -> None:
        self.plan, self.recorders = plan, recorders
        self.outcome, self.trained = train_state.outcome, train_state.trained
        self._placement = placement
        self._held_out = held_out
        self._random_state = train_state.random_state
        self._signals = StopSignals()
        self._sums = sums
        self._shared = SharedStep(0.0, 0, False)
        self._decision = policy.Decision(self.outcome.guard, apply=True)
        self._shares: NDArray[np.int64] = np.empty((0, 2, 0), np.int64)
        """Sample ids and digests of this step, process by process; -1 where a share was filled up."""
        self._rate = self._done = 0.0
        self.generate: Callable[[], list[dict[str, str]]] = list
        """Answers the prompts of a look at held-out data; every process calls it."""
        self._generations: list[dict[str, str]] = []
        self._since_point = PointGatherer()
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
        self._done = done
        seen = self.outcome.step * self.plan.samples_per_step * self.plan.context_length
        recorded = self.plan.recorded_rates.get(self.outcome.step + 1)
        self._rate = recorded if recorded is not None else self.plan.hyperparameters.rate(seen, done)
        for group in self.trained.optimizer.param_groups:
            group["lr"] = self._rate

    def after_train_batch(self, state: Any, logger: Any) -> None:
        """Clip the gradients and decide, between the backward pass and the update, whether there is one."""
        norm = sharded_model.clip(self.trained.model, self.plan.hyperparameters.clip_norm)
        self._shared = self._advance(norm)
        self._shares = self._samples_of_all(state.batch)  # here, where the device is waited for anyway
        outcome = self.outcome
        decision = policy.decide(
            self.plan.guard, outcome.past, outcome.guard, outcome.step, self._shared.reading
        )
        self._decision, outcome.guard = decision, decision.state
        if not decision.apply:
            # AdamW passes over a weight without a gradient: no decay, no moment, no count. Zeros would do all three.
            self.trained.optimizer.zero_grad(set_to_none=True)

    def batch_end(self, state: Any, logger: Any) -> None:
        """Write the step down, and decide together what comes next."""
        stop = self._shared
        self._remember()
        if self._decision.action == "Rewind":
            self.outcome.rewound = True
            state.stop_training()
            return
        done = self.plan.budget.progress(self.outcome.step, self.outcome.elapsed_s)
        finished = done >= 1.0
        held_out = None
        looks = self.outcome.held_out_looks
        if not finished and looks < len(HELD_OUT_AT) and done >= HELD_OUT_AT[looks]:
            self.outcome.held_out_looks = sum(done >= share for share in HELD_OUT_AT)
            held_out = self._held_out()
            self._generations = self.generate()
            state.model.train()
            self._last = time.perf_counter()  # a look at held-out data is not training time
        self._record(held_out)
        if self.outcome.failure:
            state.stop_training()
            return
        if finished:
            self.outcome.stopped_by = self.plan.budget.stopped_by(self.outcome.step)
        if stop.signal and not finished:
            self.outcome.signal = stop.signal
        decays = self.plan.hyperparameters.decays
        trunk = decays(done) and not decays(self._done)
        if finished or stop.signal or stop.checkpoint or trunk:
            self._save(trunk)
        if finished or stop.signal:
            state.stop_training()

    def close(self, state: Any, logger: Any) -> None:
        """Give the signals back; after one of them only when all is saved, which is when the process ends."""
        if not self.outcome.signal:
            self._signals.restore()

    def _remember(self) -> None:
        """Commit what the guard found, before anything can come of it."""
        found = self._decision.event
        if found is None:
            return
        samples = tuple(sorted(self._whole_batch()[0].tolist()))
        documents = self.recorders.documents_of(samples) if self._placement.is_leader else ()
        event = replace(found, samples=samples, documents=documents)
        self._decision = replace(self._decision, event=event)
        if event.action == "Stop":
            self.outcome.failure = event.sentence
        else:
            self.outcome.past = policy.Past((*self.outcome.past.events, event))
            self.recorders.save_guard(self.outcome.past)
        if self._placement.is_leader:
            log.warning("%s", event.sentence)
        if self.recorders.tracker is not None:
            heights = {"guard/loss_height": event.loss_height, "guard/grad_height": event.grad_height}
            self.recorders.tracker.log(heights, event.step)
            self.recorders.tracker.note(f"guard step {event.step}", event.sentence)

    def _advance(self, grad_norm: Tensor) -> SharedStep:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        due = now - self._last_checkpoint >= self._checkpoint_interval()
        mine = SharedStep(spent, self._signals.received, due and self._placement.is_leader)
        shared = reduced(mine, self._sums.take(grad_norm), self._placement)
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

    def _samples_of_all(self, batch: Mapping[str, Tensor]) -> NDArray[np.int64]:
        mine = torch.stack((batch["sample_ids"], batch["digests"])).to(collective_device(self._placement))
        parts = [mine]
        if self._placement.world_size > 1:
            parts = [torch.empty_like(mine) for _ in range(self._placement.world_size)]
            dist.all_gather(parts, mine)
        shares: NDArray[np.int64] = torch.stack(parts).cpu().numpy()
        return shares

    def _whole_batch(self) -> NDArray[np.int64]:
        """Return ids and digests of the step's samples; what only fills up a share is none of them."""
        both: NDArray[np.int64] = np.concatenate(self._shares, axis=1)
        return both[:, both[0] >= 0]

    def _record(self, held_out: float | None) -> None:
        ledger = self.recorders.ledger
        if ledger is None:
            return
        plan, step, reading = self.plan, self.outcome.step, self._shared.reading
        speed = self._speed()
        event = self._decision.event or self.outcome.past.at(step)
        entry = LedgerEntry(
            step=step,
            epoch=(step - 1) // plan.batches_per_epoch,
            first_sample=(step - 1) * plan.samples_per_step,
            tokens=step * plan.samples_per_step * plan.context_length,
            loss=reading.loss,
            grad_norm=reading.grad_norm,
            lr=self._rate,
            tokens_per_second=round(speed, 1),
            batch_digest=batch_digest(*self._whole_batch()),
            held_out_loss=held_out,
            mfu=self._mfu(speed),
            guard=event.to_json() if event is not None else None,
            left_out=None if self._decision.apply else True,
            samples=sample_codec.encode([share[0].tolist() for share in self._shares]),
            generations=self._generations or None,
            continued_from=self._origin(),
        )
        self._generations = []
        ledger.append(entry)
        self._tell(entry)

    def _origin(self) -> str | None:
        """Return the checkpoint of the shorter run, in the first step after it."""
        origin = self.outcome.continued_from
        return origin if places.step_in(origin) == self.outcome.step - 1 else None

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
        words = f"loss {entry.loss:.3f}, {entry.tokens_per_second:,.0f} tokens/s"
        self.recorders.progress.report(words, min(1.0, done) * 100, 100)
        self._write_snapshot(entry, done, left)
        tracker, now = self.recorders.tracker, time.perf_counter()
        self._since_point.add(entry.loss, entry.grad_norm)
        told = entry.held_out_loss is not None or entry.guard is not None
        if tracker is None or (now - self._last_tracked < TRACK_INTERVAL_S and not told):
            return
        self._last_tracked = now
        metrics = {
            **self._since_point.take(),
            "lr": entry.lr,
            "throughput/tokens_per_sec": entry.tokens_per_second,
            "memory/peak_bytes": float(peak_memory_bytes()),
            "throughput/device/mfu": entry.mfu,
            "loss/held_out": entry.held_out_loss,
        }
        known = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
        tracker.log(known, entry.step)
        if entry.generations:
            tracker.note(f"generations step {entry.step}", generations_text(entry.generations))

    def _write_snapshot(self, entry: LedgerEntry, done: float, left: float) -> None:
        metrics_file, writer = self.recorders.metrics_file, self.recorders.writer
        if metrics_file is None:
            return
        metrics_file.write(
            TrainerSnapshot(
                step=entry.step,
                total_steps=self.plan.budget.steps or round(entry.step / max(done, 1e-9)),
                loss=finite(entry.loss),
                tokens_per_second=entry.tokens_per_second,
                mfu=entry.mfu,
                seconds_left=round(left, 1),
                updated=time.time(),
                checkpoint_step=writer.committed_step if writer is not None else 0,
                health=health_of(
                    self.outcome.past,
                    self.outcome.step,
                    self.plan.guard.window,
                    self._decision.event if self.outcome.failure else None,
                ),
            )
        )

    def _trunk(self) -> Trunk:
        plan, outcome = self.plan, self.outcome
        return Trunk(
            key=plan.trunk_key,
            run=plan.digest,
            folder=places.run_folder(plan.digest),
            step=outcome.step,
            elapsed_seconds=outcome.elapsed_s,
            hyperparameters=plan.hyperparameters,
        )

    def _save(self, trunk: bool) -> None:
        started = time.perf_counter()
        sharded_model.rest(self.trained.model)
        states = gathered_random_states(self._placement)
        writer, ledger = self.recorders.writer, self.recorders.ledger
        if writer is not None:
            began = self.outcome.past.trouble_began(self.outcome.step, self.plan.guard.window)
            good_until = began - 1 if began is not None else None
            lines = ledger.contents() if ledger is not None else b""
            snapshot = snapshot_of(self.trained, self.outcome, states, lines, writer.part)
            writer.save(snapshot, good_until, self._trunk() if trunk else None)
        self._last_checkpoint = time.perf_counter()
        self.outcome.stalls_s.append(self._last_checkpoint - started)


def peak_memory_bytes() -> int:
    """Return the peak memory of this process: on the GPU if it uses one, else resident."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
