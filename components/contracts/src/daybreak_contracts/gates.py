"""Gates: floors and ceilings that scores must keep for a model to be published. Pure.

Owns the comparison and its sentences, the same in the evaluation and in the operator. Bounds are decimal text,
compared as decimals: 0.15 means 0.15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from daybreak_contracts.resources.run import Gate
from daybreak_contracts.steps import Score

PLACES = Decimal("0.000001")
"""Scores are compared to six places, so that the last bit of a mean decides nothing."""


def failed_gates(gates: Sequence[Gate], scores: Sequence[Score]) -> tuple[str, ...]:
    """Return a sentence for each gate that is not kept; each gate's metric must be among the scores."""
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


def unknown_gates(gates: Iterable[Gate], known: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence, with its remedy, for each gate on a metric that no suite reports."""
    return tuple(
        f"gate on {gate.metric}: no suite of this run reports it, known are {', '.join(known) or 'none'}; "
        "change the gate, or the suites and their samplesPerTask"
        for gate in gates
        if gate.metric not in known
    )
