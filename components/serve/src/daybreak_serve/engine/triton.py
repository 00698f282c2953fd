"""A real Triton server as a child process: the binary of the ``nvidia-pytriton`` wheel, or the one of an image.

The wheel's server is 2.51 and every later advisory applies to it, so it speaks gRPC alone, sees no repository but
ours, and listens on loopback unless it is told otherwise. Owns no model and no gateway.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.kubernetes_access import host_in_url
from daybreak_contracts.launch import identity_of
from daybreak_contracts.ports import free_port
from daybreak_contracts.progress import Progress
from daybreak_serve.engine.heartbeat import beaten_at, heartbeat_file, why_hung
from daybreak_serve.engine.installation import TritonInstallation, assemble_backends, server_environment
from daybreak_serve.engine.plain_paths import PlainPaths
from daybreak_serve.process import Child
from daybreak_serve.spares import Spare, SpareKeeper
from daybreak_serve.standby import VARIABLE, StandbyGate

SHARED_MEMORY = Path("/dev/shm")
LISTENS = "Started GRPCInferenceService at"
PING_FLAGS = (
    "--grpc-http2-min-recv-ping-interval-without-data=1000",
    "--grpc-keepalive-permit-without-calls=true",
)
"""Gateways ask whether the machine is still there; by default such a client is sent away after a while."""
POLL_S, LOOK_EVERY_S = 0.05, 1.0
QUESTION_EVERY_S, QUESTION_S = 2.0, 1.5
EXIT_TIMEOUT_S = 5
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
RESTRICTED = "shared-memory,model-repository,trace,logging"
"""What only somebody who knows the secret may ask: nobody does. Each of them led to remote code (CVE-2025-23319)."""
MAX_LINES = 30
"""Of a log in an error's text."""
READY_TIMEOUT_S = 600.0
"""Loading torch on a busy machine takes two minutes, vLLM half as much again; a server that dies is told at once."""


def shared_memory_prefix(identity: str, serial: int) -> str:
    """Return the prefix of a server's shared memory; it tells later which process owned it."""
    return f"daybreak_{identity.replace(':', '_')}_{serial}_"


def stale_regions(folder: Path) -> list[Path]:
    """Return shared memory of ours whose owner is dead."""
    found = []
    for path in folder.glob("daybreak_*"):
        match = re.match(r"daybreak_(\d+)_(\d+)_\d+_", path.name)
        if match and identity_of(int(match[1])) != f"{match[1]}:{match[2]}":
            found.append(path)
    return found


def in_libevent(host: str) -> str:
    """Return the host as Triton's HTTP servers (libevhtp) spell it."""
    return f"ipv6:{host}" if ":" in host else host


@dataclass(frozen=True)
class ServerFiles:
    """Where one server reads and writes."""

    repository: Path
    backends: Path
    log: Path


@dataclass(frozen=True)
class Reach:
    """Who can reach a server, and how long it lets those finish whom it answers."""

    host: str = LOOPBACK
    port: int = field(default_factory=free_port)
    """Of gRPC."""
    metrics_port: int | None = None
    """Of Prometheus; None: no metrics."""
    exit_timeout_s: int = EXIT_TIMEOUT_S


