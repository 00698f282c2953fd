"""Which training is which: the digest that names it, and whether it was done already.

Owns no tensor: it answers before torch and Composer are loaded, so that nothing to do costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts import artifacts, names
from daybreak_contracts.steps import TrainArgs, TrainResult

CODE_VERSION = 2


def input_digests(args: TrainArgs) -> dict[str, str]:
    """Return the digests of the artifacts that are read; one that is not there is an ArtifactError."""
    return {"shards": artifacts.load(args.shards).digest, "tokenizer": artifacts.load(args.tokenizer).digest}


def run_digest(args: TrainArgs, inputs: Mapping[str, str]) -> str:
    """Return what names this training: all that its weights depend on, nothing about where it runs."""
    training = args.training
    return artifacts.digest_of(
        {
            "step": names.STEP_TRAIN,
            "codeVersion": CODE_VERSION,
            "model": args.model.model_dump(mode="json"),
            "objective": training.objective.model_dump(mode="json"),
            "schedule": training.schedule.model_dump(mode="json"),
            "guard": training.guard.model_dump(mode="json"),
            "length": [
                training.tokens,
                training.tokens_per_parameter,
                training.deadline_seconds,
                args.max_seconds,
            ],
            "contextLength": training.context_length,
            "seed": args.seed,
            "inputs": dict(inputs),
        }
    )


def find_trained(args: TrainArgs) -> TrainResult | None:
    """Return the result of the same training when it was committed and its bytes are whole."""
    digest = run_digest(args, input_digests(args))
    present = artifacts.find(artifacts.uri_of(args.output, names.STEP_TRAIN, digest), digest)
    return None if present is None else TrainResult.model_validate({**present.result, "cached": True})
