"""What users notice when something goes wrong or somebody is greedy: outages, torn streams, shares, memory.

The tiny model behind Triton for outages; for all else engines that echo, so that the gateway is what is measured.
Loads are closed loops or a fixed rate from this process; the gateway of shares and memory is a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvloop

from daybreak_serve.engine.repository import EngineSettings
from daybreak_serve.local.serving import LocalServer, ServeSettings, serve
from daybreak_serve.modelfolder import ModelFolder
from daybreak_serve.process import Child
from tests.bench.row import Row
from tests.bench.serve.cluster import running_cluster
from tests.serve.conftest import export, group_of, start_gateway, wait_for
from tests.serve.gateways import OLD, Engine, RunningGateway
from tests.serve.spares import have_spares

TRITON, ENGINE, GATEWAY = "Triton", "the engine inside it", "the gateway"
KILLS = 3
RATE, LOAD_S = 100, 4.0
SHARES_S = 20.0
ECHOED = {"prompt": "x", "max_tokens": 10, "temperature": 0.4}
"""400 ms in the engine that echoes, so that this process is not what is measured."""
MODELLED = {"prompt": "def add(a, b):", "max_tokens": 200, "temperature": 0.8}
GREEDY, POLITE = 16, 5
"""Connections of the one, and users with two connections each, before an engine with four places."""
REQUESTS, WARM = int(os.environ.get("DAYBREAK_BENCH_REQUESTS", "100000")), 20_000
KEPT = 10_000
"""Completions that events can refer to: full after the warm-up, so that what grows then is a leak."""


def measure() -> list[Row]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = export(folder)
        with serve(uri, work_dir=folder / "work", port=0) as server:
            model = server.model
            rows = outages(server)
        rows += [*shares(folder, model), *shares_of_an_engine(folder, uri)]
        return [*rows, *uvloop.run(hang(folder, model)), *memory(folder, model)]


def outages(server: LocalServer) -> list[Row]:
    """Kill and stop what serves; return how long nobody was answered, and how long until it was noticed."""
    rows = []
    for what, times in ((TRITON, KILLS), (ENGINE, KILLS), (GATEWAY, KILLS)):
        found = [outage(server, what, signal.SIGKILL) for _ in range(times)]
        rows.append(_row(f"nobody answered after kill -9 of {what}, the longest of {times}", found, "<= 5"))
    again = []
    for what in (ENGINE, GATEWAY):
        outage(server, what, signal.SIGKILL)
        again.append(outage(server, what, signal.SIGKILL, is_prepared=False))
    rows.append(_row("the same, engine and gateway killed again while they have no spare yet", again, ""))
    found = [outage(server, ENGINE, signal.SIGSTOP)]
    rows.append(_row("nobody answered after the engine hung (SIGSTOP)", found, "<= 15"))
    return rows


def _row(what: str, found: list[tuple[float, float]], target: str) -> Row:
    seconds = [one[0] for one in found]
    each = ", ".join(f"{wall:.1f} s ({cpu:.1f})" for wall, cpu in found)
    note = f"wall (processor seconds of what serves): {each}; load {os.getloadavg()[0]:.0f}"
    return Row(what, max(seconds), "s", target, note=note)


def outage(server: LocalServer, what: str, number: int, *, is_prepared: bool = True) -> tuple[float, float]:
    """Hit a process and return the seconds from then to the next whole answer, and the processor's in them."""
    while is_prepared and not have_spares(server):
        time.sleep(0.1)
    triton = server.triton.child.pid
    stubs = [pid for pid in group_of(triton) if pid != triton]
    pid = {TRITON: triton, ENGINE: stubs[0], GATEWAY: server.gateway_pid()}[what]
    used = cpu_seconds()
    began = time.perf_counter()
    os.kill(pid, number)
    time.sleep(0.02)  # what was hit may take one request more
    with httpx.Client(base_url=server.url, trust_env=False, verify=False, timeout=60) as client:
        while not answered(client):
            if time.perf_counter() - began > 120:
                raise RuntimeError(f"no answer for two minutes after {what} was hit")
            time.sleep(0.05)
    seconds = time.perf_counter() - began
    return seconds, sum(after - used.get(process, 0.0) for process, after in cpu_seconds().items())


def cpu_seconds() -> dict[int, float]:
    """Return what each process below this one has used so far."""
    parents, used = dict[int, int](), dict[int, float]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()  # proc(5): ppid, utime and stime
            pid = int(stat.parent.name)
            parents[pid] = int(fields[1])
            used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: used[pid] for pid in below - {os.getpid()}}


def answered(client: httpx.Client) -> bool:
    """Ask once."""
    with contextlib.suppress(httpx.TransportError):
        return client.post("/v1/completions", json={"prompt": "def", "max_tokens": 2}).status_code == 200
    return False


@contextlib.contextmanager
def gateway_before_echo(
    folder: Path, model: ModelFolder, name: str, **changes: Any
) -> Iterator[tuple[Child, str]]:
    """Run an echo engine and a gateway process before it."""
    place = folder / name
    place.mkdir()
    engine = Engine(place, model, OLD, name)
    child, url = start_gateway(model, f"127.0.0.1:{engine.ports[0]}", place, **changes)
    try:
        wait_for(url, 200)
        yield child, url
    finally:
        child.stop(5)
        engine.child.stop(2)


def shares(folder: Path, model: ModelFolder) -> list[Row]:
    """Let one user with many connections and polite ones ask without pause; return what each got."""
    with gateway_before_echo(folder, model, "shares", max_inflight=4, max_held=64, hold_ms=2000) as (_, url):
        answers, refused = uvloop.run(asked_by_many(url, ECHOED))
    return [_shares(answers, refused, "an engine that echoes, 400 ms each")]


