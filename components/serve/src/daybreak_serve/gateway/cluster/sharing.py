"""Asks the other gateways what they have let in, so that a limit is one limit, and tells them when they ask.

Nothing is written anywhere: each gateway asks each other one a second, and a gateway that is away counts as it was last
heard. Owns no limit.
"""

from __future__ import annotations

import asyncio
import time

import httpx

from daybreak_contracts.resources.access import AccessLimits, GroupLimits, UserLimits
from daybreak_serve.gateway.auth.shared_counts import SharedCounts, ToldCounts
from daybreak_serve.gateway.cluster.peers import Peers

PATH = "/internal/counts"
EVERY_S = 1.0
TIMEOUT_S = 2.0
MAX_BYTES = 16 << 20


def counts_anything(limits: AccessLimits) -> bool:
    """Tell whether there is a limit that gateways share."""
    shares: list[UserLimits | GroupLimits] = [limits.user, *limits.groups]
    return any(one.requests_per_minute is not None or one.tokens_per_day is not None for one in shares)


async def share(peers: Peers, counts: SharedCounts, every_s: float = EVERY_S) -> None:
    """Hear the others, until cancelled."""
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client:
        while True:
            await asyncio.gather(*(_hear(client, url, counts) for url in peers.urls))
            await asyncio.sleep(every_s)


async def _hear(client: httpx.AsyncClient, url: str, counts: SharedCounts) -> None:
    try:
        answer = await client.get(f"{url}{PATH}")
        if answer.status_code == 200 and len(answer.content) <= MAX_BYTES:
            counts.hear(ToldCounts.model_validate_json(answer.content))
    except (httpx.HTTPError, ValueError):
        return  # it ends, starts, or is of an older version: what was heard last still counts


def told(counts: SharedCounts) -> bytes:
    """Return what to answer another gateway."""
    return counts.told(time.time()).model_dump_json().encode()
