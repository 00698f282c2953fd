"""A model served on this machine: Triton and the gateway as two processes that live and die with their starter.

A process that dies is started again on the same port; requests meanwhile get 503 with Retry-After. Owns neither
the command line nor the choice of the model.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from daybreak_contracts import names, storage
from daybreak_contracts.errors import EXIT_OK, DaybreakError, TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.access import AccessLimits, TokenIssuer
from daybreak_contracts.resources.deployment import Gateway
from daybreak_model.fim import FimOrder
from daybreak_serve.engine.heartbeat import why_hung
from daybreak_serve.engine.installation import find_installation
from daybreak_serve.engine.repository import EngineSettings, build_repository, refuse_unknown
from daybreak_serve.engine.triton import (
    QUESTION_EVERY_S,
    QUESTION_S,
    READY_TIMEOUT_S,
    ServerFiles,
    TritonServer,
    why,
)
from daybreak_serve.gateway.auth.api_keys import KeyFile
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.gateway.http.connections import LINGER_S
from daybreak_serve.gateway.http.tls import ServedCertificate
from daybreak_serve.gateway.http.web import LOOPBACK_NAMES
from daybreak_serve.local.client import Completed, complete
from daybreak_serve.modelfolder import ModelFolder, open_model
from daybreak_serve.process import Child

__all__ = [
    "Completed",
    "LocalServer",
    "ServeSettings",
    "by_gateway",
    "complete",
    "listen",
    "serve",
    "serve_forever",
    "url_of",
]

WORK_DIR = Path(".daybreak/serve")
WATCH_S = 0.2
RESTART_PAUSE_S = 1.0
STEADY_S = 30.0
"""A life of this length was no crash at the start."""
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
    allowed_origins: tuple[str, ...] = ()
    api_keys: str = ""
    jwt: TokenIssuer | None = None
    limits: AccessLimits = field(default_factory=AccessLimits)
    tls: tuple[str, str] | None = None
    """Files of a certificate and its key."""
    insecure: bool = False
    """Whether others than this machine may ask without a credential."""
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
    check_reach(host, settings)
    find_installation(settings.engine.kind)
    progress.report("verifying the model")
    model = open_model(model_uri, work_dir)
    refuse_unknown(model, settings.engine.kind)
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
    build_repository(model, files.repository, settings.engine)
    triton = TritonServer(find_installation(settings.engine.kind), files, base_environment=os.environ)
    gateway = _Gateway(folder, _config_of(settings, model, triton, listener.getsockname()[0]), listener)
    with contextlib.ExitStack() as stack:
        stack.callback(triton.stop)
        triton.start()
        stack.callback(gateway.stop)
        gateway.start()
        url = url_of(listener, tls=settings.tls is not None)
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
            for line in server.model.remarks:
                print(line)
            print(f"serving {server.model.digest[:16]} at {server.url}/v1, Ctrl-C ends it", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("ended", flush=True)
    finally:
        for number, handler in zip(ending, before, strict=True):
            signal.signal(number, handler)
    return EXIT_OK


def check_reach(host: str, settings: ServeSettings) -> None:
    """Refuse to open a gateway to others without a word; files that cannot be read are UserErrors too."""
    if settings.tls is not None:
        certificate, key = settings.tls
        ServedCertificate(Path(certificate), Path(key), print)
    if settings.api_keys:
        KeyFile(Path(settings.api_keys), time.monotonic, print)
    elif host not in LOOPBACK_NAMES and not settings.insecure and settings.jwt is None:
        raise UserError(
            f"--host {host} lets other machines ask this model without a key: add --api-keys FILE "
            "(daybreak key NAME makes a line of it), --deployment FILE with gateway.auth.jwt, or --insecure if "
            "that is meant"
        )


def by_gateway(settings: ServeSettings, gateway: Gateway) -> ServeSettings:
    """Return the settings with what a ModelDeployment says of its gateway; of keys there is a file here, no Secret."""
    auth = gateway.auth
    if auth is not None and auth.api_keys_secret_ref is not None and not settings.api_keys:
        raise UserError(
            "gateway.auth.apiKeysSecretRef names a Secret, and there are none here: give its content by --api-keys FILE"
        )
    return replace(
        settings,
        jwt=auth.jwt if auth is not None else None,
        limits=gateway.limits,
        allowed_origins=tuple(dict.fromkeys((*settings.allowed_origins, *gateway.allowed_origins))),
        hold_ms=gateway.hold_ms,
        max_new_tokens=gateway.max_new_tokens,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; a port that is taken is a UserError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        remedy = (
            "another with --port"
            if error.errno == errno.EADDRINUSE
            else "an address of this machine with --host"
        )
        raise UserError(f"{host}:{port}: {error.strerror or error}, choose {remedy}") from error
    listener.listen(1024)
    return listener


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the URL of a listening socket; one that listens everywhere is named by loopback."""
    scheme = "https" if tls else "http"
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _config_of(settings: ServeSettings, model: ModelFolder, triton: TritonServer, host: str) -> GatewayConfig:
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
        layout=model.layout,
        begin_ids=model.openings.begin,
        empty_prompt_id=model.openings.empty,
        chat=model.chat,
        max_new_tokens=settings.max_new_tokens,
        max_inflight=settings.engine.max_running,
        hold_ms=settings.hold_ms,
        drain_s=settings.drain_s,
        host=host,
        allowed_origins=settings.allowed_origins,
        api_keys=str(Path(settings.api_keys).absolute()) if settings.api_keys else "",
        jwt=settings.jwt,
        limits=settings.limits,
        tls_certificate=str(Path(settings.tls[0]).absolute()) if settings.tls else "",
        tls_key=str(Path(settings.tls[1]).absolute()) if settings.tls else "",
        event_log=settings.event_log,
    )


