"""The tokenizer, the model and its training, as a manifest says them. Owns no default of the trainer's inside."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import Amount, Between, Flag, Ratio, Resource, Seconds, Text, Uri
from daybreak_contracts.resources.rules import Rule


class TrainTokenizer(Resource):
    """Train a byte-level BPE on a sample of the run's own documents."""

    vocabulary_size: Annotated[int, Between(512, 1 << 20)] = 32768
    """Number of tokens, special tokens included; rounded up to a multiple of 128."""
    sample_bytes: Annotated[int, Between(1 << 16, 1 << 40)] = 2147483648
    """Size of the random sample that the merges are learnt from."""


class ReuseTokenizer(Resource):
    """Use the tokenizer of an earlier run."""

    rules = (rules.stored("uri"),)

    uri: Uri
    """The tokenizer artifact of that run."""


class Tokenizer(Resource):
    """Train one, or re-use one."""

    rules = (rules.exactly_one("train", "reuse"),)

    train: TrainTokenizer | None = None
    """Train a new one."""
    reuse: ReuseTokenizer | None = None
    """Use an earlier run's."""


HEADS_DIVIDE = Rule(
    message="hiddenSize must be an even multiple of heads",
    cel="self.heads == 0 || self.hiddenSize % self.heads == 0 && (self.hiddenSize / self.heads) % 2 == 0",
    holds=lambda model: (
        model.heads == 0
        or (model.hidden_size % model.heads == 0 and (model.hidden_size // model.heads) % 2 == 0)
    ),
    at="hiddenSize",
    got=lambda model: f"{model.hidden_size} / {model.heads}",
)
"""Rotary embedding turns pairs of a head's dimensions. No heads are another rule's mistake, and no divisor."""
KEY_VALUE_HEADS_DIVIDE = Rule(
    message="heads must be a multiple of keyValueHeads",
    cel="self.keyValueHeads == 0 || self.heads % self.keyValueHeads == 0",
    holds=lambda model: model.key_value_heads == 0 or model.heads % model.key_value_heads == 0,
    at="keyValueHeads",
    got=lambda model: f"{model.heads} / {model.key_value_heads}",
)


class CustomModel(Resource):
    """Dimensions of a Llama-style model."""

    rules = (HEADS_DIVIDE, KEY_VALUE_HEADS_DIVIDE)

    hidden_size: Annotated[int, Between(16, 65536)]
    """Width of the residual stream."""
    layers: Annotated[int, Between(1, 512)]
    """Number of transformer blocks."""
    heads: Annotated[int, Between(1, 512)]
    """Attention heads per block."""
    key_value_heads: Annotated[int, Between(1, 512)]
    """Heads that keys and values have (grouped-query attention)."""
    intermediate_size: Annotated[int, Between(16, 1 << 20)]
    """Width of the feed-forward layer."""


class Model(Resource):
    """A named size, or custom dimensions."""

    rules = (rules.exactly_one("size", "custom"),)

    size: Literal["1m", "10m", "125m", "350m", "1b", "3b", "7b"] | None = None
    """A named size: 1m and 10m for tests and laptops, 125m to 7b for clusters."""
    custom: CustomModel | None = None
    """Dimensions of one's own."""


class NextToken(Resource):
    """Plain left-to-right training."""


class FillInTheMiddle(Resource):
    """Bavarian et al. 2022 (arXiv 2207.14255): character-level, context-level."""

    rate: Ratio = "0.5"
    """Share of documents that are transformed."""
    spm_share: Ratio = "0.5"
    """Of those, the share laid out suffix-prefix-middle."""


SPAN_OF_R_AND_X = Rule(
    message="R and X denoisers need meanSpan, the S denoiser has none",
    cel="(self.kind == 'S') != has(self.meanSpan)",
    holds=lambda denoiser: (denoiser.kind == "S") != (denoiser.mean_span is not None),
    at="meanSpan",
    got=lambda denoiser: f"kind {denoiser.kind}, meanSpan {denoiser.mean_span}",
)


class Denoiser(Resource):
    """One way to corrupt text (Tay et al. 2022, arXiv 2205.05131, section 3.1)."""

    rules = (SPAN_OF_R_AND_X,)

    kind: Literal["R", "S", "X"]
    """R: short spans, little of the text. X: long spans or much of it. S: the text's end follows its beginning."""
    mean_span: Annotated[int, Between(1, 4096)] | None = None
    """Mean length of a masked span in tokens; absent for S."""
    corruption: Ratio
    """Share of the tokens that are masked."""
    weight: Annotated[int, Between(1, 1000)] = 1
    """How often this one is drawn, beside the others' weights."""


UL2_DENOISERS = (
    Denoiser(kind="R", mean_span=3, corruption="0.15"),
    Denoiser(kind="R", mean_span=8, corruption="0.15"),
    Denoiser(kind="S", corruption="0.25"),
    Denoiser(kind="X", mean_span=3, corruption="0.5"),
    Denoiser(kind="X", mean_span=8, corruption="0.5"),
    Denoiser(kind="X", mean_span=64, corruption="0.15"),
    Denoiser(kind="X", mean_span=64, corruption="0.5"),
)
"""The seven of the paper's table 1, mixed evenly."""


class Ul2(Resource):
    """A mixture of denoisers (Tay et al. 2022, arXiv 2205.05131), laid out for a decoder."""

    denoisers: Annotated[tuple[Denoiser, ...], Field(min_length=1, max_length=16)] = UL2_DENOISERS
    """The ways to corrupt text; the paper's seven by default."""
    mode_tokens: Flag = True
    """Put a token for the denoiser's kind in front of what it corrupts, as `<|mode_r|>`."""


class Objective(Resource):
    """What the model learns to predict."""

    rules = (rules.exactly_one("next_token", "fill_in_the_middle", "ul2"),)

    next_token: NextToken | None = None
    """Plain left-to-right training."""
    fill_in_the_middle: FillInTheMiddle | None = None
    """Also to fill a gap between a prefix and a suffix: what an editor asks for."""
    ul2: Ul2 | None = None
    """To restore masked spans and to continue: a mixture of denoisers."""


class TrainingSchedule(Resource):
    """Optimizer and learning rate. What is absent follows from the model's size and the training's length."""

    peak_rate: Amount | None = None
    """Highest learning rate."""
    warmup_tokens: Annotated[int, Between(0, 1 << 60)] | None = None
    """Tokens over which the rate rises to its peak."""
    decay_share: Ratio | None = None
    """Share of the training, at its end, over which the rate falls to 0 (warm-up, stable, decay)."""
    batch_tokens: Annotated[int, Between(32, 1 << 40)] | None = None
    """Tokens in one step, over all processes."""
    clip_norm: Amount | None = None
    """Norm that the gradient is cut to."""
    weight_decay: Amount | None = None
    """Decay of matrices; norms and embeddings have none."""


class Guard(Resource):
    """What happens when a step's loss or gradient is not finite, or far above what went before."""

    non_finite: Literal["Skip", "Stop"] = "Skip"
    """Skip drops the update of that step and stops after three in a row; Stop ends the training at the first."""
    spike: Literal["Alert", "Skip", "Rewind"] = "Skip"
    """Alert tells; Skip also drops the update; Rewind goes back to a checkpoint from before and leaves the updates of
    that step and of the one before it out, of twice as many at each further rewind."""
    threshold: Amount = "6"
    """How many robust standard deviations above what the last steps let expect count as a spike."""
    window: Annotated[int, Between(16, 10_000)] = 128
    """Steps without a finding that the deviation is measured over."""
    max_rewinds: Annotated[int, Between(0, 100)] = 3
    """A spike after so many stops the training."""


class Checkpointing(Resource):
    """How often and how many."""

    every_seconds: Seconds | None = None
    """Absent: from the failure rate and the measured stall (Young/Daly)."""
    keep: Annotated[int, Between(2, 100)] = 3
    """How many of the newest are kept."""


class Placement(Resource):
    """Where training pods may run."""

    zones: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Only these zones, best first; empty means any."""
    same_zone: Flag = True
    """All pods of a run in one zone: traffic between zones is slow and costs money."""
    markets: Annotated[
        tuple[Literal["Reserved", "Spot", "OnDemand"], ...], Field(min_length=1, max_length=3)
    ] = ("Reserved", "Spot", "OnDemand")
    """Kinds of capacity, in order of preference."""


BATCH_OF_SAMPLES = Rule(
    message="schedule.batchTokens must be a multiple of contextLength: a step takes whole samples",
    # a length of 0 is another rule's mistake, and no divisor
    cel="!has(self.schedule.batchTokens) || self.contextLength == 0"
    " || self.schedule.batchTokens % self.contextLength == 0",
    holds=lambda training: (training.schedule.batch_tokens or 0) % (training.context_length or 1) == 0,
    at="schedule.batchTokens",
    got=lambda training: f"{training.schedule.batch_tokens} with contextLength {training.context_length}",
)


class Training(Resource):
    """How long, how and where the model is trained."""

    rules = (
        rules.at_most_one("tokens_per_parameter", "tokens", "deadline_seconds"),
        BATCH_OF_SAMPLES,
    )

    objective: Objective = Objective(next_token=NextToken())
    """What the model learns to predict."""
    schedule: TrainingSchedule = TrainingSchedule()
    """Optimizer and learning rate."""
    guard: Guard = Guard()
    """What happens at a loss spike or a value that is not finite."""
    tokens_per_parameter: Annotated[int, Between(1, 1_000_000)] | None = None
    """Training length as a multiple of the parameter count; 20 when no length is given (Chinchilla)."""
    tokens: Annotated[int, Between(1, 1 << 60)] | None = None
    """Training length in tokens. Raised later, the training goes on from the checkpoint before its decay."""
    deadline_seconds: Seconds | None = None
    """Train for as long as this allows. How many tokens that are hangs on the machine and on what else it does: the
    result says it, and on another machine the model is another one. Say `tokens` for one that can be made again."""
    context_length: Annotated[int, Between(32, 1 << 20)] = 2048
    """Tokens the model sees at once; documents are packed, so none needs to be that long."""
    nodes: Annotated[int, Between(1, 1024)] = 1
    """Machines to train on."""
    gpus_per_node: Annotated[int, Between(0, 16)] = 0
    """0 trains on the CPU."""
    launcher: Literal["Auto", "PyTorchJob", "TrainJob", "Job"] = "Auto"
    """Kind of job that makes the training pods. PyTorchJob needs the training operator, TrainJob Kubeflow Trainer, Job
    (an Indexed Job and a headless Service) nothing. Auto takes the first of these that the cluster knows; on one
    machine it means nothing."""
    image: Text = ""
    """Image of the training pods; empty means the chart's, by digest."""
    checkpoint: Checkpointing = Checkpointing()
    """How often the state of training is saved, and how many are kept."""
    placement: Placement = Placement()
    """Where training pods may run."""
    pod_template: Annotated[dict[str, Any], Field(max_length=64)] = Field(default={})
    """Strategic patch for every pod of the run (containers `pytorch`, `pipeline`): volumes, secrets, tolerations, node
    selectors. What Kubeflow cannot give to its pods holds the run, which says so. May be
    changed in a run that has started: pods that have not come up are made anew, all others with the next attempt."""
