"""A model folder from where it is stored to the pod's own disk; nothing opens it before it was checked.

Every block is hashed on its way, the folder appears by one rename, a fetch that was killed is begun anew. Owns
neither what a manifest means (contracts) nor what a model must hold (`modelfolder`).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daybreak_contracts import artifacts, staging, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_serve.modelfolder import refuse_pickles
from daybreak_serve.pod import signature

BLOCK_BYTES = 16 << 20
NUM_READERS = 8
"""Blocks on their way at once: one connection to an object store gives some 100 MB/s, eight fill a pod's network."""


@dataclass(frozen=True)
class FetchArgs:
    """What is fetched."""

    uri: str
    digest: str
    """Of the manifest or of the files' bytes; with or without ``sha256:``."""
    into: Path
    public_key: Path | None = None


def fetch(args: FetchArgs, progress: Progress) -> Manifest:
    """Bring the model folder to ``into``; one that is there and whole is left as it is.

    A manifest of another digest, a wrong or missing signature, a pickle, a file that differs: UserErrors, and
    nothing is left at ``into``.
    """
    manifest, data = _manifest_of(args)
    refuse_pickles(args.uri, [entry.path for entry in manifest.files])
    target = args.into.absolute()
    if _is_there(target, data, manifest):
        progress.report("there already", 1, 1)
        return manifest
    with storage.translated(str(target)):
        folder = staging.make(target.parent)
    try:
        _copy(args.uri, manifest, folder, progress)
        storage.write_bytes(str(folder / artifacts.MANIFEST), data)
        storage.remove_tree(str(target))
        _rename(folder, target)
    finally:
        storage.remove_tree(str(folder))
    return manifest


def _manifest_of(args: FetchArgs) -> tuple[Manifest, bytes]:
    """Return the manifest and its bytes: signed by the key when there is one, and of the digest that was asked."""
    location = storage.join(args.uri, artifacts.MANIFEST)
    data = storage.read_bytes(location)
    if args.public_key is not None:
        signature.check(args.uri, data, args.public_key)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactError(f"{location}: not a manifest of ours, export the model again") from error
    if not matches(args.digest, manifest):
        raise UserError(
            f"{args.uri}: is the model {manifest.digest}, but {args.digest} was asked for; "
            "point uri and digest at the same export"
        )
    return manifest, data


def matches(digest: str, manifest: Manifest) -> bool:
    """Tell whether a digest names this folder: by what made it, as a run publishes it, or by its bytes alone."""
    return digest.rpartition(":")[2] in (manifest.digest.rpartition(":")[2], manifest.content_digest)


def _is_there(target: Path, data: bytes, manifest: Manifest) -> bool:
    present = target / artifacts.MANIFEST
    if not present.is_file() or present.read_bytes() != data:
        return False
    try:
        artifacts.verify(str(target), manifest)
    except ArtifactError:
        return False  # torn: it is fetched anew
    return True


def _copy(uri: str, manifest: Manifest, folder: Path, progress: Progress) -> None:
    total, done = sum(entry.size for entry in manifest.files), 0
    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="fetch") as readers:
        for entry in manifest.files:
            target = folder / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with storage.translated(str(target)), target.open("wb") as file:
                for block in blocks(uri, entry, readers):
                    digest.update(block)
                    file.write(block)
                    done += len(block)
                    progress.report(f"fetching {entry.path}", done, total)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != entry.sha256:
                raise _changed(storage.join(uri, entry.path))


def blocks(
    uri: str, entry: FileEntry, readers: ThreadPoolExecutor, block_bytes: int = BLOCK_BYTES
) -> Iterator[bytes]:
    """Yield a file's blocks in order; readers are at most ``NUM_READERS`` blocks ahead of who takes them."""
    location = storage.join(uri, entry.path)
    waiting: deque[Future[bytes]] = deque()
    try:
        for start in range(0, entry.size, block_bytes):
            waiting.append(readers.submit(_read, location, start, min(entry.size, start + block_bytes)))
            if len(waiting) == NUM_READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
    if _read(location, entry.size, entry.size + 1, may_end=True):
        raise _changed(location)


def _read(location: str, start: int, end: int, *, may_end: bool = False) -> bytes:
    """Return the bytes of a file from ``start`` up to ``end``; a file that ends before is not the listed one."""
    fs, path = storage.filesystem(location)
    with storage.translated(location), fs.open(path, "rb") as file:
        file.seek(start)
        data = bytes(file.read(end - start))
    if len(data) < end - start and not may_end:
        raise _changed(location)
    return data


def _changed(location: str) -> ArtifactError:
    return ArtifactError(f"{location}: was changed after it was committed, export the model again")


def _rename(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        raise UserError(f"{target}: is a mount point, mount the volume at {target.parent}") from error
