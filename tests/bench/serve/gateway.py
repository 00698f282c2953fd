"""What the gateway adds to a request: beside the direct gRPC call, and beside LiteLLM's proxy over HTTP.

Open loop: requests leave at Poisson times whatever became of the earlier ones, and latency counts from the
intended time. Rounds alternate, each pair with the same times; reported is the median over rounds of the
difference. The engine is Triton with an echo model that takes no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import uvloop

from daybreak_contracts import artifacts, names
from daybreak_contracts.progress import Progress
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.engine.triton import free_port
from daybreak_serve.gateway.pool.streams import EngineClient, infer_request
from daybreak_serve.modelfolder import ModelFolder, open_model
from daybreak_serve.process import Child
from tests.bench.row import Row
from tests.serve.conftest import (
    new_server,
    slow_repository,
    start_gateway,
    wait_for,
    write_llama,
    write_tokenizer,
)

RATES = (50, 200)
PEER_REQUESTS = 100
"""A round; one at a time, because the peer is past its limit on a busy two-core machine at 20 a second."""
ROUNDS = 5
ROUND_S = 3.0
PROMPT = "def add(first, second):\n    return first"
PEER = Path(".cache/peers/litellm")


class Way(Protocol):
    """One way to ask."""

    async def ask(self) -> None:
        """Ask once and read the whole answer."""
        ...

    async def rest(self) -> None:
        """Be left alone for a while."""
        ...


@dataclass(frozen=True)
class Latencies:
    """One round, in milliseconds."""

    p50: float
    p99: float


async def offered(way: Way, rate: int, seconds: float, seed: int) -> Latencies:
    """Send requests at Poisson times and return what they took from their intended times."""
    loop, source, found = asyncio.get_running_loop(), random.Random(seed), list[float]()
    began = loop.time() + 0.05

    async def one(intended: float) -> None:
        await way.ask()
        found.append(1000 * (loop.time() - intended))

    tasks, at = [], began
    while (at := at + source.expovariate(rate)) < began + seconds:
        await asyncio.sleep(max(0.0, at - loop.time()))
        tasks.append(asyncio.create_task(one(at)))
    await asyncio.gather(*tasks)
    await way.rest()
    found.sort()
    return Latencies(found[len(found) // 2], found[int(len(found) * 0.99)])


class Http:
    """A bare HTTP/1.1 client: a library of the size of the gateway would be measured with it."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        data = json.dumps(body).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        self._address = (host, int(port))
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self) -> None:
        """Send the request and read the whole answer, which must be 200."""
        pair = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        pair[1].write(self._request)
        head = (await pair[0].readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        await pair[0].readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        self._idle.append(pair)

    async def rest(self) -> None:
        """Close the connections: a server would, while another way is measured."""
        while self._idle:
            self._idle.pop()[1].close()


class Direct:
    """The direct call as everybody makes it: tritonclient's ``stream_infer``, one stream a request."""

    def __init__(self, address: str, prompt_ids: list[int]) -> None:
        import numpy as np
        from tritonclient.grpc import aio

        self._client = aio.InferenceServerClient(address)
        ids = aio.InferInput("prompt_ids", [len(prompt_ids)], "INT32")
        ids.set_data_from_numpy(np.array(prompt_ids, np.int32))
        options = aio.InferInput("options", [1], "BYTES")
        options.set_data_from_numpy(np.array([json.dumps({"max_tokens": 1, "temperature": 0})], np.object_))
        self._request = {"model_name": "completion", "inputs": [ids, options]}

    async def ask(self) -> None:
        """Send one request on a stream of its own."""

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield self._request

        async for _, error in self._client.stream_infer(requests()):
            assert error is None, error

    async def rest(self) -> None:
        """Keep the channel: there is nothing to give up between rounds."""


class Pooled:
    """The direct call on the gateway's own pool of streams: what is left is the gateway's HTTP and its rules."""

    def __init__(self, address: str, prompt_ids: list[int]) -> None:
        self._engine = EngineClient(address, timeout_s=30, num_spare=64)
        self._message = infer_request(prompt_ids, GenerationOptions(max_tokens=1), "")

    async def ask(self) -> None:
        """Send one request on a stream of the pool."""
        stream = self._engine.open()
        await stream.ask(self._message)
        while await stream.next_chunk() is not None:
            pass
        self._engine.give_back(stream)

    async def rest(self) -> None:
        """Keep the channel and its streams."""


async def alternate(ways: dict[str, Way], rate: int) -> dict[str, list[Latencies]]:
    """Measure all ways in turn, round by round, each round with the same arrival times."""
    found: dict[str, list[Latencies]] = {name: [] for name in ways}
    for way in ways.values():
        await offered(way, rate, 1.0, seed=0)  # connections, caches
    for number in range(1, ROUNDS + 1):
        for name, way in ways.items():
            found[name].append(await offered(way, rate, ROUND_S, seed=number))
    return found


def added(found: dict[str, list[Latencies]], way: str, base: str) -> Latencies:
    """Return the median over rounds of what one way takes more than another."""
    pairs = list(zip(found[way], found[base], strict=True))
    return Latencies(
        statistics.median(more.p50 - less.p50 for more, less in pairs),
        statistics.median(more.p99 - less.p99 for more, less in pairs),
    )


def middle(rounds: list[Latencies]) -> str:
    """Return the median of the rounds in words."""
    p50 = statistics.median(one.p50 for one in rounds)
    return f"{p50:.1f} / {statistics.median(one.p99 for one in rounds):.1f} ms"


def measure() -> list[Row]:
    """Measure both rates, then the peer."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model = echo_model(folder)
        slow_repository(model, folder)
        server = new_server(folder)
        stack.callback(server.stop)
        server.start()
        server.wait_ready(Progress("bench"))
        gateway, url = start_gateway(
            model, server.address, folder, max_inflight=64, max_held=1024, hold_ms=5000
        )
        stack.callback(gateway.stop, 5.0)
        wait_for(url, 200)
        rows = uvloop.run(own_rows(server.address, url))
        peer_url, peer = stack.enter_context(litellm(folder, url))
        return rows + uvloop.run(peer_rows((url, gateway.pid), (peer_url, peer.pid)))


async def own_rows(address: str, url: str) -> list[Row]:
    """Measure the gateway beside both direct calls."""
    rows = []
    prompt_ids = list(range(120, 135))
    http = Http(url, {"prompt": PROMPT, "max_tokens": 1})
    direct, pooled = Direct(address, prompt_ids), Pooled(address, prompt_ids)
    ways: dict[str, Way] = {"direct": direct, "pooled": pooled, "gateway": http}
    for rate in RATES:
        found = await alternate(ways, rate)
        for base, what in (("direct", "a stream a request"), ("pooled", "the gateway's own pool of streams")):
            more = added(found, "gateway", base)
            note = f"p50 / p99: gateway {middle(found['gateway'])}, direct {middle(found[base])}"
            text = f"added at {rate} requests/s to the direct gRPC call on {what}"
            rows.append(Row(f"{text}, p50", more.p50, "ms", "<= 1", note=note))
            rows.append(Row(f"{text}, p99", more.p99, "ms", "<= 5"))
    return rows


async def one_by_one(way: Way) -> Latencies:
    """Ask without pause, one request at a time."""
    found = []
    for _ in range(PEER_REQUESTS):
        began = time.perf_counter()
        await way.ask()
        found.append(1000 * (time.perf_counter() - began))
    await way.rest()
    found.sort()
    return Latencies(found[len(found) // 2], found[int(len(found) * 0.99)])


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, which other work on the machine hardly changes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # proc(5): utime, stime
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def peer_rows(ours: tuple[str, int], peer: tuple[str, int]) -> list[Row]:
    """Measure LiteLLM's proxy before our gateway: what a general gateway adds to the same HTTP call."""
    body = {"prompt": PROMPT, "max_tokens": 1, "model": "daybreak"}
    ways = {"gateway": (Http(ours[0], body), ours[1]), "peer": (Http(peer[0], body), peer[1])}
    found: dict[str, list[Latencies]] = {name: [] for name in ways}
    used = dict.fromkeys(ways, 0.0)
    for way, _ in ways.values():
        await one_by_one(way)
    for _ in range(ROUNDS):
        for name, (way, pid) in ways.items():
            before = cpu_s(pid)
            found[name].append(await one_by_one(way))
            used[name] += (cpu_s(pid) - before) * 1000 / (ROUNDS * PEER_REQUESTS)
    done = subprocess.run([PEER / "bin/litellm", "--version"], capture_output=True, text=True, check=True)
    more, name = added(found, "peer", "gateway"), f"LiteLLM proxy {done.stdout.split()[-1]}"
    note = "the peer stands before our gateway: its figure is what it adds"
    p50, p99 = (statistics.median(getattr(one, part) for one in found["gateway"]) for part in ("p50", "p99"))
    return [
        Row("HTTP completion, one at a time, engine included, p50", p50, "ms", "", name, more.p50, note),
        Row("HTTP completion, one at a time, engine included, p99", p99, "ms", "", name, more.p99, note),
        Row("processor time a request", used["gateway"], "ms", "", name, used["peer"]),
    ]


def echo_model(folder: Path) -> ModelFolder:
    """Commit a small model; the echo engine takes its place, its tokenizer is the gateway's."""
    staging, uri = folder / "staging", str(folder / "model")
    staging.mkdir()
    write_llama(staging, write_tokenizer(staging).get_vocab_size())
    artifacts.commit(uri, staging, step=names.STEP_EXPORT, digest="ab" * 32, inputs={}, result={})
    return replace(open_model(uri, folder / "cache"), golden=None)  # the echo engine answers otherwise


@contextlib.contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[tuple[str, Child]]:
    """Install LiteLLM's proxy into an environment of its own and run it before the gateway; its URL, its process."""
    if not (PEER / "bin/litellm").exists():
        environment = {**os.environ, "VIRTUAL_ENV": str(PEER)}
        subprocess.run(["uv", "venv", "-q", "--python", "3.11", str(PEER)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "litellm[proxy]"], check=True, env=environment)
    route = {"model": "text-completion-openai/daybreak", "api_base": f"{upstream}/v1", "api_key": "none"}
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": [{"model_name": "daybreak", "litellm_params": route}]}))
    port = free_port()
    command = [str((PEER / "bin/litellm").absolute()), "--config", str(config), "--port", str(port)]
    bare = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    child = Child([*command, "--host", "127.0.0.1"], {**os.environ, **bare}, folder / "litellm.log")
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 90
        while not answers(url):
            if child.exit_code is not None or time.monotonic() > deadline:
                raise RuntimeError(f"LiteLLM does not start:\n{child.log_tail()[-2000:]}")
            child.wait(0.2)
        yield url, child
    finally:
        child.stop(5)


def answers(url: str) -> bool:
    """Tell whether a proxy is up."""
    import httpx

    try:
        return httpx.get(f"{url}/health/liveliness", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
