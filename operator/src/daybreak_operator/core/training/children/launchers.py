"""What makes a training's pods: one entry for each kind of job, chosen by ``training.launcher``.

Owns the table. All that is decided about an attempt is the same for each of them; what differs is what is made, and
what a person is told where the cluster does not know the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daybreak_operator.core.plan import Object, Ref
from daybreak_operator.core.training.children.indexed_job import indexed_job, service
from daybreak_operator.core.training.children.pytorch_job import pytorch_job
from daybreak_operator.core.training.children.train_job import old_runtimes, train_job
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.observed.launcher import Launcher
from daybreak_operator.core.training.placement import PlacementTarget


@dataclass(frozen=True)
class LauncherKind:
    """How one kind of job trains."""

    attempt: Callable[[RunContext, int, PlacementTarget], tuple[Object, ...]]
    """What an attempt is made of, in the order in which it is applied; made once, the job last, maybe a pass later."""
    standing: Callable[[RunContext], tuple[Object, ...]] = lambda context: ()
    """What all attempts need besides their jobs, and what is there as long as the run."""
    outdated: Callable[[RunContext, int], tuple[Ref, ...]] = lambda context, number: ()
    """What other attempts than this one left besides their jobs."""


LAUNCHERS: Mapping[Launcher, LauncherKind] = {
    "PyTorchJob": LauncherKind(lambda context, number, place: (pytorch_job(context, number, place),)),
    "TrainJob": LauncherKind(train_job, outdated=old_runtimes),
    "Job": LauncherKind(
        lambda context, number, place: (indexed_job(context, number, place),),
        lambda context: (service(context),),
    ),
}


def of(context: RunContext) -> LauncherKind:
    """Return the run's launcher."""
    return LAUNCHERS[context.launcher]
