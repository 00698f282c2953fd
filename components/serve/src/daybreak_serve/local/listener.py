"""The socket that a gateway on this machine answers at, and its URL. Owns no process."""

from __future__ import annotations

import errno
import socket

from daybreak_contracts.errors import UserError


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
