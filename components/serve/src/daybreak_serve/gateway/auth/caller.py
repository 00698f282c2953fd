"""Who asks: what a credential says, or, where none is asked for, what headers say."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from daybreak_serve.gateway.http.asgi_io import header

USER_HEADER, GROUPS_HEADER = b"x-daybreak-user", b"x-daybreak-groups"
"""Who asks, as the edge that logs people in says it; it must strip both from what comes from outside."""
KEY = "daybreak.caller"
"""Where the guard puts it in the scope: no header, so that no name can be mistaken for two."""


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    user: str | None
    groups: tuple[str, ...] = ()
    credential: str = ""
    """The ``Authorization`` that it came with, for another gateway that this one asks in the caller's name."""


def caller_of(scope: Scope) -> Caller:
    """Return who asks: by the credential if there is a guard, else by the headers of the edge."""
    known = scope.get(KEY)
    return known if isinstance(known, Caller) else named_by_headers(scope)


def groups_of(groups_header: str | None) -> tuple[str, ...]:
    """Return the groups that the edge names: separated by commas.

    >>> groups_of("staff, berlin")
    ('staff', 'berlin')
    """
    return tuple(filter(None, (group.strip() for group in (groups_header or "").split(","))))


def named_by_headers(scope: Scope) -> Caller:
    """Return whom the headers name."""
    return Caller(header(scope, USER_HEADER) or None, groups_of(header(scope, GROUPS_HEADER)))
