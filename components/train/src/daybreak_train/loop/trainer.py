"""The train step: shards in, weights and a ledger out, through Composer's Trainer.

Owns how the parts are put together and what is one run (its digest). Composer runs the loop; its own checkpoints,
autoresume, loggers and schedulers are not used (they lose steps and unpickle: decision 0.2, 0.4 of the design).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import logging
import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.planning import gpus, recipe
from daybreak_contracts.planning import sharding as sharding_plan
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import TrainArgs, TrainResult
from daybreak_model.llama.sizes import flops_per_token
from daybreak_train import devices, faults, places, sharded_model
from daybreak_train.checkpoints import snapshots, space, tensor_files
from daybreak_train.checkpoints.peers import PartHolders
from daybreak_train.checkpoints.writer import CheckpointStore, CheckpointWriter
from daybreak_train.guard import record
from daybreak_train.loop import shared_memory
from daybreak_train.loop.callbacks import Recorders, TrainPlan, peak_memory_bytes
from daybreak_train.loop.composer_adapter import fit, held_out_loss
from daybreak_train.loop.data_loading import prepare
from daybreak_train.loop.example_samples import EXAMPLES, transformed_examples
from daybreak_train.loop.ledger import Ledger
from daybreak_train.loop.run import Run, run_of
from daybreak_train.loop.shorter_run import where_to_begin
from daybreak_train.loop.train_state import (
    Trained,
    TrainingOutcome,
    TrainState,
    random_state_of,
    restore,
)
from daybreak_train.model import Llama, initialise
from daybreak_train.pod import environment
from daybreak_train.pod.metrics_file import metrics_file_of
from daybreak_train.precision import chosen_precision
from daybreak_train.process_group import joined
from daybreak_train.replay import record as training_record
from daybreak_train.replay.documents import document_names
from daybreak_train.run_key import InputManifests, RunKey, artifact_digest
from daybreak_train.tracking.tracker import RunIdentity, Tracker

log = logging.getLogger(__name__)

BETAS = (0.9, 0.95)
EPSILON = 1e-8
HELD_OUT_SAMPLES = 256
LAST_STEPS = 20


def run_train(
    args: TrainArgs,
    manifests: InputManifests,
    key: RunKey,
    progress: Progress,
    shard_from: int = sharding_plan.SHARD_FROM_PARAMETERS,
) -> TrainResult:
    """Train, or go on training; whether it was done already is asked before (``run_key.find_trained``).

    A model of ``shard_from`` parameters and more lies in parts over the processes.
    """
    placement = environment.placement_from(os.environ)
    if placement.is_leader:
        progress.report("checking the shards")
    run = run_of(args, manifests, key)
    devices.check(args.training.gpus_per_node)
    if placement.is_local_leader:
        shared_memory.sweep(time.time())
        prepare(run.inputs.shards)
    torch.set_num_threads(devices.threads(args.cores, placement))
    # each rank looked at the output at another moment: a shorter run may have come or gone in between
    with joined(run.placement, run.device.type, run.key) as leaders_key:
        return _train(dataclasses.replace(run, key=leaders_key), progress, shard_from)


def _train(run: Run, progress: Progress, shard_from: int) -> TrainResult:
    plan = plan_of(run)
    if run.placement.is_leader:
        space.check(_needs(run))
    with contextlib.ExitStack() as stack:
        peers = sharded_model.peers_of(run.num_parameters, run.placement, run.device, shard_from)
        writes = run.placement.is_leader or peers is not None
        writer = stack.enter_context(_writer(run, peers)) if writes else None
        tracker = stack.enter_context(_tracking(run)) if run.placement.is_leader else None
        while True:
            result = _train_from_checkpoint(run, plan, writer, tracker, progress)
            if result is not None:
                return result


def _train_from_checkpoint(
    run: Run, plan: TrainPlan, writer: CheckpointWriter | None, tracker: Tracker | None, progress: Progress
) -> TrainResult | None:
    """Train from the newest good checkpoint on; None when the guard went back and it has to be done again.

    Model and optimizer are made anew each time: a rewind is a resume, so that a kill in between changes nothing.
    """
    peers = writer.peers if writer is not None else None
    trained = new_trained(run, peers)
    past, snapshot = where_to_begin(run, trained.model, peers)
    outcome = restore(snapshot, trained) if snapshot is not None else TrainingOutcome()
    outcome.past = past
    outcome.computes_in = outcome.computes_in or precision_of(run)
    if run.placement.is_leader:
        _note_start(run, outcome)
    recorders = _recorders(run, writer, snapshot, tracker, progress)
    who, host = f"rank {run.placement.rank}", socket.gethostname()
    with contextlib.ExitStack() as stack:
        stack.enter_context(faults.explaining(lambda: faults.FaultScene(who, host, outcome.steps_here)))
        if recorders.ledger is not None:
            stack.callback(recorders.ledger.close)
        if not outcome.stopped_by:
            random_state = random_state_of(snapshot, run.placement.rank) if snapshot is not None else None
            fit(run, plan, TrainState(trained, outcome, random_state), recorders)
        if writer is not None:
            writer.wait()
        if run.placement.world_size > 1:
            dist.barrier()  # torchrun ends all as soon as one has left: not before the checkpoint is whole
        if outcome.rewound:
            return None
        _stop_if_found(run, outcome)
        _leave_if_asked(run, outcome)
        return _finish(run, outcome, trained.model, recorders)


def _note_start(run: Run, outcome: TrainingOutcome) -> None:
    """Leave what a replay needs, before the first step."""
    segment = training_record.MachineSegment(after_step=outcome.step, machine=machine_of(run))
    begins = training_record.TrainingRecord(
        digest=run.digest,
        args=run.args,
        hyperparameters=run.key.hyperparameters,
        computes_in=outcome.computes_in,
        segments=(segment,),
    )
    shorter = None
    if outcome.continued_from:
        folder = outcome.continued_from.partition("/")[0]
        shorter = storage.join(run.args.output, places.CHECKPOINTS, folder)
    training_record.note_start(run.checkpoints, begins, shorter)


def new_trained(run: Run, peers: PartHolders | None = None) -> Trained:
    """Return the model as it is before the first step, with its optimizer; with peers this process's part of it."""
    if peers is not None:
        llama = sharded_model.sharded_llama(run.config, run.args.seed, run.device, peers.part)
    else:
        llama = Llama(run.config)
        initialise(llama, run.args.seed)
        llama.to(run.device)
    return Trained(llama, _optimizer(llama, run.key.hyperparameters.weight_decay))


