"""``GET /progress``: the trainer's metrics, answered by the pod's own process so that no step waits for a request.

Owns the server and what counts as a sign of life while there are no steps. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_train.pod import metrics_file

PORT = "DAYBREAK_PROGRESS_PORT"
DEFAULT_PORT = names.PORT_TRAINER
PATH = "/progress"
LOADING_S = 1800.0
"""How long a training may load data, or commit its result, without a step, and still count as alive."""


class ProgressSource:
    """Where metrics come from."""

    def __init__(self, file: Path, attempt: int, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._attempt = attempt
        self._clock = clock
        self._started = clock()

    def read(self) -> TrainerSnapshot:
        """Return the newest metrics.

        Before the first step and after the last the trainer loads or commits: this process is its sign of life.
        """
        now = self._clock()
        found = metrics_file.read(self._file)
        if found is None:
            return TrainerSnapshot(attempt=self._attempt, updated=min(now, self._started + LOADING_S))
        updated = found.updated
        if found.step >= found.total_steps:
            updated = min(now, updated + LOADING_S)
        return found.model_copy(update={"attempt": self._attempt, "updated": updated})


def port_of(environ: Mapping[str, str]) -> int:
    """Return the port to answer on; 0 means any free one."""
    text = environ.get(PORT, str(DEFAULT_PORT))
    if not text.isdecimal() or int(text) > 65535:
        raise UserError(f"{PORT} must be a port (0 to 65535), got {text!r}")
    return int(text)


@contextlib.contextmanager
def serving(source: ProgressSource, environ: Mapping[str, str]) -> Iterator[int]:
    """Answer while the body runs and yield the port; a port that is taken costs the metrics, not the training."""
    try:
        server = _Server(source, port_of(environ))
    except OSError as error:
        print(
            f"progress: port {port_of(environ)}: {error.strerror}: nobody will answer there", file=sys.stderr
        )
        yield 0
        return
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="progress", daemon=True
    )
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, source: ProgressSource, port: int) -> None:
        self.source = source
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "", port), _Handler)

    def server_bind(self) -> None:
        """Take both kinds of addresses where there are both; never look the host's name up, as the base does."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """Answer with the metrics."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self.server.source.read().model_dump_json().encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the operator asks every few seconds."""
