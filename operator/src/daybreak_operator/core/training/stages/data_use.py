"""What a run makes of its data, said as soon as the shards are there: epochs, samples left out, the size it carries.

Owns the words in the status. The arithmetic is the contracts' (``planning``), the same as ``daybreak plan``.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning import data_amount
from daybreak_contracts.planning.data_amount import DataAmount
from daybreak_contracts.planning.plan import TrainingPlan, asked_hardware, plan_of
from daybreak_contracts.resources.run_status import MetricStatus
from daybreak_contracts.steps import ShardResult, StepResult, TokenizerResult
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.status import decimals, step_table


def plan_with(context: RunContext, results: Mapping[str, StepResult]) -> TrainingPlan | None:
    """Return the plan of a run with the data that its shards hold; None as long as there are none.

    None also where nothing can be planned with so little data: the trainer fails the run with the reason.
    """
    shards = results.get(names.STEP_SHARDS)
    if not isinstance(shards, ShardResult):
        return None
    data = DataAmount(
        shards.num_train_tokens, shards.num_train_samples, shards.uri, shards.unique_train_tokens
    )
    tokenizer = results.get(names.STEP_TOKENIZER)
    size = tokenizer.vocabulary_size if isinstance(tokenizer, TokenizerResult) else None
    spec = context.run.spec
    try:
        return plan_of(spec, asked_hardware(spec.training), data, vocabulary_size=size)
    except UserError:
        return None


def messages(plan: TrainingPlan | None) -> Mapping[str, str]:
    """Return what the shard step's message says; a warning when the data is repeated too often."""
    if plan is None or plan.data is None:
        return {}
    said = [*(f"{step_table.WARNING}{text}" for text in plan.warnings), data_amount.in_words(plan.data)]
    return {names.STEP_SHARDS: said[0]}


def metrics(plan: TrainingPlan | None) -> tuple[MetricStatus, ...]:
    """Return the data's numbers."""
    if plan is None or plan.data is None:
        return ()
    values = {
        "dataTokens": float(plan.data.tokens),
        "samplesLeftOut": float(plan.data.left_out),
        "epochs": plan.data.epochs,
    }
    texts = {name: decimals.significant(value) for name, value in values.items() if value is not None}
    return tuple(MetricStatus(name=name, value=text) for name, text in texts.items() if text is not None)
