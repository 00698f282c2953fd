"""The thin adapter to Composer: its Trainer runs our model on our data with our callback.

Owns which of Composer's many switches are on: hardly any. Its checkpoints, autoresume, loggers and schedulers stay
unused, because they lose steps after a kill and load by unpickling.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from daybreak_contracts.planning import memory, recipe
from daybreak_contracts.planning import sharding as sharding_plan
from daybreak_train import sharded_model
from daybreak_train.lean_imports import import_composer
from daybreak_train.loop.batches_ahead import lost_process_named
from daybreak_train.loop.callbacks import Recorders, StepCallback, TrainPlan
from daybreak_train.loop.data_loading import Collator, TrainStream, held_out_batches
from daybreak_train.loop.generations import generate
from daybreak_train.loop.run import Run
from daybreak_train.loop.sample_order import StreamPosition
from daybreak_train.loop.shared_step import StepSums
from daybreak_train.loop.train_state import TrainState, collective_device
from daybreak_train.model import Llama
from daybreak_train.objectives.next_token import NextTokenObjective
from daybreak_train.objectives.protocol import IGNORED
from daybreak_train.process_group import TIMEOUT_S
from daybreak_train.waitless_trainer import WaitlessTrainer, trained_tokens

composer = import_composer()

HELD_OUT_SAMPLES_BETWEEN = 32
HELD_OUT_BATCH = 8
CPU_ACTIVATION_SHARE = 0.5
"""Above it layers are computed twice; more than ``memory.CPU_ACTIVATION_BYTES`` at once makes nothing faster there."""
WITHOUT_END = 1 << 40
"""Steps of a run that only time ends."""


class ComposerLlama(composer.ComposerModel):  # type: ignore[name-defined]
    """The model in Composer's clothes: a batch in, the mean loss out."""

    def __init__(self, llama: Llama, bf16_on_cpu: bool, sums: StepSums) -> None:
        super().__init__()
        self.llama = llama
        self._sums = sums
        self._bf16_on_cpu = bf16_on_cpu

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss summed over the batch's labels."""
        if not self._bf16_on_cpu:
            return self.llama.loss_sum(batch["tokens"], batch["labels"])
        with torch.autocast("cpu", torch.bfloat16):  # Composer offers mixed precision on GPUs only
            return self.llama.loss_sum(batch["tokens"], batch["labels"])

    def loss(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean loss in nats per trained token; Composer weighs micro-batches by their tokens."""
        tokens = (batch["labels"] != IGNORED).sum()
        self._sums.add(outputs, tokens)
        return outputs / tokens.clamp_min(1)


def fit(run: Run, plan: TrainPlan, train_state: TrainState, recorders: Recorders) -> None:
    """Run Composer's loop from the outcome's step to the end of the budget, or until asked to stop."""
    device_batch = recipe.device_batch(plan.samples_per_step, run.placement.world_size)
    collate = Collator(run.objective(), run.sample_shape)
    stream = TrainStream(
        run.inputs.shards,
        run.placement,
        plan.samples_per_step,
        run.args.seed,
        collate,
        processes_ahead=recipe.processes_ahead(plan.num_gpus, torch.get_num_threads()),
    )
    trained, done = train_state.trained, train_state.outcome.step
    look = functools.partial(held_out_loss, run, trained.model, HELD_OUT_SAMPLES_BETWEEN)
    sums = StepSums()
    callback = StepCallback(plan, train_state, recorders, run.placement, look, sums)
    callback.generate = functools.partial(generate, run, trained.model)
    _compile(trained.model, run.device)
    micro = _micro_batch(run, trained.model, device_batch)
    bf16_on_cpu = run.device.type != "cuda" and train_state.outcome.computes_in == "bfloat16"
    model = ComposerLlama(trained.model, bf16_on_cpu, sums)
    trainer = _composer_trainer(run, model, callback, micro, _data(stream, done))
    trainer.state.timestamp = trainer.state.timestamp.copy(batch=done)
    try:
        with lost_process_named():
            trainer.fit(duration=f"{(plan.budget.steps or WITHOUT_END) - done}ba")
    finally:
        stream.close()
        trainer.close()


def _composer_trainer(
    run: Run,
    model: ComposerLlama,
    callback: StepCallback,
    micro: int,
    data: Any,
) -> Any:
    gpu = run.device.type == "cuda"
    return WaitlessTrainer(
        model=model,
        optimizers=callback.trained.optimizer,
        train_dataloader=data,
        callbacks=[callback],
        device="gpu" if gpu else "cpu",
        precision="amp_bf16" if gpu else "fp32",
        device_train_microbatch_size=micro,
        accumulate_train_batch_on_tokens=True,
        seed=run.args.seed,
        run_name=run.args.run_name,
        dist_timeout=float(TIMEOUT_S),
        progress_bar=False,
        log_to_console=False,
        autoresume=False,
        spin_dataloaders=False,
    )


def _data(stream: TrainStream, step: int) -> Any:
    def tokens_of(batch: Mapping[str, Tensor]) -> dict[str, int]:
        return {"total": batch["tokens"].numel(), "loss_generating": trained_tokens(batch)}

    batches = stream.batches(StreamPosition.at_step(step, stream.batches_per_epoch))
    return composer.DataSpec(dataloader=batches, get_num_tokens_in_batch=tokens_of)


def _micro_batch(run: Run, llama: Llama, samples: int) -> int:
    """Return the samples of a pass, and let layers be computed twice where not even one fits otherwise."""
    dims, context, room = run.config.dims, run.config.context_length, _activation_bytes(run, llama)
    recomputed = sharding_plan.recomputes(dims, context, room)
    llama.recompute(recomputed)
    wanted = min(room, memory.CPU_ACTIVATION_BYTES) if run.device.type == "cpu" else room
    return recipe.micro_batch(samples, dims, context, wanted, recomputed=recomputed)


def _activation_bytes(run: Run, llama: Llama) -> int:
    """Return the memory that activations may take: on a CPU of what the machine has, on a GPU of what is free."""
    parts = run.placement.world_size if sharded_model.is_sharded(llama) else 1
    if run.device.type == "cpu":
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // run.placement.local_world_size
        return int(max(1, machine - memory.STATE_BYTES * run.num_parameters // parts) * CPU_ACTIVATION_SHARE)
    free, _ = torch.cuda.mem_get_info(run.device)
    states = 12 * run.num_parameters // parts  # gradients and two moments, fp32
    return int(max(1, free - states) * memory.GPU_ACTIVATION_SHARE)


def _compile(llama: Llama, device: torch.device) -> None:
    """Compile the layers on a GPU; what can't be compiled runs as it is and the log says why."""
    if device.type != "cuda":
        return
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    for layer in llama.layers:
        layer.compile()


def held_out_loss(run: Run, llama: Llama, limit: int) -> float:
    """Return the mean next-token loss in nats over ``limit`` held-out samples, the same ones at every call."""
    collate = Collator(NextTokenObjective(), run.sample_shape)
    sums = torch.zeros(2, dtype=torch.float64)
    # A forward pass of a sharded model takes all processes: one without a batch left goes through an empty one.
    samples = min(limit, run.inputs.shards.num_held_out_samples)
    passes = math.ceil(math.ceil(samples / run.placement.world_size) / HELD_OUT_BATCH)
    llama.eval()
    with torch.no_grad(), torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
        for batch in held_out_batches(run.inputs.shards, run.placement, limit, HELD_OUT_BATCH, collate):
            labels = batch["labels"]
            loss = llama.loss_sum(batch["tokens"].to(run.device), labels.to(run.device))
            sums += torch.tensor([float(loss), float((labels != IGNORED).sum())], dtype=torch.float64)
            passes -= 1
        for _ in range(passes if sharded_model.is_sharded(llama) else 0):
            nothing = torch.zeros((1, run.config.context_length), dtype=torch.long, device=run.device)
            llama.loss_sum(nothing, torch.full_like(nothing, IGNORED))
    sharded_model.rest(llama)
    if run.placement.world_size > 1:
        shared = sums.to(collective_device(run.placement))
        dist.all_reduce(shared)
        sums = shared.cpu()
    return float(sums[0] / max(1.0, float(sums[1])))
