"""Learning rate and batch of a run: what the manifest says, else what follows from the model's size and the length.

Owns those defaults, with their sources, and the curve of the rate. Owns neither budget (``recipe``) nor clock.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.recipe import TOKENS_PER_PARAMETER, asked_tokens
from daybreak_contracts.planning.sizes import Dimensions, flops_per_token, num_parameters
from daybreak_contracts.resources.training import Training

WARM_UP_STEPS = 2_000
WARM_UP_TOKENS = 375_000_000
"""SmolLM2 and StarCoder2 warm up for 2,000 steps, GPT-3 for 375 million tokens (arXiv 2005.14165, appendix B)."""
WARM_UP_SHARE = 0.05
"""A short run must not be all warm-up: at most so much of it."""
DECAY_SHARE = 0.2
"""Of the run, with a rate that falls to 0: the WSD schedule of SmolLM2 and OLMo 2."""
CLIP_NORM = 1.0
WEIGHT_DECAY = 0.1
"""On matrices only, not on norms and embeddings (OLMo 2)."""
BATCH_EXPONENT = 0.383
"""The batch grows with the tokens of the run to this power (karpathy/nanochat dev/LOG.md)."""

# Parameters below which a row holds: tokens a step at 20 tokens a parameter, and peak rate at the default batch of any
# length. From 125m on: docs/thresholds.md (SmolLM2 3e-3, Foundry 6e-4, we take the middle). 1m: measured on short runs
# (docs/benchmarks.md, the sweep): many small steps beat few large ones, and at small batches the peak is flat from 1e-3
# to 4e-3. 10m: not swept.
_DEFAULTS = (
    (3_500_000, 4_096, 2e-3),
    (40_000_000, 8_192, 3e-3),
    (200_000_000, 524_288, 2e-3),
    (600_000_000, 524_288, 1.5e-3),
    (1_800_000_000, 1_048_576, 5e-4),
)
_LARGEST = (1_048_576, 3e-4)
MOST_RAISED = 4.0
"""A batch that the manifest asks for moves the peak by the root of how much larger it is (nanochat), at most so far."""

NOMINAL_CPU_FLOPS = 1e11
NOMINAL_GPU_FLOPS = 4e14
"""What a machine is taken to do when only a deadline is given: the batch must not hang on how fast it is today."""


@dataclass(frozen=True)
class Hyperparameters:
    """The numbers of a training beside its length; nothing in it depends on where the training runs."""

    peak_rate: float
    warmup_tokens: int
    decay_share: float
    samples_per_step: int
    clip_norm: float
    weight_decay: float

    def rate(self, tokens_seen: int, progress: float) -> float:
        """Return the rate of the step after ``tokens_seen``, ``progress`` (0 to 1) of the run being done: WSD.

        Linear up by tokens, flat, linear down to 0 by progress: so a run limited by time ends with its decay
        whatever the machine's speed, and two runs of different lengths are the same run until the decay begins.
        """
        # from a tenth of the peak: a first step of rate 0 would be none
        up = 0.1 + 0.9 * tokens_seen / self.warmup_tokens if tokens_seen < self.warmup_tokens else 1.0
        down = (1.0 - progress) / self.decay_share if self.decay_share else float(progress < 1.0)
        return self.peak_rate * min(up, 1.0, max(0.0, down))

    def decays(self, progress: float) -> bool:
        """Tell whether a step that begins at ``progress`` would have a rate that falls."""
        return progress >= 1.0 - self.decay_share

    def to_json(self) -> dict[str, Any]:
        """Return the numbers under their own names."""
        return asdict(self)


def planned_tokens(training: Training, parameters: int, flops_a_token: int) -> int:
    """Return the tokens that the manifest asks for; of a deadline, what a nominal machine would do."""
    if training.deadline_seconds is not None:
        gpus = training.nodes * training.gpus_per_node
        speed = (NOMINAL_GPU_FLOPS * gpus if gpus else NOMINAL_CPU_FLOPS) / flops_a_token
        return max(1, round(float(training.deadline_seconds) * speed))
    return asked_tokens(training, parameters)


def resolve(training: Training, dims: Dimensions, vocabulary_size: int, num_samples: int) -> Hyperparameters:
    """Return the numbers of a training of this model on a data set of so many samples."""
    parameters = num_parameters(dims, vocabulary_size)
    flops = flops_per_token(dims, vocabulary_size, training.context_length)
    return hyperparameters_for(training, parameters, planned_tokens(training, parameters, flops), num_samples)


def hyperparameters_for(
    training: Training, parameters: int, tokens: int, num_samples: int
) -> Hyperparameters:
    """Return the numbers of a training of ``tokens`` on ``num_samples`` samples: the manifest's, else the defaults."""
    asked = training.schedule
    length = tokens / (TOKENS_PER_PARAMETER * parameters)
    samples = _samples(training, parameters, length, num_samples)
    warm = asked.warmup_tokens
    if warm is None:
        step = samples * training.context_length
        warm = round(min(WARM_UP_TOKENS, WARM_UP_STEPS * step, WARM_UP_SHARE * tokens))
    return Hyperparameters(
        peak_rate=_peak_rate(training, parameters, length),
        warmup_tokens=warm,
        decay_share=_decay_share(training),
        samples_per_step=samples,
        clip_norm=CLIP_NORM if asked.clip_norm is None else float(asked.clip_norm),
        weight_decay=WEIGHT_DECAY if asked.weight_decay is None else float(asked.weight_decay),
    )


def with_decay_of(numbers: Hyperparameters, training: Training) -> Hyperparameters:
    """Return the numbers with the decay that this training asks for."""
    return replace(numbers, decay_share=_decay_share(training))


def _peak_rate(training: Training, parameters: int, length: float) -> float:
    asked = training.schedule
    if asked.peak_rate is not None:
        return float(asked.peak_rate)
    batch = asked.batch_tokens
    return default_peak_rate(
        parameters, 1.0 if batch is None else batch / default_batch_tokens(parameters, length)
    )


def _decay_share(training: Training) -> float:
    asked = training.schedule.decay_share
    return DECAY_SHARE if asked is None else float(asked)


def default_peak_rate(parameters: int, batch_times: float) -> float:
    """Return the peak rate for a size; ``batch_times`` is the batch in multiples of the default one."""
    rate = next((rate for limit, _, rate in _DEFAULTS if parameters < limit), _LARGEST[1])
    return float(f"{rate * min(MOST_RAISED, max(1 / MOST_RAISED, math.sqrt(batch_times))):.2g}")


def default_batch_tokens(parameters: int, length: float) -> float:
    """Return the tokens of a step for a size and a length."""
    tokens = next((tokens for limit, tokens, _ in _DEFAULTS if parameters < limit), _LARGEST[0])
    return tokens * float(length**BATCH_EXPONENT)


def _samples(training: Training, parameters: int, length: float, num_samples: int) -> int:
    """Return the samples of a step: as asked, else the power of two nearest to the default, within the data set.

    They depend on model, length and data, never on the number of processes: a resume on other hardware sees the
    same batches.
    """
    context, asked = training.context_length, training.schedule.batch_tokens
    if asked is None:
        wanted = max(1.0, min(default_batch_tokens(parameters, length) / context, float(num_samples)))
        power = 1 << (int(wanted).bit_length() - 1)
        return 2 * power if wanted >= 1.5 * power and 2 * power <= num_samples else power
    if asked > num_samples * context:
        raise UserError(
            f"schedule.batchTokens is {asked:,} but the data has {num_samples * context:,} tokens: "
            "lower it, or add data"
        )
    return asked // context
