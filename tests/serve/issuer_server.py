"""An OpenID Connect issuer on loopback: discovery, keys that it rotates, tokens good and bad; it can fall silent."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS

AUDIENCE = "completions"


def encoded(data: bytes) -> str:
    """Return Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(algorithm: str) -> Any:
    """Make a private key for an algorithm."""
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, 2048)
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else ec.generate_private_key(curves[algorithm])
    )


def jwk_of(key: Any, **more: Any) -> dict[str, Any]:
    """Return a public key as a JWK."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    writer = next((writer for kind, writer in kinds.items() if isinstance(key, kind)), OKPAlgorithm)
    found: dict[str, Any] = writer.to_jwk(key.public_key(), as_dict=True)
    return {**{name: value for name, value in found.items() if name != "key_ops"}, **more}


def pem_of(key: Any) -> bytes:
    """Return a public key as anybody can have it."""
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, shape))


def signed(
    claims: Mapping[str, Any] | bytes, key: Any, algorithm: str, kid: str | None, **header: Any
) -> str:
    """Return a token; claims as bytes are taken as they are."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    names = {**({"kid": kid} if kid is not None else {}), **header}
    return PyJWS().encode(payload, key, algorithm=algorithm, headers=names)


def unsigned(claims: Mapping[str, Any], algorithm: str = "none", **header: Any) -> str:
    """Return a token without a signature."""
    parts = ({"alg": algorithm, "typ": "JWT", **header}, claims)
    return ".".join([*(encoded(json.dumps(part).encode()) for part in parts), ""])


def confused(claims: Mapping[str, Any], secret: bytes, **header: Any) -> str:
    """Return a token that is signed by HMAC with a text that everybody knows: the public key."""
    begin = unsigned(claims, "HS256", **header).rstrip(".")
    return f"{begin}.{encoded(hmac.new(secret, begin.encode(), hashlib.sha256).digest())}"


class Issuer:
    """The issuer: what its documents are, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked: list[str] = []
        self.status = 200
        self.pause_s = 0.0
        self.discovery: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.more_keys: list[dict[str, Any]] = []

    def rotate(self, kid: str, algorithm: str = "ES256") -> None:
        """Have one new key, and none of the old ones."""
        self.keys = {kid: (algorithm, new_key(algorithm))}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with some changed; None leaves one out."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, *, kid: str | None = None, **changes: Any) -> str:
        """Return a good token with some claims changed."""
        kid = kid or next(iter(self.keys))
        algorithm, key = self.keys[kid]
        return signed(self.claims(**changes), key, algorithm, kid)

    def document(self, path: str) -> Any:
        if path.endswith("/.well-known/openid-configuration"):
            return self.discovery
        listed = [
            jwk_of(key, kid=kid, use="sig", alg=algorithm) for kid, (algorithm, key) in self.keys.items()
        ]
        return {"keys": [*self.more_keys, *listed]}


@contextlib.contextmanager
def running_issuer(path: str = "") -> Iterator[Issuer]:
    """Run an issuer below a path, with one key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            time.sleep(issuer.pause_s)
            body = json.dumps(issuer.document(self.path)).encode()
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", f"{issuer.url}/keys")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_request(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}{path}")
    issuer.rotate("first")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