class TritonServer:
    """A server for one repository; may be started again after its end, on the same port."""

    _serial = 0
    name = "Triton"

    def __init__(
        self,
        installation: TritonInstallation,
        files: ServerFiles,
        *,
        base_environment: Mapping[str, str],
        reach: Reach | None = None,
        shared_memory: Path = SHARED_MEMORY,
    ) -> None:
        self._installation = installation
        self._files = files
        self._environment = server_environment(installation, base_environment)
        self._shared_memory = shared_memory
        self._paths = PlainPaths()
        self._prefix = ""
        self._child: Child | None = None
        self._spares = SpareKeeper(lambda spare: self._remove_shared_memory(spare.prefix))
        """A server whose backend has imported what it needs; model and port it takes when it is told."""
        self._stubs: list[str] = []
        self._dead: frozenset[int] = frozenset()
        self._started_s = self._answered_s = self._next_question_s = self._next_look_s = 0.0
        self.reach = reach or Reach()

    @property
    def address(self) -> str:
        """Host and port of gRPC, as this machine sees them."""
        return f"{LOOPBACK}:{self.reach.port}"

    @property
    def child(self) -> Child:
        """The process of the last start."""
        assert self._child is not None, "start() comes first"
        return self._child

    @property
    def pids(self) -> list[int]:
        """The processes whose end breaks it, as far as they are known."""
        return [self.child.pid, *(int(stub.partition(":")[0]) for stub in self._stubs)]

    def command(self, prefix: str = "") -> list[str]:
        """Return the server's command line. Responses are pooled to a bound: the default keeps them all."""
        server = self._installation.tritonserver / "bin/tritonserver"
        backends = assemble_backends(self._installation, self._files.backends)
        reach, metrics = self.reach, ["--allow-metrics=false"]
        if reach.metrics_port is not None:
            metrics = [f"--metrics-port={reach.metrics_port}", f"--metrics-address={in_libevent(reach.host)}"]
            metrics += ["--allow-gpu-metrics=false", "--allow-cpu-metrics=false"]
        return [
            str(server),
            f"--model-repository={self._paths.of(self._files.repository)}",
            f"--backend-directory={self._paths.of(backends)}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            "--model-control-mode=none",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={reach.exit_timeout_s}",
            "--allow-http=false",
            f"--grpc-address={host_in_url(reach.host)}",
            f"--grpc-port={reach.port}",
            *PING_FLAGS,
            f"--grpc-restricted-protocol={RESTRICTED}:daybreak={secrets.token_hex(16)}",
            *metrics,
        ]

    def start(self) -> None:
        """Start the process, or let the spare take over; `wait_ready` tells when it answers."""
        for path in stale_regions(self._shared_memory):
            path.unlink(missing_ok=True)
        self._stubs, self._dead = [], frozenset()
        self._answered_s, self._started_s = 0.0, time.monotonic()
        spare = self._spares.take()
        if spare is None:
            self._child, self._prefix = self._launch(self._environment)
            return
        self._child, self._prefix = spare.child, spare.prefix
        self._hide_shared_memory()
        spare.gate.open()

    @property
    def wants_spare(self) -> bool:
        """Whether it serves and has no spare. One that sees GPUs gets none: its memory there is the model's."""
        return bool(self._stubs) and not self._spares.is_ready and not self._installation.sees_gpus

    def prepare_spare(self) -> None:
        """Start a server that waits until this one is started again."""
        self._spares.drop()
        log = self._files.log.absolute()
        gate_file = log.with_name(f"{log.stem}-{TritonServer._serial + 1}.standby")
        gate = StandbyGate(gate_file)
        child, prefix = self._launch({**self._environment, VARIABLE: str(gate_file)})
        self._spares.spare = Spare(child, gate, prefix)

    def _launch(self, environment: Mapping[str, str]) -> tuple[Child, str]:
        """Start a process; return it and the prefix of its shared memory. All write one log, a spare before its turn
        nothing but what it loads.
        """
        TritonServer._serial += 1
        identity = identity_of(os.getpid())
        assert identity is not None
        prefix = shared_memory_prefix(identity, TritonServer._serial)
        return Child(self.command(prefix), environment, self._files.log), prefix

    def wait_ready(self, progress: Progress, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it listens, which it does once every model is loaded. Its early death is a UserError.

        Believes its log rather than its port: another process may have taken that in the meantime.
        """
        began = time.monotonic()
        while (waited := time.monotonic() - began) < timeout_s:
            if self.child.exit_code is not None:
                self.stop()
                raise UserError(
                    f"Triton ended with {self.child.exit_code} before it was ready, the end of its log "
                    f"{self._files.log}:\n{why(self.child.log_tail())}"
                )
            if LISTENS in self.child.log_tail():
                self._hide_shared_memory()
                return
            if self._has_lost_backend():
                self.stop()
                raise UserError(
                    "Triton's backend ended before the model was loaded, the end of its log "
                    f"{self._files.log}:\n{why(self.child.log_tail())}"
                )
            progress.report("loading the model into Triton", waited, 0)
            self.child.wait(POLL_S)
        self.stop()
        raise TransientError(f"Triton was not ready after {timeout_s:.0f} s, its log is {self._files.log}")

    def is_broken(self) -> bool:
        """Tell whether it or one of its stubs died. Triton goes on without a stub, and refuses everything."""
        if self.child.exit_code is not None:
            return True
        if not self._stubs:
            if LISTENS not in self.child.log_tail():
                return self._has_lost_backend()
            self._stubs = self.child.companions()
            self._hide_shared_memory()
        return any(identity_of(int(stub.partition(":")[0])) != stub for stub in self._stubs)

    def _has_lost_backend(self) -> bool:
        """Tell whether a process that it started ended while it loads; what it missed for a second it always does."""
        if time.monotonic() < self._next_look_s:
            return False
        self._next_look_s = time.monotonic() + LOOK_EVERY_S
        self._dead, before = self.child.dead_children(), self._dead
        return bool(self._dead & before)

    def _hide_shared_memory(self, prefix: str = "") -> None:
        """Let nobody else read prompts: Triton makes its regions readable for all, whatever the umask says."""
        for path in self._shared_memory.glob(f"{prefix or self._prefix}*"):
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o600)

    def why_hung(self, now: float) -> str | None:
        """Tell why it counts as hung, though its processes live; None if it does not, or is loading.

        Asks it now and then, for a second and a half at most: not for a thread that has other work.
        """
        if not self._answered_s:
            if LISTENS not in self.child.log_tail():
                waited_s = now - self._started_s
                return f"it has not come up for {waited_s:.0f} s" if waited_s > READY_TIMEOUT_S else None
            self._answered_s = now
        if now >= self._next_question_s:
            self._next_question_s = now + QUESTION_EVERY_S
            if self._spares.spare is not None:  # no prompts in it yet, and nobody else's when there are
                self._hide_shared_memory(self._spares.spare.prefix)
            if _lives(self.address):
                self._answered_s = now
        beat_s = beaten_at(heartbeat_file(self._files.repository))
        # a beat of an earlier life says nothing of this one
        return why_hung(now, self._answered_s, max(beat_s, self._started_s) if beat_s else None)

    def kill(self) -> None:
        """End it at once: it is broken or hangs, and has nothing to finish."""
        self._end(0)

    def stop(self) -> None:
        """End it, its stubs and its spare, and remove its shared memory."""
        self._spares.drop()
        self._end(self.reach.exit_timeout_s + 2)
        self._spares.close()
        self._paths.close()

    def _end(self, grace_s: float) -> None:
        if self._child is None:
            return
        if grace_s:
            self._child.stop(grace_s)
        else:
            self._child.kill()
        self._remove_shared_memory(self._prefix)

    def _remove_shared_memory(self, prefix: str) -> None:
        for path in self._shared_memory.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)


def _lives(address: str) -> bool:
    """Ask a server whether it lives; a channel for the question alone, so that none goes stale."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            return bool(stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=QUESTION_S).live)
        except grpc.RpcError:
            return False


def why(log: str) -> str:
    """Return the lines of a log that tell of an error, without Triton's tables; the last lines when none does."""
    lines = [line for line in log.splitlines() if line and not line.startswith(("|", "+-"))]
    starts = [
        index for index, line in enumerate(lines) if re.search(r"^E\d{4} |Error|Traceback|[Ff]ailed", line)
    ]
    return "\n".join((lines[starts[0] :] if starts else lines)[-MAX_LINES:])
