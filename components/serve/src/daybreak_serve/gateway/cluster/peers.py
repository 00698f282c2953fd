"""The other gateways of a ModelDeployment: an event goes to the one that answered the completion it is about.

A completion's id begins with a mark of the gateway that made it, so an event finds its record whichever gateway
an editor's connection reaches. Owns neither records nor counters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx

from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint
from daybreak_serve.gateway.events.journal import SuggestionEvent
from daybreak_serve.gateway.http.problems import ApiProblem, no_engine

PREFIX = "cmpl-"
MARK_LENGTH = 8
FORWARDED_HEADER = b"x-daybreak-forwarded"
"""On what one gateway hands to another: it is not handed on."""
TIMEOUT_S = 5.0


def mark_of(address: str) -> str:
    """Return what stands for ``host:port`` in ids: nobody outside needs to read the cluster's addresses."""
    return hashlib.sha256(address.encode()).hexdigest()[:MARK_LENGTH]


class Peers:
    """Who else answers for this ModelDeployment. Without an own address, as on one machine, there is nobody."""

    def __init__(self, address: str = "") -> None:
        self.mark = mark_of(address) if address else ""
        self._urls: Mapping[str, str] = {}
        self._hosts: frozenset[str] = frozenset()
        self._client: httpx.AsyncClient | None = None

    def set(self, listed: Iterable[ListedEndpoint]) -> None:
        """Know these gateways, and no others."""
        found = {mark_of(one.http.removeprefix("http://")): one.http for one in listed}
        self._urls = {mark: url for mark, url in found.items() if mark != self.mark}
        self._hosts = frozenset(urlsplit(url).hostname or "" for url in self._urls.values())

    @property
    def urls(self) -> list[str]:
        """Where the others answer."""
        return list(self._urls.values())

    def is_host(self, address: str) -> bool:
        """Tell whether an address is another gateway's."""
        return address in self._hosts

    def split(
        self, events: Sequence[SuggestionEvent]
    ) -> tuple[list[SuggestionEvent], dict[str, list[SuggestionEvent]]]:
        """Return the events that are ours and those of others by their URL."""
        mine: list[SuggestionEvent] = []
        theirs: dict[str, list[SuggestionEvent]] = {}
        for event in events:
            mark = event.completion_id.removeprefix(PREFIX)[:MARK_LENGTH]
            url = self._urls.get(mark) if self.mark else None
            (mine if url is None else theirs.setdefault(url, [])).append(event)
        return mine, theirs

    async def forward(
        self, url: str, events: Sequence[SuggestionEvent], credential: str = ""
    ) -> tuple[int, int]:
        """Hand events on in their sender's name; return how many the other gateway took and how many it had already."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S)
        body = {"events": [event.model_dump(exclude_none=True) for event in events]}
        headers = {FORWARDED_HEADER.decode(): "1"}
        if credential:
            headers["authorization"] = credential
        try:
            answer = await self._client.post(f"{url}/v1/events", json=body, headers=headers)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise no_engine("the gateway that answered this completion cannot be reached now") from error
        if answer.status_code != 200:
            said = document["error"]
            raise ApiProblem(answer.status_code, said["message"], said["type"], said["param"], said["code"])
        return int(document["accepted"]), int(document["repeated"])

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
