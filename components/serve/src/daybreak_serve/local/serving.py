"""A model served on this machine: Triton and the gateway as two processes that live and die with their starter.

A process that dies is started again on the same port; requests meanwhile get 503 with Retry-After. Owns neither
the command line nor the choice of the model.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daybreak_contracts import names, storage
from daybreak_contracts.errors import EXIT_OK, DaybreakError, TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.deployment import Gateway
from daybreak_model.fim import FimOrder
from daybreak_serve.engine.installation import find_installation
from daybreak_serve.engine.repository import EngineSettings, build_repository
from daybreak_serve.engine.triton import READY_TIMEOUT_S, ServerFiles, TritonServer, why
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.local.client import Completed, complete
from daybreak_serve.modelfolder import ModelFolder, open_model
from daybreak_serve.process import Child

__all__ = [
    "Completed",
    "LocalServer",
    "ServeSettings",
    "complete",
    "listen",
    "serve",
    "serve_forever",
    "url_of",
]

WORK_DIR = Path(".daybreak/serve")
WATCH_S = 0.2
RESTART_PAUSE_S = 1.0
READY_POLL_S = 0.1


@dataclass(frozen=True)
class ServeSettings:
    """How to serve on one machine."""

    model_name: str = "daybreak"
    fim: FimOrder | None = None
    """None: what the model was trained for."""
    event_log: str = ""
    max_new_tokens: int = 256
    hold_ms: int = Gateway().hold_ms
    drain_s: int = 10
    engine: EngineSettings = field(default_factory=EngineSettings)


@dataclass(frozen=True)
class LocalServer:
    """What is being served, and where."""

    url: str
    model: ModelFolder
    triton: TritonServer
    gateway_pid: Callable[[], int]
    folder: Path
    """Logs, config and repository; removed at an orderly end."""


@contextlib.contextmanager
def serve(
    model_uri: str,
    *,
    work_dir: Path = WORK_DIR,
    host: str = "127.0.0.1",
    port: int = names.PORT_LOCAL,
    settings: ServeSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[LocalServer]:
    """Serve a model until the block ends; entered once a completion has been answered as it should be.

    ``port`` 0 takes any free one. A model that is torn, a port that is taken, a Triton that cannot start are
    UserErrors. Logs and the copy of a remote model lie below ``work_dir``.
    """
    settings, progress = settings or ServeSettings(), progress or Progress("serve")
    find_installation()
    progress.report("verifying the model")
    model = open_model(model_uri, work_dir)
    with listen(host, port) as listener:
        work_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="serve-", dir=work_dir)).absolute()
        try:
            with _running(folder, model, settings, listener, progress) as server:
                yield server
        except DaybreakError:
            raise  # the logs stay: the error's text names them
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(
    folder: Path, model: ModelFolder, settings: ServeSettings, listener: socket.socket, progress: Progress
) -> Iterator[LocalServer]:
    """Start Triton and the gateway, wait until they answer, watch over them, end them."""
    files = ServerFiles(folder / "repository", folder / "backends", folder / "triton.log")
    build_repository(model, files.repository, settings=settings.engine)
    triton = TritonServer(find_installation(), files, base_environment=os.environ)
    gateway = _Gateway(folder, _config_of(settings, model, triton), listener)
    with contextlib.ExitStack() as stack:
        stack.callback(triton.stop)
        triton.start()
        stack.callback(gateway.stop)
        gateway.start()
        url = url_of(listener)
        _wait_ready(url, triton, gateway, progress)
        watch = ProcessMonitor(triton, gateway)
        stack.callback(watch.stop)
        watch.start()
        yield LocalServer(url, model, triton, lambda: gateway.child.pid, folder)


def serve_forever(
    model_uri: str,
    *,
    work_dir: Path = WORK_DIR,
    host: str = "127.0.0.1",
    port: int = names.PORT_LOCAL,
    settings: ServeSettings | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C and return the exit code. For the main thread: it sets a signal handler."""
    # SIGINT too: a shell starts background jobs with it ignored
    ending = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.default_int_handler) for number in ending]
    try:
        with serve(model_uri, work_dir=work_dir, host=host, port=port, settings=settings) as server:
            print(f"serving {server.model.digest[:16]} at {server.url}/v1, Ctrl-C ends it", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended", flush=True)
    finally:
        for number, handler in zip(ending, before, strict=True):
            signal.signal(number, handler)
    return EXIT_OK


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; a port that is taken is a UserError."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(f"{host}:{port}: {error.strerror}, choose another with --port") from error
    listener.listen(1024)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket; one that listens everywhere is named by loopback."""
    host, port = listener.getsockname()
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"


def _config_of(settings: ServeSettings, model: ModelFolder, triton: TritonServer) -> GatewayConfig:
    return GatewayConfig(
        engine=triton.address,
        model_folder=str(model.path),
        model_name=settings.model_name,
        model_digest=model.digest,
        context_length=model.context_length,
        vocabulary_size=model.vocabulary_size,
        golden_prompt_ids=model.golden.prompt_ids if model.golden else (),
        golden_token_ids=model.golden.token_ids if model.golden else (),
        fim=settings.fim or model.fim,
        max_new_tokens=settings.max_new_tokens,
        max_inflight=settings.engine.max_running,
        hold_ms=settings.hold_ms,
        drain_s=settings.drain_s,
        event_log=settings.event_log,
    )


class _Gateway:
    """The gateway's process; its listening socket is ours, so a new one takes over where the last one ended."""

    def __init__(self, folder: Path, config: GatewayConfig, listener: socket.socket) -> None:
        self._config_file = folder / "gateway.json"
        self._log = folder / "gateway.log"
        self._fd = listener.fileno()
        self._drain_s = config.drain_s
        storage.write_json(str(self._config_file), config.model_dump(mode="json"))
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        assert self._child is not None, "start() comes first"
        return self._child

    def start(self) -> None:
        command = [sys.executable, "-m", "daybreak_serve.gateway", "--config", str(self._config_file)]
        self._child = Child([*command, "--fd", str(self._fd)], os.environ, self._log, pass_fds=[self._fd])

    def is_broken(self) -> bool:
        return self.child.exit_code is not None

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(self._drain_s + 2)


def _wait_ready(url: str, triton: TritonServer, gateway: _Gateway, progress: Progress) -> None:
    """Wait until the gateway says that the golden completion was answered."""
    import httpx

    triton.wait_ready(progress)
    deadline = time.monotonic() + READY_TIMEOUT_S
    reason = ""
    with httpx.Client(base_url=url, timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            if gateway.child.exit_code is not None:
                raise UserError(f"the gateway ended before it was ready:\n{why(gateway.child.log_tail())}")
            with contextlib.suppress(httpx.TransportError):
                answer = client.get("/readyz").json()
                if answer["status"] == "ready":
                    return
                reason = answer["reason"]
                if answer["status"] == "wrong":
                    raise UserError(f"the model does not answer as it did when it was exported: {reason}")
            progress.report("asking the golden completion")
            gateway.child.wait(READY_POLL_S)
    raise TransientError(f"the gateway at {url} was not ready after {READY_TIMEOUT_S:.0f} s: {reason}")


class ProcessMonitor:
    """Starts what died again. The thread that starts a child must outlive it (see parent_death.py), so it ends last."""

    def __init__(self, triton: TritonServer, gateway: _Gateway) -> None:
        self._triton = triton
        self._gateway = gateway
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serve-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and end both processes."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(WATCH_S):
            for part in (self._triton, self._gateway):
                if part.is_broken() and not self._ending.wait(RESTART_PAUSE_S):
                    part.stop()  # what is left of it: stubs, shared memory
                    part.start()
        self._gateway.stop()
        self._triton.stop()
