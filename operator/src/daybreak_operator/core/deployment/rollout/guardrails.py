"""Whether a candidate does worse than its bounds and worse than the stable model at the same time.

Owns the tests and their sources. Reads counters of the gateways; knows neither weights nor stages.

A verdict is looked for every few seconds, and a test that is repeated until it fails will fail: with z = 1.64 and 200
looks four of ten harmless candidates would be rolled back. The critical value is therefore that of an asymptotic
confidence sequence, which holds at all times at once (``critical``), put into the score interval of one share (Wilson
1927), of a difference (Newcombe 1998) and of a ratio (Katz et al. 1978).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment import Guardrails
from daybreak_operator.core.deployment.rollout.target import bare
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.rules import Rule, first_finding

ALPHA = 0.05
"""Chance of ever rolling back a candidate that is as good as its bounds, per guardrail and step."""
TUNED_FOR = 5
"""The sequence is narrowest at this many times ``minRequests``."""
SLOW_SHARE = 0.05
"""Share of requests beyond the 95th percentile."""


Share = tuple[int, int]
"""How many of how many."""


@dataclass(frozen=True)
class Counts:
    """One model's counters over a stage."""

    requests: int = 0
    errors: int = 0
    slow: int = 0
    """Requests that surely took longer than the bound."""
    shown: int = 0
    accepted: int = 0


@dataclass(frozen=True)
class GuardrailVerdict:
    """What the guardrails say of a candidate."""

    state: Literal["Waiting", "Within", "Broken"]
    finding: Finding


@dataclass(frozen=True)
class Comparison:
    """What a guardrail's rule is given."""

    guardrails: Guardrails
    candidate: Counts
    stable: Counts | None
    """None where nobody gets another model at the same time."""
    least: int
    """Requests from which on a verdict is due."""

    def is_worse(self, candidate: Share, stable: Share) -> bool:
        """Return whether the candidate's share is worse than the stable model's; True where there is none."""
        return self.stable is None or is_worse(candidate, stable, self.least)


def judge(guardrails: Guardrails, candidate: Counts, stable: Counts | None) -> GuardrailVerdict:
    """Return the verdict; ``stable`` is None where nobody gets another model at the same time."""
    least = max(1, guardrails.min_requests)
    if candidate.requests < guardrails.min_requests:
        text = f"waits for {guardrails.min_requests} requests (rollout.guardrails.minRequests)"
        return GuardrailVerdict("Waiting", Finding("WaitingForRequests", text))
    broken = first_finding(Comparison(guardrails, candidate, stable, least), RULES)
    if broken is not None:
        return GuardrailVerdict("Broken", broken)
    return GuardrailVerdict("Within", Finding("WithinGuardrails", "within its guardrails"))


def judge_mirrored(guardrails: Guardrails, candidate: Counts, stable: Counts | None) -> GuardrailVerdict:
    """Return the verdict on mirrored requests (``mirrored_of``): of errors only, for nobody saw a suggestion.

    Not of latency: the engine answers one request of ten, without what it would have kept of the nine before, and
    from places that are free, without the wait that the stable model's metrics hold. That is no comparison.
    """
    said = judge(guardrails, candidate, stable)
    message = f"of mirrored requests: {said.finding.message}"
    return GuardrailVerdict(said.state, Finding(said.finding.reason, message))


def too_many_errors(subject: Comparison) -> Finding | None:
    """More requests fail than are allowed, and more than of the stable model."""
    candidate, stable = subject.candidate, subject.stable or Counts()
    allowed = float(subject.guardrails.max_error_ratio)
    failed = (candidate.errors, candidate.requests)
    if not exceeds(failed, allowed, subject.least):
        return None
    if not subject.is_worse(failed, (stable.errors, stable.requests)):
        return None
    return _broken(
        f"{percent(*failed)} of requests failed, {100 * allowed:g} % may (rollout.guardrails.maxErrorRatio)"
    )


def too_slow(subject: Comparison) -> Finding | None:
    """More than one in twenty requests takes longer than the bound, and more than of the stable model.

    The test of a quantile by the share beyond it (Conover, Practical Nonparametric Statistics, section 3.2).
    """
    candidate, stable = subject.candidate, subject.stable or Counts()
    slow = (candidate.slow, candidate.requests)
    if not exceeds(slow, SLOW_SHARE, subject.least):
        return None
    if not subject.is_worse(slow, (stable.slow, stable.requests)):
        return None
    bound = subject.guardrails.max_p95_latency_ms
    return _broken(
        f"{percent(*slow)} of requests took longer than {bound} ms, 5 % may (rollout.guardrails.maxP95LatencyMs)"
    )


def too_rarely_accepted(subject: Comparison) -> Finding | None:
    """Suggestions are accepted more rarely than of the stable model, by more than is allowed."""
    if subject.stable is None:
        return None
    allowed = float(subject.guardrails.min_acceptance_ratio)
    ours = (subject.candidate.accepted, subject.candidate.shown)
    theirs = (subject.stable.accepted, subject.stable.shown)
    highest = ratio_at_most(ours, theirs, subject.least)
    if highest is None or highest >= allowed:
        return None
    return _broken(
        f"{percent(*ours)} of suggestions were accepted, of the stable model {percent(*theirs)}; "
        f"the ratio must be {allowed:g} (rollout.guardrails.minAcceptanceRatio)"
    )