def precision_of(run: Run) -> str:
    """Return what the products of a run that begins are computed in; every process asks."""
    return chosen_precision(run.num_parameters, run.device, run.placement)


def machine_of(run: Run) -> training_record.Machine:
    """Return what the run is made on."""
    gpu = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else ""
    return training_record.this_machine(gpu, run.placement.world_size, torch.get_num_threads())


def plan_of(run: Run) -> TrainPlan:
    """Return the numbers of the run; the number of processes changes none of them but the share of each."""
    training, dims, context = run.args.training, run.config.dims, run.config.context_length
    numbers = run.key.hyperparameters
    recipe.device_batch(numbers.samples_per_step, run.placement.world_size)
    gpu = run.device.type == "cuda"
    every = training.checkpoint.every_seconds
    return TrainPlan(
        budget=run.key.budget,
        hyperparameters=numbers,
        context_length=context,
        batches_per_epoch=run.inputs.shards.num_train_samples // numbers.samples_per_step,
        checkpoint_every_s=None if every is None else float(every),
        num_gpus=run.placement.world_size if gpu else 0,
        flops_a_token=flops_per_token(dims, run.config.vocabulary_size, context),
        peak_flops=gpus.peak_flops(torch.cuda.get_device_name(run.device)) if gpu else None,
        guard=training.guard,
        trunk_key=run.key.trunk_key,
        digest=run.digest,
    )


