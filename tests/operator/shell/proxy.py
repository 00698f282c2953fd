"""A TCP proxy that can let open connections fall silent, as a load balancer does that forgot them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field


@dataclass(eq=False)
class Pair:
    """One connection through the proxy."""

    inner: socket.socket
    outer: socket.socket
    is_silent: bool = False

    def other(self, end: socket.socket) -> socket.socket:
        """Return the other end."""
        return self.outer if end is self.inner else self.inner


@dataclass
class Proxy:
    """Forwards loopback connections to a port; connections made after ``silence`` work."""

    to: int
    pairs: list[Pair] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._listener.close()
        for pair in self.pairs:
            pair.inner.close()
            pair.outer.close()
        self._selector.close()

    def silence(self) -> int:
        """Forward nothing more on what is open now; return how many connections that are."""
        for pair in (kept := list(self.pairs)):
            pair.is_silent = True
        return len(kept)

    def _run(self) -> None:
        while not self._over.is_set():
            for ready, _ in self._selector.select(0.1):
                if ready.fileobj is self._listener:
                    self._accept()
                else:
                    self._forward(ready.fileobj, ready.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        outer, _ = self._listener.accept()
        pair = Pair(socket.create_connection(("127.0.0.1", self.to)), outer)
        self.pairs.append(pair)
        self._selector.register(pair.inner, selectors.EVENT_READ, pair)
        self._selector.register(pair.outer, selectors.EVENT_READ, pair)

    def _forward(self, end: socket.socket, pair: Pair) -> None:
        if pair not in self.pairs:
            return  # closed by the other end's turn in this very round
        if pair.is_silent:
            self._selector.unregister(end)
            return
        with contextlib.suppress(OSError):
            if data := end.recv(65536):
                pair.other(end).sendall(data)
                return
        for side in (pair.inner, pair.outer):
            with contextlib.suppress(KeyError, ValueError):  # a silent one is not registered any more
                self._selector.unregister(side)
            side.close()
        self.pairs.remove(pair)
