"""Webhooks that are served by a process of the host: the certificate that the API server trusts, and the way to it.

Owns both for every controller beside a cluster of our own; which webhooks there are is each controller's own affair.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.cluster.commands import HOST

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateBuilder


def certificates(authority: str, host: str, now: datetime) -> dict[str, bytes]:
    """Return an authority and a server's certificate, as controllers keep them in their secrets.

    They make their own unless they find some that they like: good for another 90 days, RSA, the authority named by a
    subject alternative name. The server is that host, and loopback.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    def pem(key: rsa.RSAPrivateKey) -> bytes:
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
        return key.private_bytes(*form, serialization.NoEncryption())

    def signed(builder: CertificateBuilder) -> Certificate:
        dated = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=3650))
        numbered = dated.serial_number(x509.random_serial_number()).issuer_name(authority_name)
        return numbered.sign(authority_key, hashes.SHA256())

    def named(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
        return x509.SubjectAlternativeName(names)

    authority_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    authority_name = _name(authority)
    trusted = signed(
        x509.CertificateBuilder()
        .subject_name(authority_name)
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(named(x509.DNSName(authority)), critical=False)
    )
    loopback = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = signed(
        x509.CertificateBuilder()
        .subject_name(_name(host))
        .public_key(key.public_key())
        .add_extension(named(x509.DNSName(host), loopback), critical=False)
    )
    encoding = serialization.Encoding.PEM
    return {
        "ca.crt": trusted.public_bytes(encoding),
        "ca.key": pem(authority_key),
        "tls.crt": certificate.public_bytes(encoding),
        "tls.key": pem(key),
    }


def on_loopback(path: str, port: int, authority: bytes) -> dict[str, Any]:
    """Return the ``clientConfig`` of a webhook that a process of this machine serves."""
    return {"url": f"https://{HOST}:{port}{path}", "caBundle": base64.b64encode(authority).decode()}


def redirected(configuration: Mapping[str, Any], port: int, authority: bytes) -> dict[str, Any]:
    """Return a webhook configuration whose webhooks lead to loopback, where its own name a Service."""
    hooks = [
        {
            **hook,
            "clientConfig": on_loopback(hook["clientConfig"]["service"]["path"], port, authority),
        }
        for hook in configuration["webhooks"]
    ]
    return {**configuration, "webhooks": hooks}


def _name(text: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
