"""What one training is: its arguments, the artifacts it reads, where it runs and puts things (run_key.py names it).

Owns reading and cross-checking of the inputs. Trains nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning import data_amount
from daybreak_contracts.steps import TrainArgs
from daybreak_model.llama.sizes import dimensions_of, num_parameters
from daybreak_model.repository_context import ALONE
from daybreak_train import places
from daybreak_train.checkpoints.ownership import Owner
from daybreak_train.loop.data_loading import SampleShape, Shards
from daybreak_train.model import ModelConfig
from daybreak_train.objectives.protocol import SampleObjective
from daybreak_train.objectives.select import objective_for
from daybreak_train.pod import environment
from daybreak_train.pod.environment import ProcessPlacement
from daybreak_train.run_key import InputManifests, RunKey


@dataclass(frozen=True)
class Inputs:
    """The artifacts that the step reads and what is derived from them."""

    shards: Shards
    tokenizer: Any
    """A ``tokenizers.Tokenizer``."""
    vocabulary_size: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """One training on one rank."""

    args: TrainArgs
    inputs: Inputs
    config: ModelConfig
    placement: ProcessPlacement
    key: RunKey

    @property
    def digest(self) -> str:
        """Names the training."""
        return self.key.digest

    @property
    def uri(self) -> str:
        """Where the artifact goes."""
        return artifacts.uri_of(self.args.output, names.STEP_TRAIN, self.digest)

    @property
    def checkpoints(self) -> str:
        """Where this run's checkpoints lie."""
        return places.of_run(self.args.output, self.digest)

    @property
    def owner(self) -> Owner:
        """Whose training it is: the TrainingRun's, else that of this machine's work folder."""
        of_cluster = self.placement.run_uid
        return Owner(self.args.run_name, of_cluster or f"{socket.gethostname()}:{self.args.work_dir}")

    @property
    def device(self) -> torch.device:
        """The GPU of this rank, or the CPU."""
        if self.args.training.gpus_per_node == 0:
            return torch.device("cpu")
        return torch.device("cuda", self.placement.local_rank)

    def epochs(self, tokens: int, samples_per_step: int) -> float:
        """Return how often training on so many tokens goes over the data."""
        shards = self.inputs.shards
        data = data_amount.DataAmount(
            shards.num_train_tokens, shards.num_train_samples, shards.uri, shards.unique_train_tokens
        )
        return data_amount.use_of(data, tokens, samples_per_step, self.config.vocabulary_size).epochs or 0.0

    @property
    def num_parameters(self) -> int:
        """Exact number of weights."""
        return num_parameters(self.config.dims, self.config.vocabulary_size)

    def description(self, dtype: str) -> dict[str, Any]:
        """Return what ``model.json`` of the artifact says of the model and of what it was trained for."""
        objective = self.args.training.objective.model_dump(mode="json", exclude_none=True, by_alias=True)
        layout = self.inputs.shards.layout
        packed = {} if layout == ALONE else {"layout": layout}
        return {**self.config.to_json(), "objective": objective, "dtype": dtype, **packed}

    def objective(self) -> SampleObjective:
        """Return what every sample is laid out by."""
        wanted = self.args.training.objective
        return objective_for(wanted, self.inputs.tokenizer, self.args.seed, self.inputs.shards.layout)

    @property
    def sample_shape(self) -> SampleShape:
        """What every sample must fit."""
        pad = self.inputs.tokenizer.token_to_id(names.FIM_PAD)
        return SampleShape(self.config.context_length, self.config.vocabulary_size, pad)


def read_inputs(args: TrainArgs, manifests: InputManifests) -> Inputs:
    """Read the tokenizer; what does not fit together is a UserError."""
    from tokenizers import Tokenizer

    shards, tokenizer = manifests.shards, manifests.tokenizer
    artifacts.verify(args.tokenizer, tokenizer)
    text = storage.read_bytes(storage.join(args.tokenizer, "tokenizer.json")).decode()
    loaded = Tokenizer.from_str(text)
    if loaded.token_to_id(names.FIM_PAD) is None:
        raise UserError(
            f"{args.tokenizer}: has no {names.FIM_PAD} token, make it with this project's tokenizer step"
        )
    cache = Path(args.work_dir) / "shard-cache" / shards.digest[:16]
    found = Shards(args.shards, shards, cache)
    if found.num_train_samples < 1 or found.num_held_out_samples < 1:
        raise UserError(f"{args.shards}: the training or the held-out part is empty, add more data")
    digests = {"shards": shards.digest, "tokenizer": tokenizer.digest}
    return Inputs(found, loaded, max(loaded.get_vocab_size(), tokenizer.result["vocabulary_size"]), digests)


def run_of(args: TrainArgs, manifests: InputManifests, key: RunKey) -> Run:
    """Return the training of these arguments on this rank."""
    inputs = read_inputs(args, manifests)
    end_of_text = inputs.tokenizer.token_to_id(names.END_OF_TEXT)
    context = args.training.context_length
    config = ModelConfig(dimensions_of(args.model), inputs.vocabulary_size, context, end_of_text)
    placement = environment.placement_from(os.environ)
    return Run(args, inputs, config, placement, key)
