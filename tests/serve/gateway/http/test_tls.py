"""HTTPS by files: a real gateway process whose certificate is renewed under it."""

from __future__ import annotations

import datetime
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from daybreak_contracts.errors import UserError
from daybreak_contracts.ports import free_port
from daybreak_serve.gateway.http.tls import LOOK_S, ServedCertificate
from daybreak_serve.local.serving import ServeSettings, check_reach
from tests.serve.conftest import start_gateway


def write_pair(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a certificate for localhost that says who made it, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = (folder / "tls.crt", folder / "tls.key")
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    shape = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, shape, protection))
    return files


def name_at(port: int) -> str:
    """Return whose certificate a new connection gets."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    (found,) = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(found.value)


@pytest.mark.slow
def test_a_gateway_speaks_https_and_takes_up_a_renewed_certificate(model: Any, tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "first")
    trusted = ssl.create_default_context(cafile=str(certificate))
    engine = f"127.0.0.1:{free_port()}"
    child, url = start_gateway(model, engine, tmp_path, tls_certificate=str(certificate), tls_key=str(key))
    port = int(url.rpartition(":")[2])
    try:
        kept = httpx.Limits(keepalive_expiry=60)
        with httpx.Client(
            verify=trusted, base_url=f"https://localhost:{port}", trust_env=False, limits=kept
        ) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    answer = client.get("/v1/models")
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline, child.log_tail()
                    time.sleep(0.1)
            assert answer.status_code == 200
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{url}/healthz", trust_env=False)
            certificate.write_text("no certificate")
            time.sleep(LOOK_S + 2)
            assert name_at(port) == "first"
            write_pair(tmp_path, "second")
            deadline = time.monotonic() + LOOK_S + 20
            while name_at(port) == "first":
                assert time.monotonic() < deadline, child.log_tail()
                time.sleep(0.2)
            assert name_at(port) == "second"
            assert client.get("/healthz").status_code == 200  # the old connection goes on
        assert "the certificate read before is still served" in child.log_tail()
    finally:
        child.stop(5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda files: files[1].unlink(), "No such file", id="no key"),
        pytest.param(lambda files: files[0].write_text("x"), "PEM", id="no certificate"),
        pytest.param(
            lambda files: write_pair(files[0].parent, "a", b"secret"), "password", id="a protected key"
        ),
        pytest.param(
            lambda files: files[1].write_bytes(other_key(files[1].parent)), "mismatch", id="another's key"
        ),
    ],
)
def test_files_that_do_not_fit_are_told_before_anything_starts(
    tmp_path: Path, change: Any, reason: str
) -> None:
    files = write_pair(tmp_path, "first")
    change(files)
    with pytest.raises(UserError, match=reason):
        check_reach("127.0.0.1", ServeSettings(tls=(str(files[0]), str(files[1]))))


def other_key(folder: Path) -> bytes:
    (folder / "other").mkdir()
    return write_pair(folder / "other", "b")[1].read_bytes()


def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    served = ServedCertificate(*write_pair(tmp_path, "first"), print)
    assert served.context.minimum_version == ssl.TLSVersion.TLSv1_2
