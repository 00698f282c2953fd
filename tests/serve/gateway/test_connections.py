"""Connections that say nothing, or too much, at a real gateway process; and its end under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from daybreak_serve.gateway.http import connections
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.conftest import start_gateway, wait_for


@pytest.fixture
def small(slow: Any, model: ModelFolder, tmp_path: Path) -> Any:
    """A gateway of its own with few descriptors, before the echo engine."""
    gateway, url = start_gateway(
        model, slow.triton.address, tmp_path, num_files=256, max_inflight=2, max_held=2, max_new_tokens=64
    )
    wait_for(url, 200)
    yield gateway, url
    gateway.stop(5)


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def test_silent_connections_lock_nobody_out(small: Any) -> None:
    """A thousand of them at a limit of a thousand files locked everybody out for ever."""
    _, url = small
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            with contextlib.suppress(OSError):
                stack.enter_context(connect(url))
        answer = httpx.post(
            f"{url}/v1/completions", json={"prompt": "x", "max_tokens": 1}, trust_env=False, timeout=20
        )
        assert answer.status_code == 200


@pytest.mark.slow
def test_half_a_head_and_half_a_body_are_given_up(small: Any) -> None:
    _, url = small
    with connect(url) as head, connect(url) as body:
        began = time.monotonic()
        head.settimeout(60)
        body.settimeout(60)
        head.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        body.sendall(
            b'POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{"prompt": "'
        )
        assert head.recv(1000) == b""
        assert body.recv(1000).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 3 * connections.HEAD_TIMEOUT_S


def test_a_head_of_megabytes_is_refused(small: Any) -> None:
    _, url = small
    with connect(url) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"a" * 3_000_000)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000).startswith(b"HTTP/1.1 431")
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200


@pytest.mark.slow
async def test_a_gateway_that_ends_under_load_tears_nothing(small: Any) -> None:
    """SIGTERM tore streams, and reset connections that it had taken."""
    gateway, url = small
    outcomes: list[str] = []
    ending = asyncio.Event()

    async def ask() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            while True:
                try:
                    answer = await client.post(
                        f"{url}/v1/completions", json={"prompt": "x", "max_tokens": 4, "temperature": 0.1}
                    )
                    outcomes.append(
                        "answered" if answer.status_code in (200, 429, 503) else str(answer.status_code)
                    )
                except httpx.ConnectError:
                    outcomes.append("refused")
                    return
                except httpx.TransportError as error:
                    outcomes.append(f"torn: {error!r}")
                if ending.is_set():
                    await asyncio.sleep(0.01)

    askers = [asyncio.create_task(ask()) for _ in range(8)]
    await asyncio.sleep(1)
    os.kill(gateway.pid, signal.SIGTERM)
    ending.set()
    await asyncio.wait_for(asyncio.gather(*askers), 40)
    torn = [outcome for outcome in outcomes if outcome.startswith("torn")]
    assert (
        len(torn) <= 1
    )  # what the kernel takes in the moment in which the door closes is reset: TCP's own way
    assert outcomes.count("answered") > 8
