"""A real S3 server (moto) on this machine: what tests of every room store in, and the variables that lead to it.

`tests/contracts/test_s3.py` starts its own, as a process: it kills it, and asks one that knows nobody's keys.
"""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def served(*buckets: str, address: str = LOOPBACK) -> Iterator[Mapping[str, str]]:
    """Serve empty buckets at an address; yields the environment that leads there."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # all servers of a process hold one and the same set of buckets
        put(f"{url}/moto-api/reset", method="POST")
        for bucket in buckets:
            put(f"{url}/{bucket}")
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()


def put(url: str, data: bytes = b"", method: str = "PUT") -> None:
    """Store a bucket, or an object in one."""
    # a type that is said: urllib calls what it is not told a form, and the server then waits for one
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URI of an empty bucket; this process and those that it starts are led to it."""
    with served("store") as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield "s3://store"
