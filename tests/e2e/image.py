"""Images that hold nothing but folders: what a container needs to run comes from the host by read-only mounts.

Owns the bytes of an OCI archive (https://github.com/opencontainers/image-spec); knows no runtime.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

FOLDERS = (
    "dev",
    "etc",
    "home",
    "opt",
    "proc",
    "run",
    "srv",
    "sys",
    "usr",
    "var",
    "var/lib",
    "var/log",
    "work",
)
OPEN_FOLDERS = ("tmp", "var/tmp")
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaybreak:x:1000:1000::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\ndaybreak:x:1000:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def layer(programs: Sequence[Path] = ()) -> bytes:
    """Return the one layer: a merged-/usr root without /usr, or with nothing there but some programs."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in FOLDERS:
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
        for name in OPEN_FOLDERS:
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o1777))
        for name, target in LINKS.items():
            link = _entry(name, tarfile.SYMTYPE, 0o777)
            link.linkname = target
            tar.addfile(link)
        for name, text in FILES.items():
            file = _entry(name, tarfile.REGTYPE, 0o644)
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
        for path in sorted({needed for program in programs for needed in [program, *libraries(program)]}):
            _add(tar, _merged(path), path.read_bytes(), 0o755)
    return archive.getvalue()


def libraries(program: Path) -> list[Path]:
    """Return the shared libraries that a program is loaded with, the loader among them."""
    text = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return [Path(found) for found in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", text, re.MULTILINE)]


def _merged(path: Path) -> str:
    """``/lib/x`` is ``usr/lib/x``, as the links say."""
    name = str(path).lstrip("/")
    top, _, below = name.partition("/")
    return f"{LINKS[top]}/{below}" if top in LINKS else name


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def write_image(
    file: Path,
    name: str,
    environment: Sequence[str],
    entrypoint: Sequence[str] = (),
    user: str = "",
    programs: Sequence[Path] = (),
) -> None:
    """Write an archive of one image. ``environment`` holds ``NAME=value``; ``user`` is a number, none means root."""
    content = layer(programs)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": list(environment),
            "Entrypoint": list(entrypoint),
            "User": user,
            "WorkingDir": "/tmp",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
    }
    blobs = {digest(content): content}
    image = "application/vnd.oci.image"
    described_config = _blob(blobs, f"{image}.config.v1+json", json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{image}.manifest.v1+json",
        "config": described_config,
        "layers": [_blob(blobs, f"{image}.layer.v1.tar", content)],
    }
    top = _blob(blobs, f"{image}.manifest.v1+json", json.dumps(manifest).encode())
    index = {
        "schemaVersion": 2,
        "manifests": [{**top, "annotations": {"io.containerd.image.name": name}}],
    }
    with tarfile.open(file, "w") as tar:
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(tar, "index.json", json.dumps(index).encode())
        for key, blob in blobs.items():
            _add(tar, f"blobs/{key.replace(':', '/')}", blob)


def digest(content: bytes) -> str:
    """``sha256:...`` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(blobs: dict[str, bytes], kind: str, content: bytes) -> dict[str, object]:
    blobs[digest(content)] = content
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
