"""A small HTTPS server that answers patches of ConfigMaps as a Kubernetes API server does.

What it does not know it refuses: another method, another media type, a missing token. ``answers`` makes it fail first.
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

MAX_OBJECT_BYTES = 1 << 20


@dataclass
class Api:
    """The server's state: ConfigMaps by ``namespace/name``, and what it shall say before it works."""

    config_maps: dict[str, dict[str, str]]
    token: str = "token-1"
    allowed: bool = True
    answers: list[int] = field(default_factory=list)
    """Statuses to answer with, one a request; 0 closes the connection without a word."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    account: Path = Path()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "ca.crt", folder / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def _status(code: int, reason: str, message: str) -> bytes:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return json.dumps({**document, "reason": reason, "message": message, "code": code}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.api.requests.append(
            {"path": self.path, "headers": dict(self.headers), "bytes": len(body)}
        )
        if self.server.api.answers:
            self._fail(self.server.api.answers.pop(0))
            return
        parts = self.path.partition("?")[0].strip("/").split("/")
        place = f"{parts[3]}/{parts[5]}"
        refusal = self._refusal(place, parts[5])
        if refusal is None:
            self._patch(place, json.loads(body)["data"])
        else:
            self._say(refusal[0], _status(*refusal))

    def _refusal(self, place: str, name: str) -> tuple[int, str, str] | None:
        if self.headers["Authorization"] != f"Bearer {self.server.api.token}":
            return 401, "Unauthorized", "Unauthorized"
        if not self.server.api.allowed:
            return 403, "Forbidden", f'configmaps "{name}" is forbidden'
        if place not in self.server.api.config_maps:
            return 404, "NotFound", f'configmaps "{name}" not found'
        if self.headers["Content-Type"] != "application/merge-patch+json":
            return 415, "UnsupportedMediaType", "unsupported media type"
        return None

    def _patch(self, place: str, data: dict[str, str]) -> None:
        fresh = {**self.server.api.config_maps[place], **data}
        if sum(len(text.encode()) for text in fresh.values()) > MAX_OBJECT_BYTES:
            self._say(422, _status(422, "Invalid", "Too long: must have at most 1048576 bytes"))
            return
        self.server.api.config_maps[place] = fresh
        self._say(200, json.dumps({"kind": "ConfigMap", "data": fresh}).encode())

    def _fail(self, status: int) -> None:
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self._say(status, _status(status, "Failing", "not now"))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: Api) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that we closed ourselves is no news."""


@contextmanager
def serve(folder: Path) -> Iterator[Api]:
    """Serve ConfigMap ``team/results`` until the body ends; ``environment`` is what a pod would have."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = _certificate(folder)
    api = Api({"team/results": {}}, account=folder)
    (folder / "token").write_text(f"{api.token}\n")
    server = _Server(api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    api.environment = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.server_address[1]),
        "DAYBREAK_ACCOUNT_FOLDER": str(folder),
        "DAYBREAK_RESULTS_CONFIGMAP": "team/results",
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
