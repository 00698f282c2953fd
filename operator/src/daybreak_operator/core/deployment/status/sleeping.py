"""What the conditions say of a deployment that sleeps, and of one that was just woken. Decides nothing."""

from __future__ import annotations

from daybreak_contracts.routing import START_GOES_ON_S
from daybreak_operator.core.deployment.rollout.sleep import HOLD_S, may_sleep
from daybreak_operator.core.deployment.status.view import View
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.times import text_of


def is_asleep(view: View) -> Finding | None:
    """Nobody asks, and the next request is held and wakes it: that is how it shall be."""
    since = view.state.asleep_since
    if since is None:
        return None
    return Finding(
        "Asleep", f"no replica runs since {text_of(since)} because nobody asked; the next request wakes it"
    )


def is_waking(view: View) -> Finding | None:
    """The first replica is on its way, for no longer than a machine may take to come."""
    stable, woken_at = view.state.stable, view.state.woken_at
    if stable is None or woken_at is None or view.state.asleep_since is not None or not may_sleep(view.spec):
        return None
    if view.fleet.ready(stable.digest) or view.fleet.at - woken_at >= START_GOES_ON_S:
        return None
    text = f"woken at {text_of(woken_at)}; requests are held for up to {HOLD_S} s until the first replica answers"
    return Finding("Waking", text)


def candidate_waits(view: View) -> Finding | None:
    """A model shall be rolled out, and nobody is there to judge it by."""
    candidate = view.state.rolling
    if candidate is None or view.state.asleep_since is None:
        return None
    text = f"model {candidate.words} waits: its rollout goes on when a request wakes the deployment"
    return Finding("Asleep", text)