class _Gateway:
    """The gateway's process; its listening socket is ours, so a new one takes over where the last one ended."""

    def __init__(self, folder: Path, config: GatewayConfig, listener: socket.socket) -> None:
        self._config_file = folder / "gateway.json"
        self._log = folder / "gateway.log"
        self._listener = listener
        self._drain_s = config.drain_s
        self._has_tls = bool(config.tls_certificate)
        storage.write_json(str(self._config_file), config.model_dump(mode="json"))
        self._child: Child | None = None
        self._answered_s = self._next_question_s = 0.0
        self.name = "the gateway"

    @property
    def child(self) -> Child:
        assert self._child is not None, "start() comes first"
        return self._child

    def start(self) -> None:
        fd = self._listener.fileno()
        command = [sys.executable, "-m", "daybreak_serve.gateway", "--config", str(self._config_file)]
        self._answered_s = 0.0
        self._child = Child([*command, "--fd", str(fd)], os.environ, self._log, pass_fds=[fd])

    def is_broken(self) -> bool:
        return self.child.exit_code is not None

    def why_hung(self, now: float) -> str | None:
        """Tell why it counts as hung, None if it does not. It is asked now and then, once it has answered first."""
        if now >= self._next_question_s:
            self._next_question_s = now + QUESTION_EVERY_S
            if _answers(url_of(self._listener, tls=self._has_tls)):
                self._answered_s = now
        return why_hung(now, self._answered_s, None) if self._answered_s else None

    def kill(self) -> None:
        self.child.kill()

    def shut(self) -> None:
        """Close our hold of the door: what comes now is refused, not taken and then reset."""
        self._listener.close()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(self._drain_s + LINGER_S + 2)


def _answers(url: str) -> bool:
    """Ask a gateway whether its loop turns: our own child at our own socket, so whatever name its certificate has."""
    import httpx

    try:
        answer = httpx.get(f"{url}/healthz", timeout=QUESTION_S, trust_env=False, verify=False)
        return answer.status_code == 200
    except httpx.TransportError:
        return False


def _wait_ready(url: str, triton: TritonServer, gateway: _Gateway, progress: Progress) -> None:
    """Wait until the gateway says that the golden completion was answered."""
    import httpx

    triton.wait_ready(progress)
    deadline = time.monotonic() + READY_TIMEOUT_S
    reason = ""
    with httpx.Client(base_url=url, timeout=5, trust_env=False, verify=False) as client:
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


def _why_restarted(part: TritonServer | _Gateway, now: float) -> str | None:
    return "a process of it died" if part.is_broken() else part.why_hung(now)


class ProcessMonitor:
    """Starts what died or hangs again.

    The thread that starts a child must outlive it (see parent_death.py), so it ends last.
    """

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
        started_s = {part: time.monotonic() for part in (self._triton, self._gateway)}
        while not self._ending.wait(WATCH_S):
            for part, began_s in started_s.items():
                reason = _why_restarted(part, time.monotonic())
                if reason is None:
                    continue
                # at once after a long life; what dies again and again must not take the machine
                pause_s = RESTART_PAUSE_S if time.monotonic() - began_s < STEADY_S else 0.0
                if not self._ending.wait(pause_s):
                    print(f"serve: {part.name} is started again: {reason}", file=sys.stderr, flush=True)
                    part.kill()  # what is left of it: stubs, shared memory
                    part.start()
                    started_s[part] = time.monotonic()
        self._gateway.shut()
        self._gateway.stop()
        self._triton.stop()