RULES: tuple[Rule[Comparison], ...] = (too_many_errors, too_slow, too_rarely_accepted)


def _broken(message: str) -> Finding:
    return Finding("GuardrailBroken", message)


def percent(part: int, whole: int) -> str:
    """Return a share for people: ``3.25 %``."""
    return f"{100 * part / whole:.3g} %" if whole else "0 %"


def critical(number: int, least: int) -> float:
    """Return by how many standard errors a mean of ``number`` values must lie off, however often one looks.

    The one-sided boundary of the asymptotic confidence sequence of Waudby-Smith et al. (arXiv 2103.06476, as in
    GrowthBook's sequential tests): sqrt(2 (n r + 1) / (n r) ln(1 + sqrt(n r + 1) / (2 alpha))), r = rho squared,
    with rho chosen to be narrowest at N* values: r = (-2 ln alpha + ln(-2 ln alpha + 1)) / N*.
    """
    log = -2.0 * math.log(ALPHA)
    scaled = max(1, number) * (log + math.log(log + 1.0)) / (TUNED_FOR * least)
    return math.sqrt(2.0 * (scaled + 1.0) / scaled * math.log(1.0 + math.sqrt(scaled + 1.0) / (2.0 * ALPHA)))


def score_bounds(share: Share, z: float) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209-212)."""
    part, whole = share
    p, zz = part / whole, z * z
    middle = p + zz / (2 * whole)
    half = z * math.sqrt(p * (1 - p) / whole + zz / (4 * whole * whole))
    scale = 1 + zz / whole
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def exceeds(share: Share, allowed: float, least: int) -> bool:
    """Return whether a share lies above what is allowed by more than chance."""
    if share[1] == 0:
        return False
    return score_bounds(share, critical(share[1], least))[0] > allowed


def is_worse(share: Share, than: Share, least: int) -> bool:
    """Return whether a share lies above another by more than chance; True where there is nothing to compare with.

    The lower limit of the difference by the hybrid score method (Newcombe 1998, Stat. Med. 17:873-890, method 10).
    """
    if than[1] == 0:
        return True
    p, q = share[0] / share[1], than[0] / than[1]
    z = critical(min(share[1], than[1]), least)
    low, high = score_bounds(share, z)[0], score_bounds(than, z)[1]
    return p - q - math.sqrt((p - low) ** 2 + (high - q) ** 2) > 0.0


def ratio_at_most(share: Share, than: Share, least: int) -> float | None:
    """Return the largest ratio of two shares that chance explains; None while there is too little to say.

    The upper limit by the logarithm (Katz, Baptista, Azen and Pike 1978, Biometrics 34:469-474), with half a case
    added to each count so that none of them is zero.
    """
    if min(share[1], than[1]) < least or than[0] == 0:
        return None
    (a, n), (b, m) = share, than
    a_half, n_half, b_half, m_half = a + 0.5, n + 0.5, b + 0.5, m + 0.5
    error = math.sqrt(max(0.0, 1 / a_half - 1 / n_half + 1 / b_half - 1 / m_half))
    z = critical(min(n, m), least)
    return (a_half / n_half) / (b_half / m_half) * math.exp(z * error)


def counts_of(
    digest: str, snapshots: Sequence[GatewaySnapshot], earlier: Sequence[GatewaySnapshot], bound_ms: int
) -> Counts:
    """Return a model's counters since the earlier readings, over all gateways.

    A gateway that was started anew since counts from its start.
    """
    before = {(reading.instance, reading.started): reading for reading in earlier}
    total = Counts()
    for reading in snapshots:
        old = before.get((reading.instance, reading.started))
        now, then = _model(reading, digest), _model(old, digest)
        total = Counts(
            requests=total.requests + max(0, now.requests - then.requests),
            errors=total.errors + max(0, now.errors - then.errors),
            slow=total.slow + max(0, _slow(now, bound_ms) - _slow(then, bound_ms)),
            shown=total.shown + max(0, now.shown - then.shown),
            accepted=total.accepted + max(0, now.accepted - then.accepted),
        )
    return total


def mirrored_of(
    digest: str, snapshots: Sequence[GatewaySnapshot], earlier: Sequence[GatewaySnapshot]
) -> Counts:
    """Return what became of the requests that a model was asked without anybody seeing its answer."""
    before = {(reading.instance, reading.started): reading for reading in earlier}
    requests = errors = 0
    for reading in snapshots:
        now, then = _model(reading, digest), _model(before.get((reading.instance, reading.started)), digest)
        requests += max(0, now.shadow_requests - then.shadow_requests)
        errors += max(0, now.shadow_errors - then.shadow_errors)
    return Counts(requests=requests, errors=errors)


def _model(reading: GatewaySnapshot | None, digest: str) -> ModelCounters:
    for name, counters in reading.models.items() if reading is not None else ():
        if bare(name) == bare(digest):
            return counters
    return ModelCounters()


def _slow(counters: ModelCounters, bound_ms: int) -> int:
    """Count the requests of all buckets that lie wholly beyond the bound."""
    lower = (0, *LATENCY_BOUNDS_MS)
    return sum(count for low, count in zip(lower, counters.latency_buckets, strict=False) if low >= bound_ms)
