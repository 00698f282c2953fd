"""Arguments and results of every step, and the one command line that all components share.

``python -m daybreak_<component> <step> --args-file a.json --result r.json`` runs ``run(args) -> Result``.
The result file holds ``{"result": ...}`` or ``{"error": {...}}``: a launcher needs nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daybreak_contracts import errors, launch, names, storage
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import (
    Data,
    Gate,
    MixtureRow,
    Model,
    Suite,
    Tokenizer,
    Tracking,
    Training,
)

R = TypeVar("R", bound="StepResult")


class StepModel(BaseModel):
    """Base of arguments and results: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StepArgs(StepModel):
    """What every step needs."""

    output: str
    """URI below which the step's artifact goes: ``<output>/<step>/<digest>``."""
    work_dir: str
    """Local scratch folder; anything in it may be lost."""
    seed: int = 0
    cores: int = Field(default=0, ge=0)
    """Processes to use; 0 means all of the machine's."""


class StepResult(StepModel):
    """What every step hands on."""

    uri: str
    digest: str
    cached: bool = False
    """True when the artifact was there already and nothing was done."""

    @property
    def remark(self) -> str:
        """What a person should know of this result beside its artifact; empty for most."""
        return ""


class DocumentsArgs(StepArgs):
    """Sources to clean, deduplicated documents."""

    data: Data


class DocumentsResult(StepResult):
    """An artifact with ``documents/``, ``drops/``, ``personal_data/`` and ``clusters/`` (Parquet)."""

    num_files: int
    """Files seen in all sources."""
    num_bytes: int
    num_documents: int
    """Documents kept."""
    document_bytes: int
    dropped: dict[str, int]
    """Reason to number of files."""
    num_skipped: int = 0
    """Broken parts of sources that were left out, because they say ``onError: Skip``."""
    skipped: tuple[str, ...] = ()
    """The first of them: what each is, and what is wrong with it."""
    languages: dict[str, int]
    """Language to bytes kept."""


class XrayArgs(StepArgs):
    """A documents artifact to a report that a person reads."""

    documents: str
    title: str = "x-ray"
    tracking: Tracking = Tracking()
    executors: int = Field(default=0, ge=0)
    """Spark executor pods, as ``data.executors.count``; the documents step has them in its ``data``."""


class XrayResult(StepResult):
    """An artifact with ``xray.html``, ``xray.json`` and ``statistics/`` (Parquet)."""

    html: str
    """Path of the page below the artifact's URI."""
    metrics: dict[str, float]


class TokenizerArgs(StepArgs):
    """A documents artifact to a tokenizer."""

    documents: str
    tokenizer: Tokenizer


class TokenizerResult(StepResult):
    """An artifact with ``tokenizer.json`` and the files transformers wants beside it."""

    vocabulary_size: int
    bytes_per_token: dict[str, float]
    """Language to UTF-8 bytes per token on documents that were not trained on."""


class ShardArgs(StepArgs):
    """Documents and a tokenizer to token shards (MDS)."""

    documents: str
    tokenizer: str
    context_length: int
    held_out_share: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of repositories (or packages) that training never sees."""
    mixture: tuple[MixtureRow, ...] = ()
    """How often documents are written, as ``data.mixture``; held-out ones are always written once."""
    layout: Literal["File", "Repository"] = Data.model_fields["layout"].default
    """As ``data.layout``."""
    executors: int = Field(default=0, ge=0)
    """Spark executor pods, as ``data.executors.count``; the documents step has them in its ``data``."""


class MixtureShare(StepModel):
    """What a mixture made of the training documents of one source, or of one language."""

    kind: Literal["source", "language"]
    name: str
    asked_epochs: float
    """By the manifest, weighted by the documents' bytes."""
    epochs: float
    """Bytes in the shards for each byte that there was."""
    tokens: int
    """In the shards, repetitions counted."""
    unique_tokens: int
    """Of those, the ones that are no repetition."""


class ShardResult(StepResult):
    """An artifact with ``train/`` and ``held_out/``, MDS datasets of ``context_length`` tokens a sample."""

    dtype: str
    """``uint16`` or ``uint32``."""
    num_train_tokens: int
    num_held_out_tokens: int
    num_train_samples: int
    num_held_out_samples: int
    num_unique_train_tokens: int | None = None
    """Training tokens that are no repetition of others; None without a mixture: all of them."""
    layout: Literal["File", "Repository"] = Data.model_fields["layout"].default
    """How documents are packed, as ``data.layout``."""
    mixture: tuple[MixtureShare, ...] = ()
    """Sources, then languages, by name; empty without a mixture."""

    @property
    def unique_train_tokens(self) -> int:
        """Training tokens, without the repetitions that a mixture makes."""
        unique = self.num_unique_train_tokens
        return self.num_train_tokens if unique is None else unique


class TrainArgs(StepArgs):
    """Shards to checkpoints. Run by torchrun, one process a GPU (or CPU)."""

    shards: str
    tokenizer: str
    model: Model
    training: Training
    tracking: Tracking = Tracking()
    run_name: str
    max_seconds: float | None = None
    """Stop cleanly after this much training time, whatever the token budget; None means never."""


