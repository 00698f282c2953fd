"""Detached signatures of model folders: Ed25519 (RFC 8032) over the bytes of the manifest.

The manifest holds the SHA-256 of every file, so what signs it signs them all. Keys are PEM. Owns no key.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError

SIGNATURE = "manifest.json.sig"
"""Beside the manifest, which it does not list: Base64 of 64 bytes."""


def sign(uri: str, private_key: Path) -> str:
    """Sign the model folder at a URI, once its files are what its manifest says; return where the signature lies."""
    artifacts.verify(uri, artifacts.load(uri))
    key = _read_key(private_key, private=True)
    data = storage.read_bytes(storage.join(uri, artifacts.MANIFEST))
    location = storage.join(uri, SIGNATURE)
    storage.write_bytes(location, base64.b64encode(key.sign(data)) + b"\n")
    return location


def check(uri: str, manifest: bytes, public_key: Path) -> None:
    """Compare the signature beside a manifest with its bytes; a missing or a wrong one is a UserError."""
    from cryptography.exceptions import InvalidSignature

    location = storage.join(uri, SIGNATURE)
    if not storage.exists(location):
        raise UserError(f"{uri}: has no {SIGNATURE}, but this deployment serves signed models only; sign it")
    try:
        signature = base64.b64decode(storage.read_bytes(location), validate=False)
        _read_key(public_key, private=False).verify(signature, manifest)
    except (InvalidSignature, binascii.Error) as error:
        raise UserError(
            f"{location}: is not the signature of this manifest by the key of {public_key}, "
            "the model was changed or signed by somebody else"
        ) from error


def _read_key(path: Path, *, private: bool) -> Any:
    """Return an Ed25519 key of a PEM file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    data = storage.read_bytes(str(path))
    kind = "private" if private else "public"
    wanted = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    key: object = None
    try:
        if private:
            key = serialization.load_pem_private_key(data, password=None)
        else:
            key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path}: not a {kind} key in PEM without a password ({error})") from error
    if not isinstance(key, wanted):
        raise UserError(
            f"{path}: must be an Ed25519 {kind} key, make one with `openssl genpkey -algorithm ed25519`"
        )
    return key
