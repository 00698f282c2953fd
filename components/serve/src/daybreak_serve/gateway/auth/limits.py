"""How much one may ask: requests at once, requests in any minute, tokens in a day; of a user, and of a group together.

Decisions only: times are arguments. Requests a minute and tokens a day are counted with what other gateways have let in
(`shared_counts`), requests at once by each gateway alone. A request that is turned away counts for nothing, so that
who comes again when told is let in.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from daybreak_contracts.resources.access import AccessLimits, GroupLimits, UserLimits
from daybreak_serve.gateway.auth.shared_counts import BUCKET_S, SharedCounts, key_of
from daybreak_serve.gateway.http.problems import RETRY_AFTER_S, ApiProblem

MINUTE_S, DAY_S = 60.0, 86_400
TOLERANCE_S = 0.001
"""Who comes when told is not turned away for a rounding."""
MAX_REMEMBERED = 50_000
"""Users that are counted: without credentials anybody can be as many as they like. The longest silent is forgotten."""
RATE_LIMIT = "rate_limit_exceeded"
"""OpenAI's code."""


@dataclass(frozen=True)
class Moment:
    """Now, by a clock that only goes forward and by the calendar's (Unix)."""

    steady_s: float
    unix_s: float

    @property
    def day(self) -> int:
        """Days since 1970 (UTC)."""
        return int(self.unix_s // DAY_S)


@dataclass
class Consumption:
    """What one user, or one group, has asked for."""

    num_running: int = 0
    entered_s: deque[float] = field(default_factory=deque)
    """Steady times of the last minute's requests, no more than the limit."""
    day: int = 0
    num_tokens: int = 0
    """Of that day."""


@dataclass(frozen=True)
class Share:
    """One limit and what it is of."""

    name: str
    """For people: ``this user`` or ``group interns``."""
    limits: UserLimits | GroupLimits
    consumed: Consumption
    key: str = ""
    """Of it between gateways."""


@dataclass(frozen=True)
class Admission:
    """A request that was let in, until it `leaves`."""

    shares: tuple[Share, ...]
    left: list[bool] = field(default_factory=list)


def refusal(share: Share, now: Moment, shared: SharedCounts) -> ApiProblem | None:
    """Return why one more request is too much, and when it will not be; None: it is not."""
    limits, consumed = share.limits, share.consumed
    num_tokens = _tokens_of(consumed, now.day) + shared.others_tokens(share.key, now.day)
    if limits.tokens_per_day is not None and num_tokens >= limits.tokens_per_day:
        wait_s = (now.day + 1) * DAY_S - now.unix_s
        return _too_much(
            f"{share.name} has used its {limits.tokens_per_day} tokens of this day (UTC)", wait_s
        )
    if limits.requests_per_minute is not None:
        wait_s = _wait_s(share, limits.requests_per_minute, now, shared)
        if wait_s > TOLERANCE_S:
            return _too_much(
                f"{share.name} has had its {limits.requests_per_minute} requests a minute", wait_s
            )
    if limits.concurrency is not None and consumed.num_running >= limits.concurrency:
        return _too_much(f"{share.name} has {limits.concurrency} requests at once already", RETRY_AFTER_S)
    return None


def _wait_s(share: Share, limit: int, now: Moment, shared: SharedCounts) -> float:
    """Return in how many seconds fewer requests than the limit are of the last minute, here and at other gateways."""
    leaving = [entered_s + MINUTE_S - now.steady_s for entered_s in share.consumed.entered_s]
    for bucket, number in shared.others_requests(share.key, now.unix_s).items():
        leaving += [(bucket + 1) * BUCKET_S + MINUTE_S - now.unix_s] * min(number, limit)
    leaving = sorted(wait_s for wait_s in leaving if wait_s > 0)
    return leaving[len(leaving) - limit] if len(leaving) >= limit else 0.0


def _tokens_of(consumed: Consumption, day: int) -> int:
    return consumed.num_tokens if consumed.day == day else 0


def _too_much(what: str, wait_s: float) -> ApiProblem:
    retry_after_s = max(RETRY_AFTER_S, math.ceil(wait_s))
    message = f"{what}, come again in {retry_after_s} s"
    return ApiProblem(429, message, "rate_limit_error", code=RATE_LIMIT, retry_after_s=retry_after_s)


class Consumptions:
    """What everybody has asked of this gateway, and of others as far as it heard."""

    def __init__(self, limits: AccessLimits, shared: SharedCounts | None = None) -> None:
        self._shared = shared or SharedCounts("")
        self._user_limits = limits.user
        self._group_limits = {one.name: one for one in limits.groups}
        self._groups = {name: Consumption() for name in self._group_limits}
        self._users: OrderedDict[str, Consumption] = OrderedDict()
        self._limits_users = limits.user != UserLimits()

    def enter(self, user: str, groups: Sequence[str], now: Moment) -> Admission:
        """Let a request in, or raise the 429 that tells when it can come: by all limits it is under."""
        shares = tuple(self._shares(user, groups))
        refused = [problem for share in shares if (problem := refusal(share, now, self._shared)) is not None]
        if refused:
            raise max(refused, key=lambda problem: problem.retry_after_s)
        for share in shares:
            share.consumed.num_running += 1
            if share.limits.requests_per_minute is not None:
                _note(share.consumed.entered_s, now.steady_s)
                self._shared.entered(share.key, now.unix_s)
        return Admission(shares)

    def leave(self, admission: Admission) -> None:
        """End a request's being one of those at once; a second time changes nothing."""
        if not admission.left:
            admission.left.append(True)
            for share in admission.shares:
                share.consumed.num_running -= 1

    def spend(self, admission: Admission, num_tokens: int, now: Moment) -> None:
        """Count a request's tokens, known at its end: the one that goes beyond the limit is the day's last."""
        for share in admission.shares:
            share.consumed.num_tokens = _tokens_of(share.consumed, now.day) + num_tokens
            share.consumed.day = now.day
            if share.limits.tokens_per_day is not None and num_tokens:
                self._shared.spent(share.key, now.day, num_tokens)

    def _shares(self, user: str, groups: Sequence[str]) -> Iterator[Share]:
        if self._limits_users:
            yield Share("this user", self._user_limits, self._of_user(user), key_of(f"user {user}"))
        for name in dict.fromkeys(groups):
            if name in self._groups:
                yield Share(
                    f"group {name}", self._group_limits[name], self._groups[name], key_of(f"group {name}")
                )

    def _of_user(self, user: str) -> Consumption:
        found = self._users.setdefault(user, Consumption())
        self._users.move_to_end(user)
        while len(self._users) > MAX_REMEMBERED:
            self._users.popitem(last=False)
        return found


def _note(entered_s: deque[float], now_s: float) -> None:
    while entered_s and entered_s[0] + MINUTE_S <= now_s:
        entered_s.popleft()
    entered_s.append(now_s)
