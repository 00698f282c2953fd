"""How a model is judged and when it may be published, as a manifest says it. Owns no suite."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import Between, DecimalText, MetricName, Resource


class Suite(Resource):
    """One evaluation suite."""

    list_keys = ("name",)

    name: Literal["HumanEval", "HeldOutCompletion"]
    """HumanEval: 164 Python problems that are run; HeldOutCompletion: lines and spans of code never trained on."""
    samples_per_task: Annotated[int, Between(1, 1000)] = 1
    """Answers drawn for each task; more give a better estimate of pass@k."""
    max_tasks: Annotated[int, Between(1, 100_000)] | None = None
    """Only this many tasks, chosen by seed; absent means all (HeldOutCompletion: 1,000)."""


class Gate(Resource):
    """A floor or ceiling that a score must keep for the model to be published."""

    rules = (rules.at_least_one("min", "max"), rules.ordered_decimals("min", "max"))

    metric: MetricName
    """The score, as ``humaneval/pass@1``."""
    min: DecimalText | None = None
    """The score must be at least this."""
    max: DecimalText | None = None
    """The score must be at most this."""


class Evaluation(Resource):
    """How the model is judged and when it is good enough."""

    rules = (rules.unique("suites", "name"),)

    suites: Annotated[tuple[Suite, ...], Field(max_length=16)] = (
        Suite(name="HumanEval"),
        Suite(name="HeldOutCompletion"),
    )
    """What the model is tried on."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=32)] = ()
    """A model below a gate is trained but not published (reason ``GateFailed``)."""
