"""A loopback HTTPS server that writes down who asked: the Authorization header and the client's certificate.

It answers a GET, a write and a watch of ConfigMaps as an API server does, whoever asks: tests look at what came.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OBJECT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"namespace": "team", "name": "settings", "uid": "u", "resourceVersion": "7"},
}
PLAIN = json.dumps(OBJECT).encode()


@dataclass(frozen=True)
class Request:
    """What came."""

    verb: str
    authorization: str | None
    certified: str
    """Common name of the client's certificate; empty without one."""


@dataclass
class Asked:
    """The server's address, its files, and all that came."""

    port: int
    certificate: Path
    """Of the server, and its own authority."""
    client: tuple[Path, Path]
    """A certificate that the same authority signed, and its key."""
    requests: list[Request] = field(default_factory=list)
    stream: bytes = json.dumps({"type": "ADDED", "object": OBJECT}).encode() + b"\n"
    """What a watch is answered with."""

    @property
    def url(self) -> str:
        """Return its address."""
        return f"https://127.0.0.1:{self.port}"

    def headers(self) -> list[tuple[str, str | None]]:
        """Return verb and Authorization of all that came, and forget them."""
        found = [(request.verb, request.authorization) for request in self.requests]
        self.requests.clear()
        return found


def certificates(folder: Path) -> tuple[Path, Path, Path, Path]:
    """Write an authority that is the server's certificate too, and one for a client: certificate, key of each."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    files: list[Path] = []
    for key, said in zip(keys, ("kubernetes", "somebody"), strict=True):
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, said)]))
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
            )
            .add_extension(x509.BasicConstraints(ca=said == "kubernetes", path_length=None), True)
            .sign(keys[0], hashes.SHA256())
        )
        certificate, private = folder / f"{said}.crt", folder / f"{said}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files += [certificate, private]
    return files[0], files[1], files[2], files[3]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        is_watch = "watch=true" in self.path
        self._note("WATCH" if is_watch else "GET")
        self._say(self.server.asked.stream if is_watch else PLAIN)

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._note("PATCH")
        self._say(PLAIN)

    def _note(self, verb: str) -> None:
        connection: Any = self.connection
        shown = connection.getpeercert() or {}
        subject = dict(pair for part in shown.get("subject", ()) for pair in part)
        request = Request(verb, self.headers["Authorization"], subject.get("commonName", ""))
        self.server.asked.requests.append(request)

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: Asked


@contextmanager
def secure_server(folder: Path) -> Iterator[Asked]:
    """Serve until the body ends."""
    certificate, key, of_client, key_of_client = certificates(folder)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.asked = Asked(server.server_address[1], certificate, (of_client, key_of_client))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