def _needs(run: Run) -> list[space.SpaceNeed]:
    """Return what this run will write, disk by disk: told before the first step, not by the third checkpoint."""
    parameters = run.num_parameters
    if storage.is_remote(run.checkpoints):
        return [space.staging_need(Path(run.args.work_dir), parameters)]
    folder = storage.local_path(run.checkpoints)
    return [space.local_need(folder, parameters, run.args.training.checkpoint.keep, space.size_of(folder))]


def _optimizer(llama: Llama, weight_decay: float) -> torch.optim.Optimizer:
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, weight in llama.named_parameters():
        (free if weight.ndim < 2 or name.startswith("embedding") else decayed).append(weight)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)


def _writer(run: Run, peers: PartHolders | None) -> CheckpointWriter:
    keep = run.args.training.checkpoint.keep
    store = CheckpointStore(run.checkpoints, run.digest, run.args.work_dir, keep, run.owner)
    return CheckpointWriter(store, peers)


def _tracked_parameters(run: Run) -> dict[str, Any]:
    """Return what a person compares two runs by."""
    plan, machine = plan_of(run), machine_of(run)
    versions = {f"version/{name}": version for name, version in machine.versions.items()}
    return {
        "digest": run.digest,
        "seed": run.args.seed,
        **run.config.to_json(),
        "peakRate": plan.hyperparameters.peak_rate,
        "warmupTokens": plan.hyperparameters.warmup_tokens,
        "decayShare": plan.hyperparameters.decay_share,
        "clipNorm": plan.hyperparameters.clip_norm,
        "weightDecay": plan.hyperparameters.weight_decay,
        "samplesPerStep": plan.samples_per_step,
        "tokensPerStep": plan.samples_per_step * plan.context_length,
        "steps": plan.budget.steps,
        "tokens": plan.budget.steps and plan.budget.steps * plan.samples_per_step * plan.context_length,
        "maxSeconds": plan.budget.seconds,
        "dataDigest": run.inputs.digests["shards"],
        "tokenizerDigest": run.inputs.digests["tokenizer"],
        "device": machine.device,
        "processes": machine.processes,
        "threads": machine.threads,
        **versions,
    }


@contextlib.contextmanager
def _tracking(run: Run) -> Iterator[Tracker]:
    identity = RunIdentity(run.args.run_name, run.digest, run.args.output, run.args.work_dir)
    tracker = Tracker(run.args.tracking, identity, _tracked_parameters(run))
    finished = False
    try:
        yield tracker
        finished = True
    finally:
        tracker.close(finished)


def _recorders(
    run: Run,
    writer: CheckpointWriter | None,
    snapshot: snapshots.Snapshot | None,
    tracker: Tracker | None,
    progress: Progress,
) -> Recorders:
    if writer is None or not run.placement.is_leader:
        return Recorders(None, None, writer, progress)
    remote = storage.is_remote(run.checkpoints)
    folder = (
        Path(run.args.work_dir) / places.run_folder(run.digest)
        if remote
        else storage.local_path(run.checkpoints)
    )
    ledger = Ledger(folder / places.LEDGER, snapshot.ledger if snapshot is not None else b"")
    writer.committed_step = snapshot.step if snapshot is not None else 0
    metrics_file = metrics_file_of(os.environ)
    save_guard = functools.partial(record.save, run.checkpoints, run.digest)
    documents = functools.partial(document_names, run.inputs.shards.uri)
    return Recorders(ledger, tracker, writer, progress, metrics_file, save_guard, documents)