class TrainResult(StepResult):
    """An artifact with the final checkpoint's weights and ``ledger.jsonl``."""

    num_parameters: int
    steps: int
    tokens: int
    loss: float
    """Mean of the last 20 steps, in nats per token."""
    held_out_loss: float
    tokens_per_second: float
    peak_memory_bytes: int
    stopped_by: str
    """``Tokens`` (budget spent) or ``Time`` (deadline or max_seconds): then ``tokens`` says how far this machine came,
    and ``digest`` names what came of it; another machine's is another one."""
    steps_left_out: int = 0
    """Steps whose update the guard did not make."""
    spikes: int = 0
    """Steps with a loss or gradient norm far above what went before."""
    rewinds: int = 0
    """How often the training went back to a checkpoint."""
    continued_from: str = ""
    """The checkpoint of a shorter run that this one went on from, below ``checkpoints`` of its output."""
    peak_rate: float = 0.0
    warmup_tokens: int = 0
    batch_tokens: int = 0
    """The schedule as it was used: the manifest's numbers, or what followed from size and length."""
    data_tokens: int = 0
    """Tokens that there were to train on, without repetition."""
    epochs: float = 0.0
    """How often they were trained on."""

    @property
    def remark(self) -> str:
        """Say how far a run came that time ended."""
        if self.stopped_by != "Time":
            return ""
        return (
            f"Time ended it after {self.tokens:,} tokens in {self.steps:,} steps; "
            "how far it comes hangs on the machine."
        )


class CalibrateArgs(StepArgs):
    """A model and its training to the speed and memory that they have on this machine; one process."""

    model: Model
    training: Training
    vocabulary_size: int
    samples_per_step: int = Field(ge=1)


class CalibrateResult(StepResult):
    """What twenty steps on made-up tokens took; it leaves no artifact."""

    low: float
    """Tokens a second in a slow step (one in ten is slower)."""
    likely: float
    high: float
    preparation_s: float
    """What only a calibration does."""
    loop_s: float
    peak_memory_bytes: int


class ExportArgs(StepArgs):
    """A training artifact to a ``LlamaForCausalLM`` folder."""

    trained: str
    tokenizer: str


class ExportResult(StepResult):
    """An artifact with config.json, model.safetensors, tokenizer.json and their like."""

    num_parameters: int


class Score(StepModel):
    """One number with its 95 % interval: what other tasks of the kind would give."""

    metric: str
    """``<suite>/<name>``, for example ``humaneval/pass@1``."""
    value: float
    low: float
    high: float
    num_tasks: int


class EvaluateArgs(StepArgs):
    """A model folder to scores."""

    model: str
    shards: str
    suites: tuple[Suite, ...]
    gates: tuple[Gate, ...] = ()


class EvaluateResult(StepResult):
    """An artifact with ``scores.json``, ``samples/*.jsonl`` and ``scores.html``."""

    scores: tuple[Score, ...]
    failed_gates: tuple[str, ...] = ()
    """Sentences; empty means that the model may be published."""


RESULT_TYPES: Mapping[str, type[StepResult]] = {
    names.STEP_DOCUMENTS: DocumentsResult,
    names.STEP_XRAY: XrayResult,
    names.STEP_TOKENIZER: TokenizerResult,
    names.STEP_SHARDS: ShardResult,
    names.STEP_TRAIN: TrainResult,
    names.STEP_EXPORT: ExportResult,
    names.STEP_EVALUATE: EvaluateResult,
}
"""What each step hands on."""


@dataclass(frozen=True)
class Step:
    """How a component offers one step on the command line."""

    args: type[StepArgs]
    run: Callable[[Any, Progress], StepResult]


def read_result(path: Path, kind: type[R]) -> R:
    """Read what a step left for its launcher; its error comes back as the error it was."""
    document = storage.read_json(str(path))
    if "error" in document:
        raise errors.read(document["error"])
    return kind.model_validate(document["result"])


def main(steps: Mapping[str, Step], argv: Sequence[str] | None = None) -> int:
    """Run one step from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Run one step of a Daybreak pipeline.")
    parser.add_argument("step", choices=sorted(steps))
    parser.add_argument("--args-file", required=True, type=Path, help="the step's arguments as JSON")
    parser.add_argument("--result", required=True, type=Path, help="where result or error are written")
    options = parser.parse_args(argv)
    step = steps[options.step]
    launch.watch_launcher(os.environ)
    try:
        reply = launch.reply_of(options.step, options.result, os.environ)
        with launch.reporting(reply, os.environ) as progress:
            result = step.run(_read_args(options.args_file, step.args), progress)
        reply.result(result.model_dump(mode="json"))
    except errors.DaybreakError as error:
        print(f"{options.step}: {error}", file=sys.stderr)
        return error.exit_code
    return errors.EXIT_OK


def _read_args(path: Path, kind: type[StepArgs]) -> StepArgs:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise errors.UserError(f"{path}: not found") from error
    except ValidationError as error:
        raise errors.UserError(f"{path}: {error}") from error
