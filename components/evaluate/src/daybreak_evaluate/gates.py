"""Gates: floors and ceilings that scores must keep for a model to be published.

Owns the comparison and its sentences. Bounds are decimal text, compared as decimals: 0.15 means 0.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Gate
from daybreak_contracts.steps import Score

PLACES = Decimal("0.000001")
"""Scores are compared to six places, so that the last bit of a mean decides nothing."""


def check_metrics(gates: Sequence[Gate], known: Sequence[str]) -> None:
    """Refuse a gate on a metric that no suite will report; called before any work."""
    for gate in gates:
        if gate.metric not in known:
            raise UserError(
                f"gate on {gate.metric}: no suite of this run reports it, known are {', '.join(known) or 'none'}; "
                "change the gate, or the suites and their samplesPerTask"
            )


def failed_gates(gates: Sequence[Gate], scores: Sequence[Score]) -> tuple[str, ...]:
    """Return a sentence for each gate that is not kept."""
    values = {score.metric: Decimal(repr(score.value)).quantize(PLACES) for score in scores}
    sentences = []
    for gate in gates:
        value = values[gate.metric]
        if gate.min is not None and value < Decimal(gate.min):
            sentences.append(
                f"{gate.metric} is {value.normalize():f}, below the gate's minimum of {gate.min}"
            )
        if gate.max is not None and value > Decimal(gate.max):
            sentences.append(
                f"{gate.metric} is {value.normalize():f}, above the gate's maximum of {gate.max}"
            )
    return tuple(sentences)
