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
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from daybreak_contracts import names
from daybreak_contracts.errors import EXIT_OK, DaybreakError, TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.access import AccessLimits, TokenIssuer
from daybreak_contracts.resources.deployment import Gateway
from daybreak_model.fim import FimOrder
from daybreak_serve.engine.installation import find_installation
from daybreak_serve.engine.repository import EngineSettings, build_repository, refuse_unknown
from daybreak_serve.engine.triton import READY_TIMEOUT_S, ServerFiles, TritonServer, why
from daybreak_serve.gateway.auth.api_keys import KeyFile
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.gateway.http.tls import ServedCertificate
from daybreak_serve.gateway.http.web import LOOPBACK_NAMES
from daybreak_serve.local.client import Completed, complete
from daybreak_serve.local.gateway_process import LocalGateway
from daybreak_serve.local.listener import listen, url_of
from daybreak_serve.local.monitor import ProcessMonitor
from daybreak_serve.modelfolder import ModelFolder, open_model

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
    gateway = LocalGateway(folder, _config_of(settings, model, triton, listener.getsockname()[0]), listener)
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


def _wait_ready(url: str, triton: TritonServer, gateway: LocalGateway, progress: Progress) -> None:
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
