"""What runs with one ``output.uri`` do to each other: equal work is shared, one training is made by one at a time.

Owns whose turn it is and the words. Artifacts may be made by many at once (the first that commits wins); checkpoints of
one training may not: each of two writers would prune, rewind and overwrite what the other goes on from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from daybreak_operator.core.conditions import OUTPUT_SHARED, ConditionUpdate
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.observed import neighbours, objects
from daybreak_operator.core.training.observed.neighbours import Neighbour
from daybreak_operator.core.training.stages.restarts import FailureVerdict
from daybreak_operator.core.training.status import step_table

SAME_TRAINING = "SameTraining"
MAX_NAMED = 5
ALONE = Finding("Alone", "No other TrainingRun works below this output.uri.")


def its_training_is_anothers(context: RunContext) -> Finding | None:
    """Another run makes the same training below the same output, or is older and about to."""
    other = _first(context, lambda one: one.trains or (not one.is_held and _is_older(one, context)))
    if other is None:
        return None
    return Finding(
        SAME_TRAINING,
        f"TrainingRun {other.called} makes the same training below the same output.uri: this run waits and then takes "
        "its result over; for a training of its own give it another output.uri or seed in a new run",
    )


def both_train(context: RunContext) -> FailureVerdict | None:
    """Two runs began the same training at one moment: the younger one steps back."""
    older = _first(context, lambda one: one.trains and _is_older(one, context))
    if older is None:
        return None
    said = f"TrainingRun {older.called} makes the same training below the same output.uri and is older"
    return FailureVerdict("RestartFree", Finding(SAME_TRAINING, said))


def told(context: RunContext, waiting: Finding | None) -> ConditionUpdate | None:
    """Return who else works below the output; None where nobody does and nothing was said before.

    ``waiting`` is what the run waits for.
    """
    found = list(islice(_others(context), MAX_NAMED + 1))  # there may be a thousand
    if not found:
        stored = {condition.type for condition in context.status.conditions}
        return ConditionUpdate(OUTPUT_SHARED, "False", ALONE) if OUTPUT_SHARED in stored else None
    if waiting is not None and waiting.reason == SAME_TRAINING:
        return ConditionUpdate(OUTPUT_SHARED, "True", waiting)
    called = ", ".join(one.called for one in found[:MAX_NAMED])
    more = " and others" if len(found) > MAX_NAMED else ""
    said = (
        f"{called}{more} work below the same output.uri: equal steps are done once and shared, others lie beside each "
        "other; whoever forgets documents there or empties the folder concerns all of them"
    )
    return ConditionUpdate(OUTPUT_SHARED, "True", Finding("OthersWorkThere", said))


def _first(context: RunContext, wanted: Callable[[Neighbour], bool]) -> Neighbour | None:
    if next(_others(context), None) is None:
        return None
    digests = {step.name: step.digest for step in context.steps if step.state in step_table.DONE}
    mine = neighbours.training_of(context.run.spec, digests)
    if not mine:
        return None
    return next((one for one in _others(context) if one.training == mine and wanted(one)), None)


def _others(context: RunContext) -> Iterator[Neighbour]:
    return (one for one in context.observed.neighbours if one.uid != context.uid)


def _is_older(one: Neighbour, context: RunContext) -> bool:
    created = str(objects.metadata(context.observed.run).get("creationTimestamp") or "")
    return (one.created, one.uid) < (created, context.uid)
