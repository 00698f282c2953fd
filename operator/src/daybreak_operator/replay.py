"""``python -m daybreak_operator.replay``: what placement policies make of a spot trace, side by side.

Owns the command line only: traces are read in ``shell.traces``, and ours is the very decision that runs live.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from daybreak_contracts.errors import DaybreakError, UserError
from daybreak_operator.core.capacity.policies import NAMES, policy_named
from daybreak_operator.core.capacity.simulate import ReplayResult, Trace, simulate
from daybreak_operator.shell.traces import trace_of

MAX_REPLICAS = 100


def line(name: str, outcome: ReplayResult) -> str:
    """Return one policy's line of the table."""
    return (
        f"{name:<22} {outcome.all_ready:>9.4f} {outcome.any_ready:>9.4f} {outcome.cost:>7.3f} "
        f"{outcome.failed_launches:>7} {outcome.launches:>9}"
    )


def heading(trace: Trace, replicas: int) -> str:
    """Return the table's head."""
    return (
        f"{trace.name}: {len(trace.zones)} zones, {trace.num_steps} steps of {trace.step_s} s; "
        f"{replicas} replicas; cost as a share of on-demand\n"
        f"{'policy':<22} {f'{replicas} ready':>9} {'any ready':>9} {'cost':>7} {'failed':>7} {'launches':>9}"
    )


def names_of(policy: str) -> Sequence[str]:
    """Return the policies that an option names."""
    if policy == "all":
        return NAMES
    if policy not in NAMES:
        raise UserError(f"--policy {policy} is unknown: choose all or one of {', '.join(NAMES)}")
    return (policy,)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(prog="python -m daybreak_operator.replay", description=__doc__)
    options.add_argument("--trace", required=True, metavar="FILE|FOLDER|synthetic:SEED")
    options.add_argument("--policy", default="all", metavar="NAME", help=f"all, or one of {', '.join(NAMES)}")
    options.add_argument("--replicas", type=int, default=4, help="how many must be ready")
    options.add_argument("--steps", type=int, default=None, help="only so many steps of the trace")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 0, or 2 with a sentence on stderr when the input is bad."""
    options = parser().parse_args(argv)
    try:
        names = names_of(options.policy)
        if not 1 <= options.replicas <= MAX_REPLICAS:
            raise UserError(f"--replicas must be between 1 and {MAX_REPLICAS}, got {options.replicas}")
        if options.steps is not None and options.steps < 1:
            raise UserError(f"--steps must be 1 or more, got {options.steps}")
        trace = trace_of(options.trace, options.steps)
    except DaybreakError as error:
        print(f"replay: {error}", file=sys.stderr)
        return error.exit_code
    print(heading(trace, options.replicas))
    for name in names:
        print(
            line(name, simulate(trace, policy_named(name, trace, options.replicas), options.replicas)),
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
