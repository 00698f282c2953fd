"""The command ``daybreak scale``: reads the records of finished runs, fits the law, says it and writes its page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.data_amount import repeats_too_often
from daybreak_contracts.planning.recipe import TOKENS_PER_PARAMETER
from daybreak_contracts.planning.sizes import SIZES, num_parameters
from daybreak_contracts.steps import TokenizerResult, TrainResult
from daybreak_pipelines.local import record
from daybreak_pipelines.report import scaling as page_of_law
from daybreak_pipelines.scaling.law import LEAST_RUNS, FittedLaw, ScaledRun, fit

NEXT = 2
"""Named sizes that are predicted beyond the largest run; farther is a guess."""


@dataclass(frozen=True)
class Wanted:
    """What to predict: a named size, else the next ones; tokens, else twenty a parameter."""

    size: str | None = None
    tokens: int | None = None


def scale_runs(outputs: Sequence[str], wanted: Wanted, page: Path, as_json: bool) -> int:
    """Print the law of these runs and what the next size would reach, write the page, return the exit code."""
    read = [read_run(run) for run in outputs]
    if len(read) < LEAST_RUNS:
        raise UserError(
            f"a law needs at least {LEAST_RUNS} finished runs, got {len(read)}: train small sizes first"
        )
    vocabularies = {tokenizer.digest for _, _, tokenizer in read}
    if len(vocabularies) > 1:
        raise UserError("the runs have different tokenizers: a loss per token can be compared under one only")
    fitted = fit([run for run, _, _ in read])
    told = described(fitted, wanted, read[0][2].vocabulary_size, [trained for _, trained, _ in read])
    storage.write_bytes(str(page), page_of_law.build(told).encode())
    print(json.dumps(told, indent=1) if as_json else in_words(told, page))
    return 0


def read_run(run: str) -> tuple[ScaledRun, TrainResult, TokenizerResult]:
    """Return what a finished run reached, by its output, name or manifest."""
    found = record.read(record.find_output(run))
    trained = TrainResult.model_validate(found.results[names.STEP_TRAIN])
    tokenizer = TokenizerResult.model_validate(found.results[names.STEP_TOKENIZER])
    return (
        ScaledRun(found.name, trained.num_parameters, trained.tokens, trained.held_out_loss),
        trained,
        tokenizer,
    )


def described(
    fitted: FittedLaw, wanted: Wanted, vocabulary_size: int, trained: Sequence[TrainResult] = ()
) -> dict[str, Any]:
    """Return the law, its runs, predictions and warnings as JSON."""
    law = fitted.law
    repeated = [
        f"{run.name} repeated its data {result.epochs:,.0f} times: its loss is higher than the law's for new tokens"
        for run, result in zip(fitted.runs, trained, strict=False)
        if repeats_too_often(result.epochs)
    ]
    return {
        "law": {
            "E": law.floor,
            "A": law.a,
            "B": law.b,
            "alpha": law.alpha,
            "beta": law.beta,
            "exponents_fitted": not law.fixed,
        },
        "runs": [
            {
                "name": run.name,
                "parameters": run.parameters,
                "tokens": run.tokens,
                "loss": run.loss,
                "fitted": law.loss(run.parameters, run.tokens),
            }
            for run in fitted.runs
        ],
        "predictions": [
            _predicted(fitted, name, n, d) for name, n, d in _next(fitted, wanted, vocabulary_size)
        ],
        "warnings": [*fitted.warnings, *repeated],
    }


def _next(fitted: FittedLaw, wanted: Wanted, vocabulary_size: int) -> list[tuple[str, int, int]]:
    largest = max(run.parameters for run in fitted.runs)
    sizes = {name: num_parameters(dims, vocabulary_size) for name, dims in SIZES.items()}
    if wanted.size is not None:
        named = [wanted.size]
    else:
        named = [name for name, parameters in sizes.items() if parameters > 1.1 * largest][:NEXT]
    return [(name, sizes[name], wanted.tokens or TOKENS_PER_PARAMETER * sizes[name]) for name in named]


def _predicted(fitted: FittedLaw, name: str, parameters: int, tokens: int) -> dict[str, Any]:
    found = fitted.predict(parameters, tokens)
    reached = {"low": found.low, "likely": found.likely, "high": found.high}
    return {"name": name, "parameters": parameters, "tokens": tokens, **reached}


def in_words(told: dict[str, Any], page: Path) -> str:
    """Return what a terminal shows."""
    law = told["law"]
    lines = [page_of_law.sentence(law)]
    lines += [
        f"  {run['name']}: {run['parameters']:,} parameters, {run['tokens']:,} tokens, "
        f"loss {run['loss']:.3f} ({run['fitted']:.3f} by the law)"
        for run in told["runs"]
    ]
    lines += [
        f"next: {one['name']}, {one['parameters']:,} parameters on {one['tokens']:,} tokens: loss {one['likely']:.3f} "
        f"(8 times in 10 {one['low']:.3f} to {one['high']:.3f})"
        for one in told["predictions"]
    ]
    lines += [f"warning: {text}" for text in told["warnings"]]
    return "\n".join([*lines, f"page: {page}"])