def _stop_if_found(run: Run, outcome: TrainingOutcome) -> None:
    """End the step with what the guard found, when that is more than it may pass over."""
    if not outcome.failure:
        return
    steps = snapshots.steps_in(run.checkpoints)
    good = (
        f"the last good checkpoint is {snapshots.uri_of(run.checkpoints, steps[0])}"
        if steps
        else ("there is no checkpoint yet")
    )
    raise UserError(
        f"{outcome.failure}; {good}. Look at those samples; run again to go on from there, and if it comes again "
        "lower training.schedule.peakRate or take the documents out"
    )


def _leave_if_asked(run: Run, outcome: TrainingOutcome) -> None:
    if not outcome.signal:
        return
    import signal

    if outcome.signal == signal.SIGINT:
        raise KeyboardInterrupt(f"stopped after step {outcome.step}; run again to go on from there")
    raise TransientError(
        f"asked to stop by {signal.Signals(outcome.signal).name} after step {outcome.step}; "
        f"its checkpoint is in {run.checkpoints}, run again to go on from there"
    )


def _artifact_digest(run: Run, ledger: Ledger | None) -> str:
    if ledger is None:
        return run.digest
    return artifact_digest(run.key, hashlib.sha256(ledger.contents()).hexdigest())


def _finish(run: Run, outcome: TrainingOutcome, llama: Llama, recorders: Recorders) -> TrainResult:
    """Measure the held-out loss and commit the artifact; ranks other than 0 return what they know."""
    held_out = held_out_loss(run, llama, HELD_OUT_SAMPLES)
    examples = transformed_examples(run)
    weights = sharded_model.whole_weights(llama, keep=run.placement.is_leader)
    context = run.config.context_length
    samples = run.key.hyperparameters.samples_per_step
    speed = outcome.steps_here * samples * context / outcome.seconds_here if outcome.steps_here else 0.0
    ledger = recorders.ledger
    loss = ledger.mean_loss(LAST_STEPS) if ledger is not None else 0.0
    if loss is None or not math.isfinite(held_out):
        raise UserError(
            f"nothing was trained that is worth keeping: held-out loss {held_out}, "
            f"{len(outcome.past.left_out)} of {outcome.step} updates left out; see {run.checkpoints}/{places.GUARD}"
        )
    digest = _artifact_digest(run, ledger)
    result = TrainResult(
        uri=run.uri,
        digest=digest,
        num_parameters=run.num_parameters,
        steps=outcome.step,
        tokens=outcome.step * samples * context,
        loss=loss,
        held_out_loss=held_out,
        tokens_per_second=round(speed, 1),
        peak_memory_bytes=peak_memory_bytes(),
        stopped_by=outcome.stopped_by,
        steps_left_out=len(outcome.past.left_out),
        spikes=outcome.past.spikes,
        rewinds=outcome.past.rewinds,
        continued_from=outcome.continued_from,
        peak_rate=run.key.hyperparameters.peak_rate,
        warmup_tokens=run.key.hyperparameters.warmup_tokens,
        batch_tokens=samples * context,
        data_tokens=run.inputs.shards.unique_train_tokens,
        epochs=run.epochs(outcome.step * samples * context, samples),
    )
    if ledger is None:
        return result

    def write(staging: Path) -> dict[str, Any]:
        tensor_files.save(weights, staging / places.WEIGHTS)
        (staging / places.LEDGER).write_bytes(ledger.contents())
        kept = storage.join(run.checkpoints, places.RECORD)
        storage.copy_file(kept, str(staging / places.RECORD))
        storage.write_json(str(staging / "model.json"), run.description(outcome.computes_in))
        storage.write_json(str(staging / EXAMPLES), examples)
        return result.model_dump(mode="json", exclude={"cached"})

    manifest, _ = artifacts.produce(
        run.uri,
        step=names.STEP_TRAIN,
        digest=digest,
        inputs=dict(run.inputs.digests),
        work_dir=run.args.work_dir,
        write=write,
    )
    return TrainResult.model_validate(manifest.result)
