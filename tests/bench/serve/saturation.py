"""How many requests a second one machine answers well, beside llama.cpp's server: the same weights, both over HTTP.

Open loop: requests leave at Poisson times whatever became of the earlier ones, latency counts from the intended time.
A rate is borne if every request is answered and the 99th percentile is at most half a second. Every prompt is another
one. Sweeps alternate; reported is the best of each. Both may use all processors.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from daybreak_serve.local.serving import ServeSettings, serve
from tests.bench.peer import SCRIPTS, peer_python
from tests.bench.row import Row
from tests.bench.serve.cpu_engine import PEER, REQUIREMENTS, write_model
from tests.bench.serve.gateway import Http
from tests.serve.conftest import write_tokenizer

RATES = (2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 160)
ROUND_S, P99_S, SWEEPS = 6.0, 0.5, 2
WORDS, NEW, PLACES = 12, 16, 8
VOCABULARY = 480
Bodies = Callable[[random.Random], dict[str, Any]]


class Varied(Http):
    """The bare client with another body each time."""

    def __init__(self, url: str, path: str, bodies: Bodies, seed: int) -> None:
        super().__init__(url, {})
        self._host, self._path, self._bodies, self._random = (
            url.removeprefix("http://"),
            path,
            bodies,
            random.Random(seed),
        )

    async def ask(self) -> None:
        """Send the next body and read the whole answer, which must be 200."""
        data = json.dumps(self._bodies(self._random)).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        await super().ask()


async def is_borne(way: Varied, rate: int, seed: int) -> bool:
    """Tell whether a rate is answered whole and soon enough."""
    loop, source, found = asyncio.get_running_loop(), random.Random(seed), list[float]()
    began, at, tasks = loop.time() + 0.05, 0.0, []

    async def one(intended: float) -> None:
        await way.ask()
        found.append(loop.time() - intended)

    while (at := at + source.expovariate(rate)) < ROUND_S:
        await asyncio.sleep(max(0.0, began + at - loop.time()))
        tasks.append(asyncio.create_task(one(began + at)))
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await way.rest()
    found.sort()
    return not any(isinstance(one, Exception) for one in ended) and found[int(len(found) * 0.99)] <= P99_S


async def saturation(way: Varied) -> int:
    """Return the highest rate that is borne, of a row of rates up to the first that is not."""
    for _ in range(4):
        await way.ask()
    best = 0
    for seed, rate in enumerate(RATES):
        if not await is_borne(way, rate, seed):
            break
        best = rate
    return best


def measure() -> list[Row]:
    """Sweep ours and the peer in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder)
        tokenizer = write_tokenizer(folder)
        count = len(tokenizer.encode(_text(random.Random(0))).ids)
        ours: Bodies = lambda source: {"prompt": _text(source), "max_tokens": NEW}  # noqa: E731
        theirs: Bodies = lambda source: {  # noqa: E731
            "prompt": [source.randrange(10, VOCABULARY) for _ in range(count)],
            "n_predict": NEW,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        best = {"ours": 0, "peer": 0}
        settings = ServeSettings(hold_ms=500)
        for sweep in range(SWEEPS):
            with serve(str(folder), work_dir=folder / "work", port=0, settings=settings) as server:
                way = Varied(server.url, "/v1/completions", ours, sweep)
                best["ours"] = max(best["ours"], uvloop.run(saturation(way)))
            with llama_cpp(folder) as url:
                best["peer"] = max(
                    best["peer"], uvloop.run(saturation(Varied(url, "/completion", theirs, sweep)))
                )
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    note = f"8.5 million parameters, float32, {count} tokens in, {NEW} out, {PLACES} at once; load {load}"
    return [
        Row(
            "requests/s with p99 <= 500 ms",
            best["ours"],
            "requests/s",
            "",
            f"{PEER}, its server",
            best["peer"],
            note,
        )
    ]


def _text(source: random.Random) -> str:
    return " ".join("".join(source.choices("abcdefgh", k=4)) for _ in range(WORDS))


@contextmanager
def llama_cpp(folder: Path) -> Iterator[str]:
    """Run llama.cpp's server; its URL."""
    python = peer_python("llama.cpp", REQUIREMENTS)
    command = [
        str(python),
        str(SCRIPTS / "llama_cpp_server.py"),
        str(folder),
        str(PLACES),
        str(os.cpu_count()),
    ]
    assert shutil.which(command[0])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.strip() for line in process.stdout if line.startswith("http://"))
        finally:
            process.kill()
