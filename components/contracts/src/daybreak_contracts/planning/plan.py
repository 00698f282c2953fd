"""The plan of a training, before anything runs: what it needs, what it makes of its data, how long, what it costs.

Owns how the parts of this folder are put together, and what cannot work. Reads nothing and measures nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning import data_amount, duration, memory, recipe, schedule, sharding, throughput
from daybreak_contracts.planning.data_amount import DataAmount, DataUse
from daybreak_contracts.planning.duration import Estimate
from daybreak_contracts.planning.gpus import GPUS
from daybreak_contracts.planning.sizes import Dimensions, dimensions_of, flops_per_token, num_parameters
from daybreak_contracts.planning.throughput import Throughput
from daybreak_contracts.resources.training import Model, Tokenizer, Training, TrainTokenizer

UNKNOWN_DATA = 1 << 40
"""Samples, where nobody counted the data: never the limit of a batch."""
MOST_NODES = 1024
MEMORY_SHARE = 0.9
"""Of a GPU; the rest is the context's, the collectives' and fragmentation."""


class PlannedSpec(Protocol):
    """What a plan needs of a run's spec."""

    @property
    def model(self) -> Model | None:
        """How large the model is; None when the run makes data alone."""

    def wanted_model(self) -> Model:
        """How large the model is; a UserError when there is none."""

    @property
    def training(self) -> Training:
        """How it is trained."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Which vocabulary it has."""


@dataclass(frozen=True)
class Hardware:
    """What trains: ``gpu`` is torch's name, None for CPUs."""

    nodes: int = 1
    gpus_per_node: int = 0
    gpu: str | None = None

    @property
    def processes(self) -> int:
        """One a GPU, or one a node."""
        return self.nodes * max(1, self.gpus_per_node)

    @property
    def num_gpus(self) -> int:
        """All of them."""
        return self.nodes * self.gpus_per_node