def shares_of_an_engine(folder: Path, uri: str) -> list[Row]:
    """Do the same before Triton and the tiny model: what a request takes is then the model's business."""
    settings = ServeSettings(hold_ms=2000, engine=EngineSettings(max_running=4))
    with serve(uri, work_dir=folder / "shares-work", port=0, settings=settings) as server:
        answers, refused = uvloop.run(asked_by_many(server.url, MODELLED))
    return [_shares(answers, refused, "Triton and the tiny model, up to 200 tokens each")]


def _shares(answers: Counter[str], refused: Counter[str], before: str) -> Row:
    users = ["greedy", *(f"polite-{number}" for number in range(POLITE))]
    got = [answers[user] for user in users]
    jain = sum(got) ** 2 / (len(got) * sum(number**2 for number in got))
    note = f"answers in {SHARES_S:.0f} s: greedy {got[0]}, polite {min(got[1:])} to {max(got[1:])}; "
    note += f"turned away: greedy {refused['greedy']}, polite {sum(refused.values()) - refused['greedy']}"
    what = f"Jain's index, a user with {GREEDY} connections beside {POLITE} with two, four places, {before}"
    return Row(what, jain, "", ">= 0.9", note=f"{note}; load {os.getloadavg()[0]:.0f}")


async def asked_by_many(url: str, body: dict[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """Run the closed loops of one user with many connections and of polite ones."""
    answers, refused, end = Counter[str](), Counter[str](), time.monotonic() + SHARES_S
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, limits=limits) as client:

        async def ask(user: str) -> None:
            asked = {**body, "user": user}
            while time.monotonic() < end:
                response = await client.post("/v1/completions", json=asked)
                (answers if response.status_code == 200 else refused)[user] += 1

        polite = [f"polite-{number}" for number in range(POLITE)] * 2
        await asyncio.gather(*(ask(user) for user in ["greedy"] * GREEDY + polite))
    return answers, refused


async def hang(folder: Path, model: ModelFolder) -> list[Row]:
    """Stop, then kill one of three engines under a load of which half streams; return what was lost or torn."""
    place, rows = folder / "hang", []
    place.mkdir()
    digests = dict.fromkeys(("a", "b", "c"), OLD)
    async with running_cluster(place, model, digests, {"stable": OLD}, "counting") as cluster:
        engines, gateway = cluster.engines, cluster.gateway
        gateway.client.timeout = httpx.Timeout(120)
        for what, name, number in (("hangs", "a", signal.SIGSTOP), ("is killed", "b", signal.SIGKILL)):
            found, slowest = await hit(gateway, engines[name].child.pid, number)
            if number == signal.SIGSTOP:  # the second play has three engines again
                os.kill(engines[name].child.pid, signal.SIGCONT)
            note = f"of {found.total()}, half of them streams; the slowest took {slowest:.1f} s"
            torn = "streams that end by an error"
            rows += [
                Row(f"lost while an engine {what}, at {RATE}/s", found["lost"], "", "0", note=note),
                Row(f"torn while an engine {what}, at {RATE}/s", found["torn"], "", "0", note=torn),
            ]
    return rows


async def hit(gateway: RunningGateway, pid: int, number: int) -> tuple[Counter[str], float]:
    """Send requests at a rate and a signal in the middle; return what became of them, and the slowest's seconds."""
    loop = asyncio.get_running_loop()
    found, slowest = Counter[str](), 0.0

    async def ask(index: int) -> None:
        nonlocal slowest
        began = loop.time()
        response = await gateway.ask(f"user-{index}", max_tokens=4, temperature=0.2, stream=index % 2 == 0)
        text = response.text
        torn = index % 2 == 0 and not text.endswith("data: [DONE]\n\n")
        found["lost" if response.status_code != 200 else "torn" if torn else "whole"] += 1
        slowest = max(slowest, loop.time() - began)

    tasks, began, num = [], loop.time(), int(RATE * LOAD_S)
    for index in range(num):
        await asyncio.sleep(max(0.0, began + index / RATE - loop.time()))
        if index == num // 2:
            os.kill(pid, number)
        tasks.append(asyncio.create_task(ask(index)))
    await asyncio.gather(*tasks)
    return found, slowest


def memory(folder: Path, model: ModelFolder) -> list[Row]:
    """Ask a gateway many times; return what its memory grew by after the first fifth."""
    with gateway_before_echo(
        folder, model, "memory", max_inflight=32, max_held=1024, hold_ms=20_000, num_records=KEPT
    ) as (child, url):
        uvloop.run(asked_times(url, WARM))
        before, began = resident_mb(child.pid), time.monotonic()
        uvloop.run(asked_times(url, REQUESTS - WARM))
        grown, rate = resident_mb(child.pid) - before, (REQUESTS - WARM) / (time.monotonic() - began)
    note = f"{before:.0f} MB after {WARM:,}; {rate:.0f} requests/s, {KEPT:,} completions remembered"
    return [
        Row(
            f"growth of the gateway's memory from {WARM:,} to {REQUESTS:,} requests",
            grown,
            "MB",
            "<= 5",
            note=note,
        )
    ]


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def asked_times(url: str, number: int) -> None:
    """Ask so often, 16 at a time; each answer must be 200."""
    from tests.bench.serve.gateway import Http

    left = iter(range(number))
    ways = [
        Http(url, {"prompt": f"def f_{index}(a, b):", "max_tokens": 2, "user": f"u{index}"})
        for index in range(16)
    ]

    async def ask(way: Http) -> None:
        for _ in left:
            await way.ask()

    await asyncio.gather(*(ask(way) for way in ways))
    await asyncio.gather(*(way.rest() for way in ways))
