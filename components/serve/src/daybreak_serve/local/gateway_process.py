"""The gateway's process on this machine: started on a socket that outlives it, asked, and ended. Decides nothing."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from daybreak_contracts import storage
from daybreak_serve.engine.heartbeat import why_hung
from daybreak_serve.engine.triton import QUESTION_EVERY_S, QUESTION_S
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.gateway.http.connections import LINGER_S
from daybreak_serve.local.listener import url_of
from daybreak_serve.process import Child
from daybreak_serve.spares import Spare, SpareKeeper
from daybreak_serve.standby import VARIABLE, StandbyGate

START_S = 60.0
"""A gateway that never answered in that time hangs; a busy machine needs a quarter of it."""


class LocalGateway:
    """The gateway's process; its listening socket is ours, so a new one takes over where the last one ended."""

    def __init__(self, folder: Path, config: GatewayConfig, listener: socket.socket) -> None:
        self._config_file = folder / "gateway.json"
        self._log = folder / "gateway.log"
        self._listener = listener
        self._drain_s = config.drain_s
        self._has_tls = bool(config.tls_certificate)
        storage.write_json(str(self._config_file), config.model_dump(mode="json"))
        self._child: Child | None = None
        self._spares = SpareKeeper()
        self._num_spares = 0
        self._started_s = self._answered_s = self._next_question_s = 0.0
        self.name = "the gateway"

    @property
    def child(self) -> Child:
        """The process of the last start."""
        assert self._child is not None, "start() comes first"
        return self._child

    @property
    def pids(self) -> list[int]:
        """The process whose end breaks it."""
        return [self.child.pid]

    def start(self) -> None:
        """Start the process, or let the spare take over."""
        self._answered_s, self._started_s = 0.0, time.monotonic()
        spare = self._spares.take()
        if spare is None:
            self._child = self._launch(os.environ)
            return
        self._child = spare.child
        spare.gate.open()

    def _launch(self, environment: Mapping[str, str]) -> Child:
        fd = self._listener.fileno()
        command = [sys.executable, "-m", "daybreak_serve.gateway", "--config", str(self._config_file)]
        return Child([*command, "--fd", str(fd)], environment, self._log, pass_fds=[fd])

    @property
    def wants_spare(self) -> bool:
        """Whether it has answered and has no spare."""
        return bool(self._answered_s) and not self._spares.is_ready

    def prepare_spare(self) -> None:
        """Start a gateway that has imported everything and waits until this one is started again."""
        self._spares.drop()
        self._num_spares += 1
        file = self._log.absolute().with_name(f"gateway-{self._num_spares}.standby")
        gate = StandbyGate(file)
        self._spares.spare = Spare(self._launch({**os.environ, VARIABLE: str(file)}), gate)

    def is_broken(self) -> bool:
        """Tell whether it ended."""
        return self.child.exit_code is not None

    def why_hung(self, now: float) -> str | None:
        """Tell why it counts as hung, None if it does not. It is asked now and then, once it has answered first."""
        if now >= self._next_question_s:
            self._next_question_s = now + QUESTION_EVERY_S
            if _answers(url_of(self._listener, tls=self._has_tls)):
                self._answered_s = now
        if self._answered_s:
            return why_hung(now, self._answered_s, None)
        waited_s = now - self._started_s
        return f"it has not come up for {waited_s:.0f} s" if waited_s > START_S else None

    def kill(self) -> None:
        """End it at once."""
        self.child.kill()

    def shut(self) -> None:
        """Close our hold of the door: what comes now is refused, not taken and then reset."""
        self._spares.drop()  # it holds the door, too
        self._listener.close()

    def stop(self) -> None:
        """End it and its spare."""
        self._spares.drop()
        if self._child is not None:
            self._child.stop(self._drain_s + LINGER_S + 2)
        self._spares.close()


def _answers(url: str) -> bool:
    """Ask a gateway whether its loop turns: our own child at our own socket, so whatever name its certificate has."""
    import httpx

    try:
        answer = httpx.get(f"{url}/healthz", timeout=QUESTION_S, trust_env=False, verify=False)
        return answer.status_code == 200
    except httpx.TransportError:
        return False
