"""Kubernetes events: how one is written down. Pure; the name comes from what it says, so a repeat is a conflict."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.plan import Object, ObjectEvent
from daybreak_operator.core.times import timestamp

MAX_MESSAGE = 1024
"""The API's own bound."""


def body_of(event: ObjectEvent, about: Object, now: datetime) -> dict[str, Any]:
    """Return the event's object. The same said twice in one second is one event: the second is refused as there."""
    metadata = about["metadata"]
    said = f"{metadata['uid']}/{event.reason}/{event.message}/{timestamp(now)}"
    tail = hashlib.sha256(said.encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{tail}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:MAX_MESSAGE],
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
        "source": {"component": names.FIELD_OWNER},
        "reportingComponent": names.FIELD_OWNER,
    }
