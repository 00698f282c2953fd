"""What an API server's answer means to us: which errors pass by themselves, and which need a person.

Owns the mapping of HTTP codes to errors; does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from daybreak_contracts.errors import DaybreakError, TransientError
from daybreak_operator.core.parts import items, part


class ApiError(DaybreakError):
    """The API server refused; the message is its own sentence."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NotFoundError(ApiError):
    """There is no such object or kind."""


class ConflictError(ApiError):
    """The object changed since it was read, is another one, or a field belongs to somebody else."""


class GoneError(ApiError):
    """The resource version is too old: list again."""


class RefusedError(ApiError):
    """Quota, admission, validation or permission: the same request will be refused until somebody acts."""


class NamespaceLeavesError(ApiError):
    """The namespace is being deleted: nothing can be made in it any more, and nobody has to act."""


class BusyError(TransientError):
    """The API server asks for patience (429)."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


REFUSALS_BY_500 = (
    "failed to create typed patch object",
    "failed to convert new object",
    "field not declared in schema",
    "denied the request",
    "cannot unmarshal",
    "failed calling webhook",
    "conversion webhook for",
    "request is too large",
    "trying to send message larger than max",
)
"""What a 500 says that is no outage of the API server: an apply whose fields do not fit the kind, a webhook's own word,
a webhook that does not answer, an object that etcd does not take for its size (1.5 MiB). The same request gets the same
answer until somebody mends that."""
NAMESPACE_LEAVES = "NamespaceTerminating"
"""The cause that the API server's own admission names."""
_KINDS: dict[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError, 410: GoneError}


def error_of(code: int, body: bytes, headers: Mapping[str, str]) -> ApiError | TransientError:
    """Return the error that an answer of 400 or more stands for."""
    status = _status(body)
    message = str(status.get("message") or body[:500].decode("utf-8", "replace") or f"HTTP {code}")
    if code == 429:
        return BusyError(message, _seconds(headers.get("Retry-After", "")))
    if code == 500 and any(text in message for text in REFUSALS_BY_500):
        return RefusedError(code, str(status.get("reason") or ""), message)
    if code >= 500 or code in (401, 408):  # 401: a token that is just being renewed
        return TransientError(f"{message} (HTTP {code})")
    kind = NamespaceLeavesError if NAMESPACE_LEAVES in _causes(status) else _KINDS.get(code, RefusedError)
    return kind(code, str(status.get("reason") or ""), message)


def watch_error(status: Mapping[str, Any]) -> ApiError | TransientError:
    """Return the error that an ERROR event of a watch stands for."""
    code = int(status.get("code") or 500)
    return error_of(code, json.dumps(status).encode(), {})


def _status(body: bytes) -> dict[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _causes(status: Mapping[str, object]) -> set[str]:
    """Return the reasons of what an answer gives as its causes."""
    return {str(cause.get("reason")) for cause in items(part(status, "details"), "causes")}


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 1.0