class TrainingPlan(BaseModel):
    """What is known of a training before it runs; None where it is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: str
    parameters: int
    vocabulary_size: int
    context_length: int
    nodes: int
    gpus_per_node: int
    gpu: str | None
    samples_per_step: int
    tokens_per_step: int
    tokens: int | None
    steps: int | None
    tokens_per_parameter: float | None
    data: DataUse | None
    data_origin: str
    memory_bytes: int
    """Of one process."""
    memory: dict[str, int]
    """What it is made of."""
    flops_per_token: int
    tokens_per_second: Estimate | None
    speed_origin: str
    seconds_per_step: Estimate | None
    seconds: Estimate | None
    """From the command to the result."""
    cost: Estimate | None
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    """What cannot work; empty when the training can be started."""


def plan_of(
    spec: PlannedSpec,
    hardware: Hardware,
    data: DataAmount | None = None,
    speed: Throughput | None = None,
    price_per_gpu_hour: float | None = None,
    *,
    vocabulary_size: int | None = None,
) -> TrainingPlan:
    """Return the plan of a training on this hardware; ``speed`` is what was measured, over all processes.

    ``vocabulary_size`` is that of a tokenizer that is there.
    """
    sized = Sized.of(spec, data, vocabulary_size)
    if speed is None and hardware.gpu is not None:
        speed = sized.published(hardware)
    steps, tokens = sized.length(spec.training, speed)
    use = None
    if data is not None:
        use = data_amount.use_of(data, tokens, sized.samples, sized.vocabulary_size)
    held, shards = sized.memory(hardware)
    seconds = None
    if speed is not None and tokens is not None:
        seconds = duration.seconds_for(tokens, speed, hardware.num_gpus)
    hours = price_per_gpu_hour and hardware.num_gpus * price_per_gpu_hour / 3600
    advice = data_amount.advice(use, sized.name) if use is not None else None
    return TrainingPlan(
        size=sized.name,
        parameters=sized.parameters,
        vocabulary_size=sized.vocabulary_size,
        context_length=sized.context_length,
        nodes=hardware.nodes,
        gpus_per_node=hardware.gpus_per_node,
        gpu=hardware.gpu,
        samples_per_step=sized.samples,
        tokens_per_step=sized.tokens_per_step,
        tokens=tokens,
        steps=steps,
        tokens_per_parameter=None if tokens is None else round(tokens / sized.parameters, 2),
        data=use,
        data_origin=data.origin if data is not None else "",
        memory_bytes=held.total + (speed.base_bytes if speed is not None else 0),
        memory={
            "weights, gradients, optimizer": held.states,
            "activations": held.activations,
            "logits": held.logits,
        },
        flops_per_token=sized.flops_per_token,
        tokens_per_second=_estimate(speed),
        speed_origin=speed.origin if speed is not None else "",
        seconds_per_step=_seconds_per_step(sized, speed),
        seconds=seconds,
        cost=seconds.times(hours) if seconds is not None and hours else None,
        warnings=tuple(filter(None, (advice,))),
        errors=tuple(
            filter(None, (cannot_share(sized.samples, hardware), _does_not_fit(held, hardware, shards)))
        ),
    )


@dataclass(frozen=True)
class Sized:
    """A model and its batch."""

    name: str
    dims: Dimensions
    vocabulary_size: int
    context_length: int
    samples: int
    """Of one step."""

    @classmethod
    def of(
        cls, spec: PlannedSpec, data: DataAmount | None = None, vocabulary_size: int | None = None
    ) -> Sized:
        """Return what follows from a spec, the number of samples and, of a tokenizer that is there, its size."""
        model = spec.wanted_model()
        dims, vocabulary = dimensions_of(model), vocabulary_size or vocabulary_of(spec.tokenizer)
        context = spec.training.context_length
        samples = data.samples if data is not None else UNKNOWN_DATA
        batch = schedule.resolve(spec.training, dims, vocabulary, max(1, samples)).samples_per_step
        return cls(model.size or "custom", dims, vocabulary, context, batch)

    @property
    def parameters(self) -> int:
        """Exact number of weights."""
        return num_parameters(self.dims, self.vocabulary_size)

    @property
    def tokens_per_step(self) -> int:
        """Over all processes."""
        return self.samples * self.context_length

    @property
    def flops_per_token(self) -> int:
        """Of training."""
        return flops_per_token(self.dims, self.vocabulary_size, self.context_length)

    def length(self, training: Training, speed: Throughput | None) -> tuple[int | None, int | None]:
        """Return steps and tokens; a length in seconds has none as long as nobody knows the speed."""
        budget = recipe.budget_of(training, None, self.parameters, self.tokens_per_step)
        steps = budget.steps
        if steps is None and speed is not None and budget.seconds is not None:
            steps = max(1, math.ceil(budget.seconds * speed.likely / self.tokens_per_step))
        return steps, None if steps is None else steps * self.tokens_per_step

    def published(self, hardware: Hardware) -> Throughput | None:
        """Return what others say of these GPUs, with what an uneven share of the batch costs."""
        assert hardware.gpu is not None
        found = throughput.published(hardware.gpu, hardware.num_gpus, self.parameters, self.flops_per_token)
        even = self.samples / hardware.processes / math.ceil(self.samples / hardware.processes)
        return None if found is None else found.over(even)

    def memory(self, hardware: Hardware) -> tuple[memory.MemoryNeed, int]:
        """Return what one process holds, and among how many the states are shared."""
        room, shards = memory.CPU_ACTIVATION_BYTES, 1
        states = memory.state_bytes(self.dims, self.vocabulary_size)
        if hardware.gpu is not None:
            holds = GPUS[hardware.gpu].memory_bytes
            if sharding.is_sharded(self.parameters, hardware.processes, holds):
                shards = hardware.processes
            room = round(max(1, holds - states / shards) * memory.GPU_ACTIVATION_SHARE)
        share = -(-self.samples // hardware.processes)
        micro = recipe.micro_batch(share, self.dims, self.context_length, room)
        need = memory.need(self.dims, self.vocabulary_size, self.context_length, micro, shards)
        return need, shards


def vocabulary_of(tokenizer: Tokenizer) -> int:
    """Return the tokens of a vocabulary; of one that is re-used, the default's."""
    trained = tokenizer.train or TrainTokenizer()
    return -(-trained.vocabulary_size // 128) * 128


def cannot_share(samples: int, hardware: Hardware) -> str | None:
    """Return why so many processes cannot share the samples of a step; None when they can."""
    try:
        recipe.device_batch(samples, hardware.processes)
    except UserError as error:
        return str(error)
    return None


def asked_hardware(training: Training) -> Hardware:
    """Return the hardware that a manifest asks for; it names no GPU."""
    return Hardware(training.nodes, training.gpus_per_node)


def cannot_work(spec: PlannedSpec) -> str | None:
    """Return what can never work in a spec, whatever the data; None when it can.

    A default batch follows from the number of weights, which nobody knows before a re-used tokenizer is read.
    """
    size_unknown = spec.tokenizer.reuse is not None and spec.training.schedule.batch_tokens is None
    if spec.model is None or size_unknown:
        return None
    return cannot_share(Sized.of(spec).samples, asked_hardware(spec.training))


def nodes_for(
    spec: PlannedSpec,
    hardware: Hardware,
    deadline_s: float,
    data: DataAmount | None = None,
    vocabulary_size: int | None = None,
) -> Hardware | None:
    """Return the fewest nodes that end in time nine times in ten; None when no number does."""
    for nodes in range(1, MOST_NODES + 1):
        wanted = Hardware(nodes, hardware.gpus_per_node, hardware.gpu)
        plan = plan_of(spec, wanted, data, vocabulary_size=vocabulary_size)
        if wanted.processes > plan.samples_per_step:
            return None
        if not plan.errors and plan.seconds is not None and plan.seconds.high <= deadline_s:
            return wanted
    return None


def _estimate(speed: Throughput | None) -> Estimate | None:
    return None if speed is None else Estimate(low=speed.low, likely=speed.likely, high=speed.high)


def _seconds_per_step(sized: Sized, speed: Throughput | None) -> Estimate | None:
    if speed is None:
        return None
    tokens = sized.tokens_per_step
    return Estimate(low=tokens / speed.high, likely=tokens / speed.likely, high=tokens / speed.low)


def _does_not_fit(held: memory.MemoryNeed, hardware: Hardware, shards: int) -> str | None:
    if hardware.gpu is None or held.total <= MEMORY_SHARE * GPUS[hardware.gpu].memory_bytes:
        return None
    holds = GPUS[hardware.gpu].memory_bytes
    shared = f", shared by {shards} GPUs" if shards > 1 else ""
    return (
        f"one process needs {held.total / 1e9:,.1f} GB{shared}, of the {holds / 1e9:,.0f} GB of a {hardware.gpu} "
        f"{MEMORY_SHARE * holds / 1e9:,.1f} GB are to be had: "
        "take more GPUs, larger ones, a smaller model or a shorter context"
    )
