"""How a step's output becomes true: a manifest, put last.

An artifact is a folder with ``manifest.json``. The manifest holds the digest of what made it (step, code
version, parameters, inputs) and size and SHA-256 of every file. A folder without a manifest does not exist.
Readers read what the manifest lists, nothing else. Locally the whole folder appears by one rename.
"""

from __future__ import annotations

import errno
import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError, UserError

MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    """One file of an artifact: path below its folder, size in bytes, SHA-256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an artifact is and what made it. Holds no time and no host, so equal work gives equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    digest: str
    """What made it: ``digest_of(step, code version, parameters, input digests)``."""
    inputs: dict[str, str]
    """Name of the input to its digest."""
    files: tuple[FileEntry, ...]
    result: dict[str, Any]
    """The step's Result as JSON: a skipped step returns this one."""

    @property
    def content_digest(self) -> str:
        """Digest of the files alone: two artifacts with equal bytes have equal content digests."""
        return digest_of([entry.model_dump() for entry in self.files])


def digest_of(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def uri_of(output: str, step: str, digest: str) -> str:
    """Return where the artifact of a step with this digest lies below an output URI."""
    return storage.join(output, step, digest[:16])


def load(uri: str) -> Manifest:
    """Read the manifest of an artifact. Missing or malformed is an ArtifactError."""
    location = storage.join(uri, MANIFEST)
    try:
        return Manifest.model_validate(storage.read_json(location))
    except UserError as error:
        raise ArtifactError(f"{uri}: no artifact here ({error})") from error
    except ValueError as error:
        raise ArtifactError(f"{location}: not a manifest of ours, remove the folder and run again") from error


def find(uri: str, digest: str) -> Manifest | None:
    """Return the manifest when the artifact exists, was made by the same work and still has its bytes."""
    if not storage.exists(storage.join(uri, MANIFEST)):
        return None
    try:
        manifest = load(uri)
        if manifest.digest == digest:
            verify(uri, manifest)
            return manifest
    except ArtifactError:
        pass  # torn or tampered: the caller makes it anew
    return None


def verify(uri: str, manifest: Manifest) -> None:
    """Compare every file with the manifest. The first that is missing or differs is an ArtifactError."""
    for entry in manifest.files:
        location = storage.join(uri, entry.path)
        size, sha256 = _measure(location)
        if size < 0:
            raise ArtifactError(f"{location}: listed in the manifest but missing, run the step again")
        if (size, sha256) != (entry.size, entry.sha256):
            raise ArtifactError(f"{location}: was changed after it was committed, run the step again")


def _measure(location: str) -> tuple[int, str]:
    fs, path = storage.filesystem(location)
    digest, size = hashlib.sha256(), 0
    try:
        with fs.open(path, "rb") as file:
            while block := file.read(8 << 20):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        return -1, ""
    return size, digest.hexdigest()


def commit(
    uri: str,
    staging: Path,
    *,
    step: str,
    digest: str,
    inputs: dict[str, str],
    result: dict[str, Any],
) -> Manifest:
    """Publish a staged local folder as the artifact at ``uri``. Killed at any moment, it is all or nothing.

    A second writer with the same digest is harmless: whoever renames first wins, the other's work is dropped.
    """
    manifest = Manifest(step=step, digest=digest, inputs=inputs, files=_entries(staging), result=result)
    if storage.is_remote(uri):
        for entry in manifest.files:
            storage.copy_file(str(staging / entry.path), storage.join(uri, entry.path))
        storage.write_json(storage.join(uri, MANIFEST), manifest.model_dump(mode="json"))
        return manifest
    storage.write_json(str(staging / MANIFEST), manifest.model_dump(mode="json"))
    _publish_folder(staging, storage.local_path(uri), digest)
    return manifest


def _entries(folder: Path) -> tuple[FileEntry, ...]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            name = path.relative_to(folder).as_posix()
            found.append(FileEntry(path=name, size=path.stat().st_size, sha256=digest_of_file(path)))
    return tuple(found)


def _publish_folder(staging: Path, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if find(str(target), digest) is not None:
            storage.remove_tree(str(staging))  # a second writer was faster and its bytes are good
            return
        stale = target.with_name(f".{target.name}.{uuid.uuid4().hex}.stale")
        target.rename(stale)
        staging.rename(target)
        storage.remove_tree(str(stale))


def staging_folder(uri: str, work_dir: str) -> Path:
    """Return a fresh local folder to write an artifact into; on the disk of a local target."""
    if storage.is_remote(uri):
        parent = Path(work_dir)
    else:
        parent = storage.local_path(uri).absolute().parent
    folder = parent / f".staging-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


def produce(
    uri: str,
    *,
    step: str,
    digest: str,
    inputs: dict[str, str],
    work_dir: str,
    write: Callable[[Path], dict[str, Any]],
) -> tuple[Manifest, bool]:
    """Return the artifact and whether it was there already; otherwise ``write`` it into staging and commit.

    ``write`` gets an empty local folder and returns the step's result as JSON.
    """
    present = find(uri, digest)
    if present is not None:
        return present, True
    staging = staging_folder(uri, work_dir)
    try:
        result = write(staging)
        return commit(uri, staging, step=step, digest=digest, inputs=inputs, result=result), False
    finally:
        storage.remove_tree(str(staging))
