"""The names that a manifest or a command may use for a suite: ours, and those that other packages registered.

Owns names and their clashes, and how a manifest's entry becomes a suite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.evaluation import Suite
from daybreak_contracts.resources.near_names import did_you_mean
from daybreak_evaluate import entry_points
from daybreak_evaluate.suites import held_out_completion, humaneval, problem_suite
from daybreak_evaluate.suites.protocol import SuitePlugin
from daybreak_evaluate.suites.settings import SuiteContext

SuiteFactory = Callable[[Suite, SuiteContext], SuitePlugin[Any]]

OURS: dict[str, SuiteFactory] = {
    "HumanEval": humaneval.make,
    "HeldOutCompletion": held_out_completion.make,
}
BY_METRIC = {humaneval.NAME: "HumanEval", held_out_completion.NAME: "HeldOutCompletion"}
"""What our suites' scores begin with, to the suite's name."""


def known_names() -> list[str]:
    """Return every registered name, ours first."""
    return [*OURS, *sorted(entry_points.registered(entry_points.SUITES, OURS))]


def found_name(name: str) -> str:
    """Return the registered name that a person means: in any case, or as it begins the suite's scores."""
    names = known_names()
    found = ({one.lower(): one for one in names} | BY_METRIC).get(name.lower())
    if found is None:
        guess = did_you_mean(name, names)
        raise UserError(
            f"no suite is named {name}{f' ({guess})' if guess else ''}, registered here are {', '.join(names)}"
        )
    return found


def name_problems(suites: Sequence[Suite]) -> list[str]:
    """Return a sentence for each suite whose name nobody registered, or that clashes; nothing is loaded."""
    return [sentence for suite in suites if (sentence := _name_problem(suite, known_names()))]


def _name_problem(suite: Suite, known: Sequence[str]) -> str:
    taken = {name.lower() for name in known} | set(BY_METRIC)
    if suite.problems is not None:
        if suite.name in taken:
            return (
                f"evaluation.suites: {suite.name} is a registered suite, give your own problems another name"
            )
        return ""
    if suite.name in known:
        return ""
    guess = did_you_mean(suite.name, known)
    return (
        f"evaluation.suites: no suite is named {suite.name}{f' ({guess})' if guess else ''}, registered here are "
        f"{', '.join(known)}; install the package that registers it in {entry_points.SUITES}, or give the suite "
        "problems of its own"
    )


def make(suite: Suite, context: SuiteContext) -> tuple[SuitePlugin[Any], str]:
    """Return the suite and the package that it comes from (empty: ours)."""
    for sentence in name_problems([suite]):
        raise UserError(sentence)
    if suite.problems is not None:
        return problem_suite.make(suite, context), ""
    if suite.name in OURS:
        return OURS[suite.name](suite, context), ""
    registration = entry_points.registered(entry_points.SUITES, OURS)[suite.name]
    factory = cast(SuiteFactory, registration.load())
    return factory(suite, context), registration.package


def make_all(suites: Sequence[Suite], context: SuiteContext) -> list[tuple[SuitePlugin[Any], str]]:
    """Return the suites of one evaluation; two that would write one metric are refused."""
    made = [make(suite, context) for suite in suites]
    homes: dict[str, str] = {}
    for suite, (plugin, _) in zip(suites, made, strict=True):
        if plugin.name in homes:
            raise UserError(
                f"evaluation.suites: {suite.name} and {homes[plugin.name]} both report {plugin.name}/..., rename one"
            )
        homes[plugin.name] = suite.name
    return made
