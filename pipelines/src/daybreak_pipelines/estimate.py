"""How long yet: from how far the current step is and what the steps took before. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

TYPICAL_SECONDS: Mapping[str, float] = {
    "documents": 35,
    "xray": 18,
    "tokenizer": 3,
    "shards": 3,
    "train": 370,
    "export": 5,
    "evaluate": 12,
    "serve": 6,
}
"""First-light on two cores, as in docs/benchmarks.md; only their ratios matter once a step has ended."""
BESIDES_DEADLINE_S = 15.0
"""What a training with a deadline takes besides: loading before it, the last look at held-out samples behind."""


def expected_seconds(
    steps: Sequence[str], before: Mapping[str, float], known: Mapping[str, float]
) -> dict[str, float]:
    """Return what each step is expected to take.

    ``known`` (a training deadline) wins over ``before`` (an earlier run of the same manifest), that over the
    typical figures.
    """
    return {step: known.get(step, before.get(step, TYPICAL_SECONDS.get(step, 30.0))) for step in steps}


def seconds_left(
    steps: Sequence[str],
    expected: Mapping[str, float],
    done: Mapping[str, float],
    current: str | None,
    elapsed_s: float,
    share: float,
    paceless: Collection[str] = (),
) -> float:
    """Return the seconds until the last step ends.

    The current step is judged by its own pace once 5 % of it are done, before that by expectation. Later steps
    are scaled by how the ended ones went against expectation, within a factor of three either way; but neither by nor
    for the ``paceless`` ones, which end by the clock, or were not done again.

    >>> seconds_left(["a", "b"], {"a": 10, "b": 20}, {"a": 20}, "b", 0, 0)
    40.0
    >>> seconds_left(["a", "b"], {"a": 10, "b": 20}, {"a": 20}, "b", 0, 0, {"b"})
    20.0
    """
    told = [step for step in done if step not in paceless]
    planned = sum(expected[step] for step in told)
    pace = min(3.0, max(1 / 3, sum(done[step] for step in told) / planned)) if planned else 1.0
    left = 0.0
    for step in steps:
        if step in done:
            continue
        likely = expected[step] if step in paceless else expected[step] * pace
        if step == current and share >= 0.05:
            left += elapsed_s * (1 - share) / share
        elif step == current:
            left += max(0.0, likely - elapsed_s)
        else:
            left += likely
    return left


def in_words(seconds: float) -> str:
    """Return a duration as a person says it: ``42 s``, ``3 min 20 s``, ``2 h 05 min``.

    >>> in_words(200)
    '3 min 20 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
