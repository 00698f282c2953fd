"""What is reconciled, how urgently, and what is kept of an object: the words of cache, watches and queue."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from daybreak_operator.core.plan import Object

Body = dict[str, Any]
"""An object as the API gave it."""


class ObjectKey(NamedTuple):
    """One object that is reconciled."""

    kind: str
    namespace: str
    name: str


class Priority(enum.IntEnum):
    """How soon a key is to be seen, by what happened; of two the lesser one counts."""

    NEW = 0
    """Nothing was ever said of it: whoever made it waits for an answer."""
    CHANGED = 1
    """A new generation, or a deletion: whoever did that waits for an answer."""
    EVENT = 2
    """Something happened: to a child, to an object that it follows, or by our own last pass."""
    LATER = 3
    """Work that can wait: a reading came in, a failure is tried again, a new object gets its children."""
    REQUEUE = 4
    """Nothing happened but that time went by. Only these are paced."""


def lean(body: Body) -> Body:
    """Return the object without what is long and says nothing to a decision."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": metadata}


def version_of(body: Object) -> int:
    """Resource versions of one kind rise (KEP-5504 makes this a promise)."""
    return int(body["metadata"]["resourceVersion"])
