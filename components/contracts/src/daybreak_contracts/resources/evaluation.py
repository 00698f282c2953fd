"""How a model is judged and when it may be published, as a manifest says it. Owns no suite."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import (
    NAME_PATTERN,
    SUITE_PATTERN,
    Between,
    DecimalText,
    MetricName,
    Resource,
)
from daybreak_contracts.resources.problems import Problems

StopWord = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _own_name_is_a_metric(suite: Suite) -> bool:
    return suite.problems is None or re.fullmatch(NAME_PATTERN, suite.name) is not None


class Suite(Resource):
    """One evaluation suite: a registered one by its name, or a file of problems under a name of your own."""

    rules = (
        rules.Rule(
            message="a suite of your own problems has a name of lower-case letters, digits and dashes: its scores "
            "begin with it",
            cel=f"!has(self.problems) || self.name.matches('{NAME_PATTERN}')",
            holds=_own_name_is_a_metric,
            at="name",
            got=lambda suite: suite.name,
        ),
        rules.Rule(
            message="stopWords is for a suite with problems of its own",
            cel="!has(self.stopWords) || size(self.stopWords) == 0 || has(self.problems)",
            holds=lambda suite: not suite.stop_words or suite.problems is not None,
            at="stopWords",
        ),
    )
    list_keys = ("name",)

    name: Annotated[str, StringConstraints(pattern=SUITE_PATTERN, max_length=63)]
    """HumanEval: 164 Python problems that are run. HeldOutCompletion: lines and spans of code never trained on. A name
    that a plug-in registered. With problems: a name of your own, which begins the names of its scores."""
    problems: Problems | None = None
    """A file of problems that are run; absent means that the name is a registered one."""
    samples_per_task: Annotated[int, Between(1, 1000)] = 1
    """Answers drawn for each task; more give a better estimate of pass@k."""
    max_tasks: Annotated[int, Between(1, 100_000)] | None = None
    """Only this many tasks, chosen by seed; absent means all (HeldOutCompletion: 1,000)."""
    stop_words: Annotated[tuple[StopWord, ...], Field(max_length=16)] = ()
    """An answer ends before the first of these; empty means what the file's rows or the language say."""


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
